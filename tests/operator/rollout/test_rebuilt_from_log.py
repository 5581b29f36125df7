"""The controller's evidence after a restart is that of before: the log is all there is to it."""

import time
from dataclasses import replace

from redis.asyncio import Redis
from scored import RESOURCE, scored

from sluicegate.keys import Keys
from sluicegate.policy import Policy
from sluicegate.snapshot import pack
from sluicegate_operator.analysis.scores import Scores
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_operator.rollout.transitions import Transition
from sluicegate_operator.standalone import Controller

KEYS = Keys("default", "receptionist")


def controller(redis: Redis, told: list[Transition]) -> Controller:
    return Controller(Delivery(redis, KEYS), Scores(redis, KEYS), told.append)


async def test_harm_in_the_log_rolls_back_whoever_looks_first(redis: Redis) -> None:
    """One controller starts the run; another one, new, reads 200 bad sessions of the treatment and rolls back."""
    told: list[Transition] = []
    resource = replace(RESOURCE, wait_seconds=1.0)
    started = await controller(redis, told).look(resource, Policy(), time.time())
    assert started is not None
    assert started.reason == "TooFewSessions"
    now = time.time() - 10
    pipe = redis.pipeline()
    for number in range(200):
        variant, score = ("warm", 1) if number % 2 else ("control", 5)
        record = scored(number, score, variant=variant, assigned_at=now + number / 1000)
        pipe.xadd(KEYS.log, {"d": pack(record)}, id=f"{int((now + 0.5) * 1000) + number}-0")
    await pipe.execute()
    state = await controller(redis, told).look(resource, Policy(), time.time())
    assert state is not None
    assert (state.phase, state.reason) == ("RolledBack", "Harm")
    assert told[-1].kind == "RolledBack"
    assert "task_completion 1.00 (100 sessions of warm) against 5.00 (100 of control)" in told[-1].message


async def test_a_hold_that_needs_a_person_is_told_once(redis: Redis) -> None:
    """A pause is told when it begins, however often it looks, and by whichever controller."""
    told: list[Transition] = []
    paused = replace(RESOURCE, paused=True)
    await controller(redis, told).look(RESOURCE, Policy(), time.time())
    for _ in range(3):
        await controller(redis, told).look(paused, Policy(), time.time())
    assert [transition.kind for transition in told] == ["Started", "Held"]
