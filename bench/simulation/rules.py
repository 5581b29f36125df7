"""The project's own rule, and the two that are usual elsewhere."""

import math
from dataclasses import dataclass, field

from simulation.ramps import WEIGHTS
from sluicegate_operator.analysis.bets import LOG_LINE
from sluicegate_operator.analysis.evidence import SCORES_FOR_HARM
from sluicegate_operator.analysis.metric import MetricEvidence, Sums
from sluicegate_operator.analysis.safety import margin_at

MARGIN = 0.25


class Sluicegate:
    """The project's evidence on one metric, with the lines that its decisions use."""

    def __init__(self) -> None:
        self.evidence = MetricEvidence.planned(len(WEIGHTS), MARGIN)

    def add(self, score: int, is_treatment: bool, weight: float, step: int) -> None:
        self.evidence.add(score, is_treatment, weight, step)

    def is_harmful(self) -> bool:
        of = self.evidence
        # The bound first: it saves the exponentials where they cannot matter, and changes no decision.
        return (
            of.harm.largest_log >= LOG_LINE
            and min(of.treatment.count, of.control.count) >= SCORES_FOR_HARM
            and of.harm.log_evidence >= LOG_LINE
        )

    def is_safe(self, weight: float) -> bool:
        bets = self.evidence.safety.by_margin[margin_at(weight, MARGIN)]
        return max(bets.logs) >= LOG_LINE and bets.log_evidence >= LOG_LINE


class Latched(Sluicegate):
    """Broken on purpose: safety that was reached once counts for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._reached: set[float] = set()

    def add(self, score: int, is_treatment: bool, weight: float, step: int) -> None:
        super().add(score, is_treatment, weight, step)
        self._reached |= {weight for weight in WEIGHTS if super(Latched, self).is_safe(weight)}

    def is_safe(self, weight: float) -> bool:
        return weight in self._reached


@dataclass(slots=True)
class Pooled:
    """Running sums of both variants, as if nothing had changed on the way."""

    treatment: Sums = field(default_factory=Sums)
    control: Sums = field(default_factory=Sums)

    def add(self, score: int, is_treatment: bool, weight: float, step: int) -> None:
        (self.treatment if is_treatment else self.control).add(score)

    def is_safe(self, weight: float) -> bool:
        return True

    def _difference(self) -> tuple[float, float]:
        """Difference of the means, and its estimated variance."""
        return (
            self.treatment.total / self.treatment.count - self.control.total / self.control.count,
            _variance(self.treatment) / self.treatment.count + _variance(self.control) / self.control.count,
        )

    def _is_early(self) -> bool:
        return min(self.treatment.count, self.control.count) < SCORES_FOR_HARM


def _variance(of: Sums) -> float:
    return max(1e-9, (of.squares - of.total * of.total / of.count) / (of.count - 1))


class PeekedTTest(Pooled):
    """A one-sided t-test at 5 %, made anew after every score (normal quantile, which favours it)."""

    def is_harmful(self) -> bool:
        if self._is_early():
            return False
        difference, variance = self._difference()
        return difference < -1.645 * math.sqrt(variance)


class GrowthBook(Pooled):
    """GrowthBook's sequential test with its defaults: asymptotic, two-sided at 5 %, tuned to N* = 5,000.

    Half width sqrt(s²) · sqrt(2(Nρ² + 1)·ln(sqrt(Nρ² + 1)/α) / (Nρ)²), s² = N · variance of the difference,
    ρ² = (−2 ln α + ln(−2 ln α + 1))/N*: Waudby-Smith et al. 2021, as in gbstats.
    """

    ALPHA = 0.05
    RHO_SQUARED = (-2 * math.log(ALPHA) + math.log(-2 * math.log(ALPHA) + 1)) / 5_000

    def is_harmful(self) -> bool:
        if self._is_early():
            return False
        difference, variance = self._difference()
        count = self.treatment.count + self.control.count
        grown = count * self.RHO_SQUARED + 1
        spread = 2 * grown * math.log(math.sqrt(grown) / self.ALPHA) / (count * count * self.RHO_SQUARED)
        return difference < -math.sqrt(count * variance * spread)
