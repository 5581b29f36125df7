"""Clocks that are an hour wrong, in the sidecar or in the worker. Each test ends with the account."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from asked import AGENT, KEYS, SECONDS, account_when_judged, assigned, record, record_by
from captured import an_experiment, eventually
from needed import missing
from processes import program, sidecar
from redis.asyncio import Redis
from told import a_session, says

from sluicegate.keys import AGENT_SERIES, JUDGES
from sluicegate.policy import Policy, Window
from sluicegate.records import ScoreRecord
from sluicegate.v1 import session_pb2, session_pb2_grpc
from sluicegate_cli import offline_judge
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_sidecar.gating.window import Windows

IDLE_SECONDS = 8
HOUR = 3600
EXPERIMENT = an_experiment(stale_after=600.0, sampling_rate=0.5)
POLICY = Policy(window=Window(seconds=HOUR // 2, min_sessions=1))


def _set_off(hours: int) -> dict[str, str]:
    """Variables under which a program's clock is so many hours ahead of this host's; its monotonic one is not."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        missing("needs libfaketime; install it (Debian, Ubuntu: apt install libfaketime)")
    return {"LD_PRELOAD": str(libraries[0]), "FAKETIME": f"{hours:+d}h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.fixture
async def judge_url() -> AsyncIterator[str]:
    async with offline_judge.serving() as url:
        yield url


@pytest.fixture
async def delivered(redis: Redis) -> Redis:
    """A Redis that has a policy, and an experiment that gets half of the callers and samples half of them."""
    delivery = Delivery(redis, KEYS)
    await delivery.put_policy(POLICY, 0, 1)
    await delivery.put_experiment(EXPERIMENT, None, 0, 1)
    return redis


async def _opened(channel: grpc.aio.Channel, session_id: str) -> Any:
    """A stream of a session that has begun, and said one thing."""
    stream = session_pb2_grpc.SessionServiceStub(channel).StreamSession(timeout=SECONDS)
    start = session_pb2.SessionStart(session_id=session_id)
    spoken = says(session_pb2.ROLE_USER, "Hello?")
    for event in (session_pb2.SessionEvent(start=start), session_pb2.SessionEvent(sequence=1, item=spoken)):
        await stream.write(event)
        await stream.read()
    return stream


async def _closes(redis: Redis, session_id: str) -> None:
    """Makes an open session idle for as long as it may be, and waits until a reaper has closed it."""
    await redis.zincrby(KEYS.open, -1000 * IDLE_SECONDS, session_id)

    async def is_closed() -> bool:
        return await redis.zscore(KEYS.open, session_id) is None

    await eventually(is_closed, SECONDS)


@pytest.mark.parametrize(
    ("of_sidecar", "of_worker"),
    [
        pytest.param(1, -1, id="sidecar ahead, worker behind"),
        pytest.param(-1, 1, id="sidecar behind, worker ahead"),
    ],
)
async def test_a_clock_that_is_an_hour_wrong(
    delivered: Redis, valkey_url: str, judge_url: str, of_sidecar: int, of_worker: int
) -> None:
    """A wrong sidecar beside a right one: the same answers, each session once, every score in the window, none stale.

    Live sessions stay open, and one that is idle is closed, whosever clock it is.
    """
    settings = {
        "SLUICEGATE_REDIS_URL": valkey_url,
        "SLUICEGATE_AGENT": AGENT,
        "SLUICEGATE_ADMIN": "127.0.0.1:0",
        "SLUICEGATE_IDLE_SECONDS": str(IDLE_SECONDS),
        **offline_judge.environment(judge_url),
    }
    async with AsyncExitStack() as stack:
        right = await stack.enter_async_context(sidecar(valkey_url, AGENT))
        wrong = await stack.enter_async_context(sidecar(valkey_url, AGENT, beside=_set_off(of_sidecar)))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(wrong.target))
        await wrong.program.logs(r"the clock here is 3600 s")
        for number in range(20):
            caller = f"+1555{number:04d}"
            answers = [await assigned(running, f"s-{number}", caller) for running in (right, wrong)]
            assert answers[0] == answers[1]
            assert answers[0][1] == "SPLIT"
            session = a_session(f"s-{number}", caller)
            assert await record_by(channel, session) == "ACCEPTED"
            assert await record(right, f"s-{number}") == ["DUPLICATE"]
        worker = await stack.enter_async_context(program("judge", {**settings, **_set_off(of_worker)}))
        await worker.logs("judging for agent")
        live, *idle = [await _opened(channel, name) for name in ("live", "idle-1", "idle-2")]
        for number in range(len(idle)):  # The second one shows that the round of the first is over.
            await _closes(delivered, f"idle-{number + 1}")
        assert await delivered.zrange(KEYS.open, 0, -1) == [b"live"]
        await live.write(session_pb2.SessionEvent(sequence=2, end=session_pb2.SessionEnd()))
        ack = await live.read()
        assert isinstance(ack, session_pb2.SessionAck)
        assert (ack.closed, ack.late) == (True, False)
        account = await account_when_judged(valkey_url)
        readings = await Windows(delivered, KEYS, JUDGES).readings()
    assert account.balanced
    assert (account.acknowledged, account.open, account.dead_lettered) == (23, 0, 0)
    assert readings[AGENT_SERIES].sessions == account.scored > 0
    for entry_id, fields in await delivered.xrange(KEYS.log):
        scored = msgspec.msgpack.decode(fields[b"d"], type=ScoreRecord)
        at = int(entry_id.split(b"-")[0]) / 1000
        assert at - 60 < scored.ended_at <= at + 1
        assert not scored.variant or at - 60 < scored.assigned_at <= at + 1
