"""An interval for the mean of one variant's scores that holds at every moment at once, out of how often each was given.

The same bets as for the difference, on Y itself: its bounds are the means that the evidence against stays below 40.
The order of the scores does not matter to it, so the counts of the five scores are all it needs.
"""

import math
from collections.abc import Sequence

from sluicegate_operator.analysis.bets import CAUTION, log_mean_exp
from sluicegate_operator.analysis.contrast import HIGHEST, LOWEST
from sluicegate_operator.analysis.interval import FRACTIONS, LOG_LINE

HALVINGS = 40


def mean_interval(counts: Sequence[int]) -> tuple[float, float]:
    """Lower and upper bound of the mean, 1 to 5. `counts`: how often each score from 1 to 5 was given."""
    lower = _lower_bound(counts)
    upper = HIGHEST + LOWEST - _lower_bound(counts[::-1])
    return lower, upper


def _lower_bound(counts: Sequence[int]) -> float:
    """The smallest mean m that is tenable against E[Y] > m: its evidence falls as m grows."""
    low, high = float(LOWEST), float(HIGHEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _log_evidence(counts, middle) < LOG_LINE else (middle, high)
    return low


def _log_evidence(counts: Sequence[int], mean: float) -> float:
    """ln of the bets that Y is above `mean`, which can lose at most what lies between 1 and it."""
    shares = [(score - mean) / (mean - LOWEST) for score in range(LOWEST, HIGHEST + 1)]
    return log_mean_exp(
        [
            math.fsum(count * math.log1p(CAUTION * g * x) for count, x in zip(counts, shares, strict=True))
            for g in FRACTIONS
        ]
    )
