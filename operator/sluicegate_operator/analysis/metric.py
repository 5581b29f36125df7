"""All evidence on one metric under one judge revision, renewed in constant time by each score."""

from dataclasses import dataclass, field

from sluicegate_operator.analysis.contrast import Centre, Contrast, contrast
from sluicegate_operator.analysis.harm import Harm
from sluicegate_operator.analysis.safety import Safety


@dataclass(slots=True)
class Sums:
    """Scores of one variant: how many, their sum, and the sum of their squares."""

    count: int = 0
    total: int = 0
    squares: int = 0

    def add(self, score: int) -> None:
        self.count += 1
        self.total += score
        self.squares += score * score

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class MetricEvidence:
    """Harm, safety and sums of one metric."""

    harm: Harm
    safety: Safety
    centre: Centre = field(default_factory=Centre)
    treatment: Sums = field(default_factory=Sums)
    control: Sums = field(default_factory=Sums)

    @classmethod
    def planned(cls, steps: int, margin: float) -> "MetricEvidence":
        """Of a ramp of so many steps; `margin` in points."""
        return cls(Harm(steps), Safety(margin))

    def add(self, score: int, is_treatment: bool, probability: float, step: int) -> Contrast:
        """A score of 1 to 5. `probability` is π, strictly between 0 and 1; `step` the one of its assignment."""
        of = contrast(score, is_treatment, probability, self.centre.value)
        self.harm.add(of, step)
        self.safety.add(of)
        (self.treatment if is_treatment else self.control).add(score)
        self.centre.add(score)
        return of
