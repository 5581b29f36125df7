"""Evidence that the treatment is worse than control: large only if it is, at whatever moment one looks.

E_R = 0.8 · whole run + 0.2 · mean over the planned steps 2…K of the same, started at the step. The weights are fixed
over all planned steps: one not entered counts 1, one that was left keeps what it had.
"""

import math
from dataclasses import dataclass, field

from sluicegate_operator.analysis.bets import Bets, log_mean_exp, log_sum_exp
from sluicegate_operator.analysis.contrast import Contrast

FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
LOG_RUN, LOG_STEPS = math.log(0.8), math.log(0.2)


def _bets() -> Bets:
    return Bets(FRACTIONS)


@dataclass(slots=True)
class Harm:
    """E_R of one metric."""

    planned: int
    """Steps of the ramp, K."""
    run: Bets = field(default_factory=_bets)
    steps: dict[int, Bets] = field(default_factory=dict)
    """By index; only those entered, of those after the first."""

    def add(self, of: Contrast, step: int) -> None:
        """A score assigned in the step with this index. Bets on ψ < 0: factor 1 − 0.99·f·ψ/U."""
        x = -of.value / of.above
        self.run.multiply(x)
        if 0 < step < self.planned:
            if step not in self.steps:
                self.steps[step] = _bets()
            self.steps[step].multiply(x)

    @property
    def log_evidence(self) -> float:
        """ln E_R."""
        if self.planned < 2:
            return self.run.log_evidence
        steps = [bets.log_evidence for bets in self.steps.values()]
        unentered = [0.0] * (self.planned - 1 - len(steps))
        return log_sum_exp((LOG_RUN + self.run.log_evidence, LOG_STEPS + log_mean_exp(steps + unentered)))

    @property
    def largest_log(self) -> float:
        """An upper bound of ln E_R that costs no exponentials: an average is never above its largest term."""
        return max(0.0, *self.run.logs, *(log for bets in self.steps.values() for log in bets.logs))


def log_harm(metrics: list[float]) -> float:
    """ln of the mean of E_R over metrics, valid however they depend on each other."""
    return log_mean_exp(metrics)
