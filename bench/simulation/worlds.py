"""What the callers of a simulated experiment experience: scores of known distributions.

The base distribution is 1, 3, 13, 51 and 32 % on 1 to 5, with mean 4.10; other means are reached by exponential
tilting, p_k ∝ p_k · exp(θ·k), the smallest change of a distribution that gives the mean.
"""

import math
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from random import Random

BASE = (0.01, 0.03, 0.13, 0.51, 0.32)


def tilted(shift: float) -> tuple[float, ...]:
    """The base distribution with its mean moved by `shift` points."""
    wanted = sum(p * k for k, p in enumerate(BASE, 1)) + shift
    low, high = -10.0, 10.0
    for _ in range(80):
        theta = (low + high) / 2
        weights = [p * math.exp(theta * k) for k, p in enumerate(BASE, 1)]
        mean = sum(w * k for k, w in enumerate(weights, 1)) / sum(weights)
        low, high = (theta, high) if mean < wanted else (low, theta)
    return tuple(w / sum(weights) for w in weights)


@cache
def thresholds(shift: float) -> tuple[float, ...]:
    """Where a uniform number turns from one score to the next."""
    return tuple(accumulate(tilted(shift)))[:-1]


def score(chance: Random, shift: float) -> int:
    return 1 + bisect(thresholds(shift), chance.random())


Draw = Callable[[Random, bool, int, int], int]
"""(chance, is treatment, index of the session, earlier sessions of the treatment) → score."""


@dataclass(frozen=True, slots=True)
class World:
    """A truth, and what was promised for it."""

    name: str
    draw: Draw
    promised: str
    falls_at: int = 0
    """Session of the treatment at which it becomes worse."""


def shifted(treatment: float) -> Draw:
    def draw(chance: Random, is_treatment: bool, index: int, earlier: int) -> int:
        return score(chance, treatment if is_treatment else 0.0)

    return draw


def drifting(chance: Random, is_treatment: bool, index: int, earlier: int) -> int:
    """Both variants lose a point with probability 0.6 · min(1, i/1200)."""
    drawn = score(chance, 0.0)
    return max(1, drawn - (chance.random() < 0.6 * min(1.0, index / 1200)))


def failing(chance: Random, is_treatment: bool, index: int, earlier: int) -> int:
    """15 % of the treatment's sessions score 1."""
    drawn = score(chance, 0.0)
    return 1 if is_treatment and chance.random() < 0.15 else drawn


def falling(chance: Random, is_treatment: bool, index: int, earlier: int) -> int:
    """The treatment is half a point worse from its 60th score on."""
    return score(chance, -0.5 if is_treatment and earlier >= 60 else 0.0)


WORLDS: Sequence[World] = (
    World("no difference", shifted(0.0), "promoted ≥ 97.5 %, rolled back ≤ 2.5 %"),
    World("no difference, both drift", drifting, "promoted ≥ 96 %, rolled back ≤ 2.5 %"),
    World("+0.2", shifted(0.2), "promoted ≥ 99.5 %, rolled back ≤ 0.3 %"),
    World("−0.1", shifted(-0.1), "promoted ~ 67 %, rolled back ~ 26 %"),
    World("−0.25", shifted(-0.25), "rolled back ≥ 97 %, ≤ 900 (100)"),
    World("−0.5", shifted(-0.5), "rolled back ≥ 99.9 %, ≤ 315 (32)"),
    World("−1.0", shifted(-1.0), "rolled back 100 %, ≤ 135 (14)"),
    World("15 % of treatment score 1", failing, "rolled back ≥ 99 %, ≤ 530 (54)"),
    World("−0.5 from the 60th on", falling, "rolled back ≥ 99 %, ≤ 285 after the fall", falls_at=60),
)
