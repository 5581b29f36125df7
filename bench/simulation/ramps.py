"""One simulated ramp, looked at after every score: 10 → 20 → 50 % with 50 scored sessions of the treatment a step."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol

from simulation.worlds import World

WEIGHTS = (0.1, 0.2, 0.5)
SESSIONS_A_STEP = 50
LONGEST = 2_000

Verdict = Literal["", "harm", "safe"]


class Rule(Protocol):
    """What looks at the scores. It is told the weight before each of them."""

    def add(self, score: int, is_treatment: bool, weight: float, step: int) -> None: ...

    def is_harmful(self) -> bool: ...

    def is_safe(self, weight: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How a ramp ended, after how many sessions, and how many of them the treatment had."""

    how: Literal["promoted", "rolled back", "undecided"]
    sessions: int
    treatment: int
    after_fall: int
    """Sessions after the fall, in worlds that have one."""


def ramp(world: World, rule: Rule, seed: str) -> Ending:
    """Plays one ramp to its end."""
    chance = Random(seed)
    step = in_step = treatment = fell = 0
    for index in range(LONGEST):
        is_treatment = chance.random() < WEIGHTS[step]
        rule.add(world.draw(chance, is_treatment, index, treatment), is_treatment, WEIGHTS[step], step)
        treatment += is_treatment
        in_step += is_treatment
        fell += treatment > world.falls_at
        if rule.is_harmful():
            return Ending("rolled back", index + 1, treatment, fell)
        if in_step >= SESSIONS_A_STEP and rule.is_safe(WEIGHTS[step]):
            if step + 1 == len(WEIGHTS):
                return Ending("promoted", index + 1, treatment, fell)
            step, in_step = step + 1, 0
    return Ending("undecided", LONGEST, treatment, fell)


Make = Callable[[], Rule]
