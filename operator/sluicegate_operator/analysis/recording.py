"""What a report shows beyond the numbers that decide, kept while the analysis goes through the log."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sluicegate.records import ScoreRecord
from sluicegate_operator.analysis.arrival import Arrival
from sluicegate_operator.analysis.contrast import Contrast
from sluicegate_operator.analysis.course import Course
from sluicegate_operator.analysis.plan import Plan
from sluicegate_operator.analysis.segment import Segment
from sluicegate_operator.analysis.worst import Worst

MOST_MODELS = 5
"""That are named; a judge that answers under more names than that is told by the others."""


@dataclass(slots=True)
class _Weighted:
    """Scores of one variant, weighted."""

    weights: float = 0.0
    total: float = 0.0


class Recording:
    """Of one run. Some 100 bytes for each session and metric: the interval of the difference needs them all."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.course = Course(plan)
        self.worst = Worst()
        self._revision = ""
        self._contrasts: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
        self._given: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 5)
        self._models: Counter[str] = Counter()
        self._weighted: defaultdict[tuple[str, str], _Weighted] = defaultdict(_Weighted)

    def scored(self, arrival: Arrival) -> None:
        self.worst.add(arrival)

    def counted(
        self, record: ScoreRecord, probability: float, segment: Segment, bet_on: Mapping[str, Contrast]
    ) -> None:
        if segment.revision != self._revision:
            self._revision = segment.revision
            self._contrasts.clear()
            self._given.clear()
            self._models.clear()
            self._weighted.clear()
        chance = probability if record.variant == self._plan.treatment else 1 - probability
        for metric, of in bet_on.items():
            self._contrasts[metric].extend(of)
            score = record.scores[metric]
            assert score is not None, "what does not apply is not bet on"
            self._given[record.variant, metric][score - 1] += 1
            weighted = self._weighted[record.variant, metric]
            weighted.weights += 1 / chance
            weighted.total += score / chance
        if record.judge_model in self._models or len(self._models) < MOST_MODELS:
            self._models[record.judge_model] += 1
        self.course.add(record, segment)

    def contrasts(self, metric: str) -> list[Contrast]:
        """In order of assignment, under the present judge revision: what `difference_interval` takes."""
        numbers = iter(self._contrasts[metric])
        return [Contrast(*three) for three in zip(numbers, numbers, numbers, strict=True)]

    def given(self, variant: str, metric: str) -> tuple[int, ...]:
        """How often each score from 1 to 5 was given, under the present judge revision."""
        return tuple(self._given[variant, metric])

    def difference(self, metric: str) -> float | None:
        """Treatment less control, each score weighted by the inverse of its session's chance to have its variant.

        So neither drift nor a change of the split looks like a difference (Hájek 1971). None if one has no score.
        """
        treatment, control = (self._weighted[name, metric] for name in (self._plan.treatment, self._plan.control))
        if not treatment.weights or not control.weights:
            return None
        return treatment.total / treatment.weights - control.total / control.weights

    @property
    def models(self) -> tuple[str, ...]:
        """As which the judge answered, the most frequent name first."""
        return tuple(model for model, _ in self._models.most_common())
