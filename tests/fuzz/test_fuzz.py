"""Bytes at every RPC, in small; `make fuzz` is the same for a million messages."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from fuzzing import Tally, empty_of_sessions, fuzz
from google.protobuf import timestamp_pb2
from google.protobuf.message import DecodeError
from mutation import RPCS, Rpc
from processes import Sidecar, sidecar
from redis.asyncio import Redis
from told import EXPERIMENT, POLICY, a_session

from sluicegate.keys import Keys
from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc, session_pb2, session_pb2_grpc
from sluicegate_cli.account import read_account
from sluicegate_sidecar.sessions.stream import decode

AGENT = "receptionist"
KEYS = Keys("default", AGENT)
GARBAGE = b"\xff\xff\xff"
MESSAGES = 3_000


@pytest.fixture
async def served(valkey_url: str, redis: Redis, tmp_path: Path) -> AsyncIterator[Sidecar]:
    (tmp_path / "resources.yaml").write_text(f"{POLICY}---\n{EXPERIMENT}")
    async with sidecar(valkey_url, AGENT, config=str(tmp_path)) as running:
        yield running


async def variant(target: str, session_id: str) -> str:
    async with grpc.aio.insecure_channel(target) as channel:
        request = assignment_pb2.AssignRequest(session_id=session_id, caller_id="+15550001")
        answer = await assignment_pb2_grpc.AssignmentServiceStub(channel).Assign(request, timeout=10)
    return answer.assignments[0].variant


async def test_bytes_at_every_rpc_get_a_proper_status(served: Sidecar, redis: Redis, valkey_url: str) -> None:
    """Whatever is sent, the status is one that the protocol promises; no trace, and all that was taken is accounted."""
    before, tally = await variant(served.target, "before"), Tally()
    await redis.hset(KEYS.reports, "warmer-greeting", "{}")
    await fuzz(served.target, 7, tally, lambda: tally.answered < MESSAGES)
    assert not tally.failures, tally.improper
    assert set(tally.statuses) == {rpc.name for rpc in RPCS}
    assert all(counts["OK"] and counts["INVALID_ARGUMENT"] for counts in tally.statuses.values()), tally.statuses
    assert not [line for line in served.program.log if "Traceback" in line]
    assert (await read_account(valkey_url, "default", AGENT)).balanced
    assert await variant(served.target, "after") == before


async def told(channel: grpc.aio.Channel, rpc: Rpc, content: bytes) -> None:
    if rpc.streams:
        stream: Any = channel.stream_stream(rpc.path)(timeout=10)
        await stream.write(content)
        await stream.read()
    else:
        call: Any = channel.unary_unary(rpc.path)
        await call(content, timeout=10)


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
async def test_what_is_no_protobuf_is_an_invalid_argument(served: Sidecar, rpc: Rpc) -> None:
    """Bytes that nobody can read are refused as the client's mistake, with the method's name."""
    with pytest.raises(DecodeError):
        rpc.takes.FromString(GARBAGE)
    async with grpc.aio.insecure_channel(served.target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await told(channel, rpc, GARBAGE)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith(f"request: not what {rpc.path} takes")


async def test_a_million_items_are_counted_before_they_are_read(served: Sidecar) -> None:
    """A request of 4 MiB with as many items as fit is refused by their number, and others are answered meanwhile."""
    item = session_pb2.Item(interruption=session_pb2.Interruption())
    session = session_pb2.Session(session_id="s", items=[item] * 900_000)
    async with grpc.aio.insecure_channel(served.target) as channel:
        request = session_pb2.RecordSessionRequest(session=session)
        with pytest.raises(grpc.aio.AioRpcError, match="900000 items; a session has at most 2000") as refused:
            await session_pb2_grpc.SessionServiceStub(channel).RecordSession(request, timeout=20)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert await asyncio.wait_for(variant(served.target, "s-1"), 10)


async def test_what_was_captured_can_be_emptied(served: Sidecar, redis: Redis, valkey_url: str) -> None:
    """Between two rounds everything captured goes, and the sidecar serves on with the key that it has."""
    tally = Tally()
    await fuzz(served.target, 8, tally, lambda: tally.answered < 200)
    await empty_of_sessions(redis, KEYS)
    account = await read_account(valkey_url, "default", AGENT)
    assert (account.acknowledged, account.open, account.waiting) == (0, 0, 0)
    assert await redis.exists(KEYS.caller_key)


BEFORE_1970 = timestamp_pb2.Timestamp(seconds=-1)
START = session_pb2.SessionEvent(start=session_pb2.SessionStart(session_id="s"))


@pytest.mark.parametrize(
    ("event", "code", "field"),
    [
        (session_pb2.SessionEvent(end=session_pb2.SessionEnd()), "OUT_OF_RANGE", "sequence"),
        (session_pb2.SessionEvent(sequence=-(2**63), end=session_pb2.SessionEnd()), "OUT_OF_RANGE", "sequence"),
        (
            session_pb2.SessionEvent(sequence=1, end=session_pb2.SessionEnd(ended_at=BEFORE_1970)),
            "INVALID_ARGUMENT",
            "end.ended_at",
        ),
        (
            session_pb2.SessionEvent(
                sequence=1, item=session_pb2.Item(at=BEFORE_1970, interruption=session_pb2.Interruption())
            ),
            "INVALID_ARGUMENT",
            "item.at",
        ),
    ],
)
async def test_an_event_on_the_edge_leaves_the_session_open(
    served: Sidecar, redis: Redis, event: session_pb2.SessionEvent, code: str, field: str
) -> None:
    """Numbers and times that no event has are refused by name, and the session waits for the right one."""
    async with grpc.aio.insecure_channel(served.target) as channel:
        stream = session_pb2_grpc.SessionServiceStub(channel).StreamSession(timeout=10)
        await stream.write(START)
        await stream.read()
        await stream.write(event)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stream.read()
    assert (refused.value.code().name, (refused.value.details() or "").split(": ")[0]) == (code, field)
    assert await redis.zcard(KEYS.open) == 1


async def test_a_start_in_the_future_is_the_end(served: Sidecar, redis: Redis) -> None:
    """A clock that is ahead does not make a session start after it has ended."""
    session = a_session("s")
    session.started_at.FromSeconds(253_402_300_799)
    async with grpc.aio.insecure_channel(served.target) as channel:
        request = session_pb2.RecordSessionRequest(session=session)
        await session_pb2_grpc.SessionServiceStub(channel).RecordSession(request, timeout=10)
    ((_, fields),) = await redis.xrange(KEYS.queue)
    kept = decode(fields[b"d"])
    assert kept.started_at == kept.ended_at
