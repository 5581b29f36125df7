"""The same thing told twice, at once, out of order or to two of us: it counts once. Each test ends with the account."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from aiohttp import web
from asked import AGENT, KEYS, SECONDS, account_when_judged, record, record_by, waiting
from captured import eventually
from processes import Sidecar, program, sidecar
from redis.asyncio import Redis
from told import POLICY, a_session, says

from sluicegate.keys import AGENT_SERIES, JUDGES
from sluicegate.records import ScoreRecord
from sluicegate.v1 import session_pb2, session_pb2_grpc
from sluicegate_cli import offline_judge
from sluicegate_sidecar.gating.window import Windows
from sluicegate_sidecar.judging.jobs import TAKEN_OVER_AFTER_MS


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return str(tmp_path / "policy.yaml")


@pytest.fixture
async def pair(redis: Redis, valkey_url: str, config: str) -> AsyncIterator[tuple[Sidecar, Sidecar]]:
    """Two sidecars of one agent."""
    async with sidecar(valkey_url, AGENT, config=config) as one, sidecar(valkey_url, AGENT, config=config) as other:
        yield one, other


def _settings(valkey_url: str, config: str, judge_url: str) -> dict[str, str]:
    return {
        "SLUICEGATE_REDIS_URL": valkey_url,
        "SLUICEGATE_AGENT": AGENT,
        "SLUICEGATE_CONFIG": config,
        "SLUICEGATE_ADMIN": "127.0.0.1:0",
        **offline_judge.environment(judge_url),
    }


async def _scored_once(redis: Redis, valkey_url: str, expected: set[str]) -> None:
    """Log, window and account agree: each of these sessions, and no other, once."""
    account = await account_when_judged(valkey_url)
    assert account.balanced
    assert (account.acknowledged, account.scored) == (len(expected), len(expected))
    log = [msgspec.msgpack.decode(fields[b"d"], type=ScoreRecord) for _, fields in await redis.xrange(KEYS.log)]
    assert sorted(record.session_id for record in log) == sorted(expected)
    readings = await Windows(redis, KEYS, JUDGES).readings()
    assert readings[AGENT_SERIES].sessions == len(expected)


async def test_what_is_told_to_two_sidecars_at_once_counts_once(
    redis: Redis, valkey_url: str, config: str, pair: tuple[Sidecar, Sidecar]
) -> None:
    """One of them accepts a session, all others say that it is a duplicate; a queue entry added again is no score."""
    expected = {f"s-{n}" for n in range(20)}
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(grpc.aio.insecure_channel(each.target)) for each in pair]
        for name in expected:
            outcomes = await asyncio.gather(*(record_by(channel, a_session(name)) for channel in channels * 3))
            assert Counter(outcomes) == {"ACCEPTED": 1, "DUPLICATE": 5}
        for _, fields in await redis.xrange(KEYS.queue):
            await redis.xadd(KEYS.queue, fields)
        judge_url = await stack.enter_async_context(offline_judge.serving())
        for _ in range(2):
            await stack.enter_async_context(program("judge", _settings(valkey_url, config, judge_url)))
        await _scored_once(redis, valkey_url, expected)


async def _tells(channel: grpc.aio.Channel, session_id: str, *events: session_pb2.SessionEvent) -> str:
    """A connection that tells a session these events; how it went on: closed, open, late or a status."""
    stream = session_pb2_grpc.SessionServiceStub(channel).StreamSession(timeout=SECONDS)
    start = session_pb2.SessionEvent(start=session_pb2.SessionStart(session_id=session_id, caller_id="+1555"))
    last = "open"
    try:
        for event in (start, *events):
            await stream.write(event)
            ack = await stream.read()
            if ack is grpc.aio.EOF:
                return (await stream.code()).name
            assert isinstance(ack, session_pb2.SessionAck)
            last = "late" if ack.late else "closed" if ack.closed else "open"
        await stream.done_writing()
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return last


def _item(number: int) -> session_pb2.SessionEvent:
    return session_pb2.SessionEvent(sequence=number, item=says(session_pb2.ROLE_USER, f"turn {number}"))


def _end(number: int) -> session_pb2.SessionEvent:
    return session_pb2.SessionEvent(sequence=number, end=session_pb2.SessionEnd())


async def test_events_that_come_again_and_in_disorder_are_kept_once(
    redis: Redis, valkey_url: str, config: str, pair: tuple[Sidecar, Sidecar]
) -> None:
    """After each broken connection the agent resumes at the other sidecar, repeats itself and jumps ahead.

    Every item is kept once and in order; what is ahead of the rest is refused, what comes after the end is late.
    The session that began first ends last, and one that ended long ago is recorded last: both count.
    """
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(grpc.aio.insecure_channel(each.target)) for each in pair]
        assert await _tells(one, "first", _item(1)) == "open"
        assert await _tells(one, "second", _item(1), _item(2), _item(3)) == "open"
        assert await _tells(other, "second", _item(2), _item(3), _item(1)) == "open"
        assert await _tells(one, "second", _item(3), _item(5)) == "OUT_OF_RANGE"
        assert await _tells(other, "second", _end(6)) == "OUT_OF_RANGE"
        tells = (_tells(channel, "second", *map(_item, range(1, 7))) for channel in (one, other, one, other))
        assert await asyncio.gather(*tells) == ["open"] * 4
        ends = await asyncio.gather(*(_tells(channel, "second", _end(7)) for channel in (one, other, one)))
        assert set(ends) == {"closed"}
        assert await _tells(other, "second", _item(2)) == "late"
        assert await _tells(other, "first", _item(1), _end(2)) == "closed"
        assert await record(pair[0], "new") == ["ACCEPTED"]
        old = a_session("old")
        old.ended_at.GetCurrentTime()
        old.ended_at.seconds -= 1_800
        assert await record_by(other, old) == "ACCEPTED"
        assert await record_by(one, old) == "DUPLICATE"
        queue = {session.session_id: session for session in await waiting(valkey_url)}
        assert list(queue) == ["second", "first", "new", "old"]
        assert [item.text for item in queue["second"].items] == [f"turn {n}" for n in range(1, 7)]
        judge_url = await stack.enter_async_context(offline_judge.serving())
        await stack.enter_async_context(program("judge", _settings(valkey_url, config, judge_url)))
        await _scored_once(redis, valkey_url, set(queue))


async def test_sessions_that_two_workers_have_in_hand_are_scored_once(
    redis: Redis, valkey_url: str, config: str, pair: tuple[Sidecar, Sidecar]
) -> None:
    """A worker that is thought dead is not: another one judges the same sessions, both answer, and one score counts."""
    expected = {f"s-{n}" for n in range(4)}
    assert await record(pair[0], *sorted(expected)) == ["ACCEPTED"] * 4
    asked, both_asked = Counter[str](), asyncio.Event()

    async def answers(request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        asked["all"] += 1
        if asked["all"] == 2 * len(expected):
            both_asked.set()
        await both_asked.wait()
        message = {"role": "assistant", "content": json.dumps(offline_judge.answer(body))}
        return web.json_response({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]})

    async with AsyncExitStack() as stack:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answers)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        settings = _settings(valkey_url, config, f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
        first = await stack.enter_async_context(program("judge", settings))

        async def all_in_hand() -> bool:
            return asked["all"] == len(expected)

        await eventually(all_in_hand, SECONDS)
        first.process.send_signal(signal.SIGSTOP)
        try:
            for entry in await redis.xpending_range(KEYS.queue, JUDGES, min="-", max="+", count=10):
                silent, name = [entry["message_id"]], entry["consumer"]
                await redis.xclaim(KEYS.queue, JUDGES, name, 0, silent, idle=2 * TAKEN_OVER_AFTER_MS, justid=True)
            await stack.enter_async_context(program("judge", settings))
            await asyncio.wait_for(both_asked.wait(), SECONDS)
        finally:
            first.process.send_signal(signal.SIGCONT)
        await _scored_once(redis, valkey_url, expected)
        assert await first.end() == 0
        await _scored_once(redis, valkey_url, expected)
    assert asked["all"] == 2 * len(expected)
