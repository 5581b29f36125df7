"""Betting against a hypothesis: the wealth of a few fixed stakes, averaged. All in logarithms.

A bettor who starts with 1 and multiplies by 1 + stake · x at each score has, while E[x | past] ≤ 0 and x ≥ −1, a
wealth that is a supermartingale; so is the average over stakes fixed in advance. By Ville's inequality it ever reaches
20 with a probability of at most 1/20, whenever one looks (Ville 1939; Waudby-Smith and Ramdas 2024).
"""

import math
from collections.abc import Iterable, Sequence

CAUTION = 0.99
"""Share of the largest stake that can be lost: no single score can take all."""
LINE = 20.0
"""Evidence of so much decides: 1 / 0.05."""
LOG_LINE = math.log(LINE)
SMALLEST_FACTOR = 0.039
"""No score multiplies a wealth by less. The largest stake here, 0.99 · 0.9, leaves 0.109."""
ROUNDING = 1e-9


def log_sum_exp(logs: Iterable[float]) -> float:
    """ln Σ exp(l), for logarithms of any size."""
    values = list(logs)
    largest = max(values)
    return largest + math.log(math.fsum(math.exp(value - largest) for value in values))


def log_mean_exp(logs: Sequence[float]) -> float:
    """ln of the mean of exp(l); of no values, ln 1: no evidence."""
    return log_sum_exp(logs) - math.log(len(logs)) if logs else 0.0


class Bets:
    """The wealth of fixed stakes, from 1 each. Two are equal if they hold the same, bit for bit."""

    __slots__ = ("logs", "stakes")

    def __init__(self, fractions: Sequence[float]) -> None:
        """`fractions`: of the largest stake that is safe, each below 1."""
        self.stakes = tuple(CAUTION * fraction for fraction in fractions)
        self.logs = [0.0] * len(self.stakes)
        assert 1 - max(self.stakes) >= SMALLEST_FACTOR, f"stakes {self.stakes} could lose nearly everything at once"

    def multiply(self, x: float) -> None:
        """One score: every wealth times 1 + stake · x. `x` is at least −1, so every factor is at least 0.039."""
        assert -1 - ROUNDING <= x < math.inf, f"a bet on {x} could lose more than its stake"
        log1p = math.log1p
        self.logs = [log + log1p(stake * x) for log, stake in zip(self.logs, self.stakes, strict=True)]

    @property
    def log_evidence(self) -> float:
        """ln of the average wealth."""
        return log_mean_exp(self.logs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bets) and (self.stakes, self.logs) == (other.stakes, other.logs)

    __hash__ = None  # type: ignore[assignment]
