"""Sample ratio mismatch: whether the variants got the shares of units that they were meant to get.

The sequential multinomial test of Lindon and Malek (2022): a Dirichlet prior of 100 · p against p,
logBF = lnB(a + n) − lnB(a) − Σ n_i · ln p_i, here as the sum of what each unit adds, ln((a_i + n_i)/(A + N)) − ln p_i.
It counts units, each once in the run: sessions of one caller are not independent.
"""

import math
from dataclasses import dataclass

PRIOR = 100.0
LOG_ALARM = math.log(1000.0)


@dataclass(slots=True)
class Mismatch:
    """The test of one step."""

    treatment: int = 0
    control: int = 0
    expected: float = 0.0
    """Units of the treatment that were to be expected."""
    log_factor: float = 0.0
    """ln of the Bayes factor for a mismatch."""
    alarmed: bool = False
    """Once at or above ln 1000; stays."""

    def add(self, is_treatment: bool, probability: float) -> None:
        """A unit that entered the comparison; `probability` is π, strictly between 0 and 1."""
        share, seen = (probability, self.treatment) if is_treatment else (1 - probability, self.control)
        total = self.treatment + self.control
        self.log_factor += math.log((PRIOR * share + seen) / (PRIOR + total)) - math.log(share)
        self.alarmed = self.alarmed or self.log_factor >= LOG_ALARM
        self.treatment += is_treatment
        self.control += not is_treatment
        self.expected += probability
