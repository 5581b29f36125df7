"""The evidence under one judge revision: scores of two judges are not comparable."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sluicegate.records import ScoreRecord
from sluicegate_operator.analysis.arrival import Arrival
from sluicegate_operator.analysis.contrast import Contrast
from sluicegate_operator.analysis.harm import log_harm
from sluicegate_operator.analysis.metric import MetricEvidence
from sluicegate_operator.analysis.plan import Plan


@dataclass(slots=True)
class Segment:
    """From one change of the judge to the next. Its metrics are those of its first record."""

    revision: str
    metrics: dict[str, MetricEvidence]
    treatment: int = 0
    control: int = 0
    in_step: Counter[int] = field(default_factory=Counter)
    """Sessions of the treatment by step."""

    @classmethod
    def first(cls, record: ScoreRecord, plan: Plan) -> "Segment":
        names = sorted({*record.scores, plan.primary})
        steps = len(plan.weights)
        return cls(record.judge_revision, {name: MetricEvidence.planned(steps, plan.margin) for name in names})

    def add(self, record: ScoreRecord, is_treatment: bool, probability: float) -> dict[str, Contrast]:
        """A session of this revision; what was bet on, by metric.

        A metric that does not apply is not bet on, and counts 1 in the mean.
        """
        bet_on: dict[str, Contrast] = {}
        self.treatment += is_treatment
        self.control += not is_treatment
        self.in_step[record.step] += is_treatment
        for name, evidence in self.metrics.items():
            score = record.scores.get(name)
            if score is not None:
                bet_on[name] = evidence.add(score, is_treatment, probability, record.step)
        return bet_on

    @property
    def log_harm(self) -> float:
        return log_harm([evidence.harm.log_evidence for evidence in self.metrics.values()])


class Observer(Protocol):
    """Hears of what the analysis passes through, in the order in which it does."""

    def scored(self, arrival: Arrival) -> None:
        """A scored session of the run, whether it is compared or not."""

    def counted(
        self, record: ScoreRecord, probability: float, segment: Segment, bet_on: Mapping[str, Contrast]
    ) -> None:
        """A session that is compared, after its scores were bet on. `probability` is π."""
