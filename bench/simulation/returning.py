"""Ramps whose callers return, each in much the same mood: counted once in the run, as it should be, or every time."""

from random import Random

from simulation.ramps import SESSIONS_A_STEP, WEIGHTS, Ending
from simulation.rules import Sluicegate
from simulation.worlds import score

CALLERS = 2_000
LONGEST = 4_000
SAME_MOOD = 0.7
"""How often a caller is as content as the first time."""
SHIFTS = (0.0, -0.5)


def returning(job: tuple[float, bool, int]) -> Ending:
    """One ramp. `job`: how much the treatment moves the scores, whether a caller counts once, and the run."""
    shift, once, number = job
    chance = Random(f"returning/{shift}/{number}")
    place = [chance.random() for _ in range(CALLERS)]
    moods: dict[tuple[int, bool], int] = {}
    seen: set[int] = set()
    rule, step, in_step, treatment = Sluicegate(), 0, 0, 0
    for index in range(LONGEST):
        caller = min(int(chance.expovariate(1 / 500)), CALLERS - 1)
        is_treatment = place[caller] < WEIGHTS[step]
        drawn = score(chance, shift if is_treatment else 0.0)
        mood = moods.setdefault((caller, is_treatment), drawn)
        treatment += is_treatment
        if once and caller in seen:
            continue
        seen.add(caller)
        rule.add(mood if chance.random() < SAME_MOOD else drawn, is_treatment, WEIGHTS[step], step)
        in_step += is_treatment
        if rule.is_harmful():
            return Ending("rolled back", index + 1, treatment, 0)
        if in_step >= SESSIONS_A_STEP and rule.is_safe(WEIGHTS[step]):
            if step + 1 == len(WEIGHTS):
                return Ending("promoted", index + 1, treatment, 0)
            step, in_step = step + 1, 0
    return Ending("undecided", LONGEST, treatment, 0)
