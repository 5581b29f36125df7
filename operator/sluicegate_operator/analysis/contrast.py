"""One score as an unbiased guess at the difference between treatment and control, whatever the split and the drift.

With π the probability that the score is the treatment's, and m any number known before the score is seen,
ψ = (Y − m)/π for treatment and −(Y − m)/(1 − π) for control has the mean μ_treatment − μ_control given the past
(Horvitz and Thompson 1952, centred on m, which only narrows it).
"""

from dataclasses import dataclass
from typing import NamedTuple

LOWEST, HIGHEST = 1, 5


def treatment_probability(weight: float, treatment_rate: float, control_rate: float) -> float:
    """π: how likely a scored session is the treatment's.

    `weight`: treatment's share of the units that enter the comparison. The rates are those at which each variant's
    sessions are meant to be sampled, never the share that succeeded. 0 where there is nothing to compare.
    """
    treatment, control = weight * treatment_rate, (1 - weight) * control_rate
    return treatment / (treatment + control) if treatment + control > 0 else 0.0


class Contrast(NamedTuple):
    """A score's ψ, and its bounds as they were known before: −below ≤ ψ ≤ above. Both bounds are at least 4."""

    value: float
    above: float
    below: float


def contrast(score: int, is_treatment: bool, probability: float, centre: float) -> Contrast:
    """ψ, U and D of a score of 1 to 5; `probability` is strictly between 0 and 1."""
    rest = 1 - probability
    value = (score - centre) / probability if is_treatment else (centre - score) / rest
    above = max((HIGHEST - centre) / probability, (centre - LOWEST) / rest)
    below = max((centre - LOWEST) / probability, (HIGHEST - centre) / rest)
    return Contrast(value, above, below)


@dataclass(slots=True)
class Centre:
    """m: a moving average of the earlier scores of both variants. Starts at 4; a step is 1/min(50, n + 3)."""

    value: float = 4.0
    count: int = 0

    def add(self, score: int) -> None:
        """To be called after the score was bet on, never before."""
        self.value += (score - self.value) / min(50, self.count + 3)
        self.count += 1
