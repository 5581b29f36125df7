"""The gates on a sliding window: how often they alarm without a cause, and how soon with one."""

from collections import deque
from collections.abc import Iterator
from random import Random

from simulation.worlds import score
from sluicegate.gate import GateStatus, confirmed, judge_gate, summarize
from sluicegate.policy import Confirm, GateRule

FLOOR, WINDOW_HOURS, PER_HOUR, MIN_SESSIONS, WATCHED = 3.5, 1.0, 30.0, 20, 1_000
BASE_MEAN = 4.10
FALL_AT = 200


def _due(scores: Iterator[int], chance: Random, rule: GateRule) -> Iterator[bool]:
    """After each session, whether the gate's action is due."""
    window: deque[tuple[float, int]] = deque()
    now, total, squares, status = 0.0, 0, 0, GateStatus()
    for drawn in scores:
        now += chance.expovariate(PER_HOUR)
        window.append((now, drawn))
        total, squares = total + drawn, squares + drawn * drawn
        while window[0][0] < now - WINDOW_HOURS:
            _, gone = window.popleft()
            total, squares = total - gone, squares - gone * gone
        summary = summarize(len(window), total, squares)
        status = judge_gate(rule, MIN_SESSIONS, summary, status, lagging=False)
        yield confirmed(rule, summary, status)


def _rule(confirm: Confirm) -> GateRule:
    return GateRule(metric="any", min=FLOOR, severity="critical", action="Rollback", confirm=confirm)


def false_alarm(job: tuple[float, Confirm, int]) -> bool:
    """Whether a gate ever acts in a run of 1,000 sessions. `job`: the true mean, the confirmation, the run."""
    mean, confirm, number = job
    chance = Random(f"gate/{mean}/{number}")
    scores = (score(chance, mean - BASE_MEAN) for _ in range(WATCHED))
    return any(_due(scores, chance, _rule(confirm)))


def delay(job: tuple[Confirm, int]) -> int | None:
    """Sessions from a fall from 4.1 to 3.0 to the action; None where the gate acted before, or not in 1,000."""
    confirm, number = job
    chance = Random(f"fall/{number}")
    scores = (score(chance, 0.0 if index < FALL_AT else 3.0 - BASE_MEAN) for index in range(WATCHED))
    for index, due in enumerate(_due(scores, chance, _rule(confirm))):
        if due:
            return index + 1 - FALL_AT if index >= FALL_AT else None
    return None
