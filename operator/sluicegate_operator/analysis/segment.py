"""The evidence under one judge revision: scores of two judges are not comparable."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sluicegate.records import ScoreRecord
from sluicegate_operator.analysis.contrast import Contrast
from sluicegate_operator.analysis.harm import log_harm
from sluicegate_operator.analysis.metric import MetricEvidence
from sluicegate_operator.analysis.plan import Plan

Observe = Callable[[str, Contrast], None]
"""Hears of the contrast of every score that is bet on, by metric."""


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

    def add(self, record: ScoreRecord, is_treatment: bool, probability: float, observe: Observe | None) -> None:
        """A session of this revision. A metric that does not apply is not bet on, and counts 1 in the mean."""
        self.treatment += is_treatment
        self.control += not is_treatment
        self.in_step[record.step] += is_treatment
        for name, evidence in self.metrics.items():
            score = record.scores.get(name)
            if score is not None:
                of = evidence.add(score, is_treatment, probability, record.step)
                if observe:
                    observe(name, of)

    @property
    def log_harm(self) -> float:
        return log_harm([evidence.harm.log_evidence for evidence in self.metrics.values()])
