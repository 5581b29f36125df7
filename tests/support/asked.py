"""What agents ask of a sidecar that runs, and the account that is left when all has come to rest."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
from captured import eventually
from processes import Sidecar
from redis.asyncio import Redis
from told import a_session

from sluicegate.keys import Keys
from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc, session_pb2, session_pb2_grpc
from sluicegate_cli.account import Account, read_account
from sluicegate_cli.embedded import EmbeddedValkey
from sluicegate_sidecar.sessions.session import CapturedSession
from sluicegate_sidecar.sessions.stream import decode

AGENT = "receptionist"
KEYS = Keys("default", AGENT)
SECONDS = 60.0


async def record(running: Sidecar, *session_ids: str) -> list[str]:
    """Records sessions one after the other; the outcomes, or the status codes."""
    async with grpc.aio.insecure_channel(running.target) as channel:
        return [await record_by(channel, a_session(session_id)) for session_id in session_ids]


async def record_by(channel: grpc.aio.Channel, session: session_pb2.Session) -> str:
    """Records one session; the outcome, or the status code."""
    request = session_pb2.RecordSessionRequest(session=session)
    try:
        answer = await session_pb2_grpc.SessionServiceStub(channel).RecordSession(request, timeout=SECONDS)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return session_pb2.RecordOutcome.Name(answer.outcome).removeprefix("RECORD_OUTCOME_")


async def assigned(running: Sidecar, session_id: str, caller_id: str = "+15550001") -> tuple[str, str]:
    """The variant that a session gets, and the reason."""
    async with grpc.aio.insecure_channel(running.target) as channel:
        ask = assignment_pb2.AssignRequest(session_id=session_id, caller_id=caller_id)
        answer = await assignment_pb2_grpc.AssignmentServiceStub(channel).Assign(ask, timeout=SECONDS)
        (assignment,) = answer.assignments
        reason = assignment_pb2.AssignmentReason.Name(assignment.reason).removeprefix("ASSIGNMENT_REASON_")
        return assignment.variant, reason


async def kill(valkey: EmbeddedValkey) -> None:
    os.kill(int(valkey.pid_file.read_text()), signal.SIGKILL)
    while await asyncio.to_thread(valkey.is_running):  # noqa: ASYNC110 - the kill takes a moment
        await asyncio.sleep(0.01)


async def waiting(redis_url: str) -> list[CapturedSession]:
    """The sessions in the queue, in its order."""
    async with Redis.from_url(redis_url) as redis:
        return [decode(fields[b"d"]) for _, fields in await redis.xrange(KEYS.queue)]


async def known(running: Sidecar, *session_ids: str) -> None:
    """Returns once each of these is told to be a duplicate: as long as one may go to the spool, none is recognised."""

    async def all_are() -> bool:
        return set(await record(running, *session_ids)) == {"DUPLICATE"}

    await eventually(all_are, SECONDS)


async def account_of(redis_url: str, acknowledged: int, *states: Path, spooled: int = 0) -> Account:
    """The account, printed, once the spools hold no more than so many sessions and Redis knows the others."""

    async def settled() -> Account | None:
        # The spools first: what leaves them later would be missed in an account that was read before.
        drained = spooled > 0 or not any(segment for state in states for segment in state.glob("spool/*.spool"))
        account = await read_account(redis_url, "default", AGENT, states)
        return account if drained and account.spooled == spooled and account.acknowledged >= acknowledged else None

    return await _printed(settled)


async def account_when_judged(redis_url: str) -> Account:
    """The account, printed, once nothing waits for the judge."""

    async def settled() -> Account | None:
        account = await read_account(redis_url, "default", AGENT)
        return None if account.waiting else account

    return await _printed(settled)


async def _printed(settled: Callable[[], Awaitable[Account | None]]) -> Account:
    found: list[Account] = []

    async def is_settled() -> bool:
        found.extend(filter(None, [await settled()]))
        return bool(found)

    await eventually(is_settled, SECONDS)
    print(found[0])
    return found[0]
