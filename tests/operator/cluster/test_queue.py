"""The queue of agents, on a clock of its own."""

import asyncio

import pytest

from sluicegate_operator.cluster.queue import AgentKey, AgentQueue

A, B = AgentKey("dental", "a"), AgentKey("dental", "b")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def queue() -> tuple[AgentQueue, Clock]:
    clock = Clock()
    return AgentQueue(clock), clock


async def test_the_earliest_due_comes_first_and_once() -> None:
    """Added twice, an agent is in it once, at the earlier time."""
    agents, clock = queue()
    agents.add(A, 5)
    agents.add(B, 1)
    agents.add(A, 0)
    agents.add(A, 9)
    assert await agents.take() == A
    clock.now += 2
    assert await agents.take() == B
    clock.now += 100
    assert len(agents) == 0


async def test_an_agent_in_hand_comes_again_afterwards() -> None:
    """Two workers never look at one agent at a time, and what happened meanwhile is not lost."""
    agents, _ = queue()
    agents.add(A)
    assert await agents.take() == A
    agents.add(A)
    second = asyncio.ensure_future(agents.take())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not second.done()
    agents.done(A)
    assert await second == A


async def test_a_worker_that_is_cancelled_as_it_is_woken_ends() -> None:
    """The operator ends when it is told to, however much there is to do."""
    agents, _ = queue()
    agents.add(B, 1_000)
    waiting = asyncio.ensure_future(agents.take())
    await asyncio.sleep(0)
    agents.add(A)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_whoever_waits_is_woken() -> None:
    """By an agent that is due at once, while all others are due much later."""
    agents, _ = queue()
    agents.add(B, 1_000)
    waiting = asyncio.ensure_future(agents.take())
    await asyncio.sleep(0)
    agents.add(A)
    assert await asyncio.wait_for(waiting, 10) == A
