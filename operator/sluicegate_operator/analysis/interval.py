"""An interval for the difference between treatment and control that holds at every moment at once.

Its bounds are the differences Δ that the evidence against stays below 40 on either side: 2.5 % each, together 95 %.
Every factor 1 + c·(ψ − Δ)/(D + Δ) falls with Δ, since ψ ≥ −D, so a bisection finds the bound.
"""

import math
from collections.abc import Callable, Sequence

from sluicegate_operator.analysis.bets import CAUTION, log_mean_exp
from sluicegate_operator.analysis.contrast import HIGHEST, LOWEST, Contrast

FRACTIONS = (0.1, 0.3, 0.7)
LOG_LINE = math.log(40.0)
RANGE = float(HIGHEST - LOWEST)
EXACT = 1e-11


def difference_interval(contrasts: Sequence[Contrast], within: float = EXACT) -> tuple[float, float]:
    """Lower and upper bound of μ_treatment − μ_control, in points, within ±4, never too narrow.

    Each is found to `within` points: O(n) for each of 2 · log2(8 / within) guesses.
    """
    lower = -_bound([(of.value, of.below) for of in contrasts], within)
    upper = _bound([(-of.value, of.above) for of in contrasts], within)
    return lower, upper


def _bound(bets: Sequence[tuple[float, float]], within: float) -> float:
    """The largest b up to 4 with evidence below 40 for E[value] > −b. `bets` are values and their largest loss."""

    def is_tenable(guess: float) -> bool:
        return _log_evidence(bets, -guess) < LOG_LINE

    return _largest(is_tenable, within)


def _log_evidence(bets: Sequence[tuple[float, float]], delta: float) -> float:
    shares = [(value - delta) / (loss + delta) for value, loss in bets]
    return log_mean_exp([math.fsum(math.log1p(CAUTION * g * x) for x in shares) for g in FRACTIONS])


def _largest(is_tenable: Callable[[float], bool], within: float) -> float:
    low, high = -RANGE, RANGE - 1e-9
    if is_tenable(high):
        return RANGE
    while high - low > within:
        middle = (low + high) / 2
        low, high = (middle, high) if is_tenable(middle) else (low, middle)
    return high
