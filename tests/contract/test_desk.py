"""Dead letters and erasure, as a person at the prompt meets them."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from processes import Sidecar, command, sidecar
from redis.asyncio import Redis
from told import POLICY, a_session

from sluicegate.keys import JUDGES, Keys
from sluicegate.v1 import session_pb2, session_pb2_grpc
from sluicegate_cli.account import read_account
from sluicegate_sidecar.judging.jobs import Jobs

AGENT = "receptionist"
KEYS = Keys("default", AGENT)


@pytest.fixture
async def served(valkey_url: str, redis: Redis, tmp_path: Path) -> AsyncIterator[Sidecar]:
    (tmp_path / "policy.yaml").write_text(POLICY)
    async with sidecar(valkey_url, AGENT, config=str(tmp_path / "policy.yaml")) as running:
        yield running


async def _record(served: Sidecar, *sessions: session_pb2.Session) -> None:
    async with grpc.aio.insecure_channel(served.target) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        for session in sessions:
            await stub.RecordSession(session_pb2.RecordSessionRequest(session=session), timeout=20)


async def _bury_all(redis: Redis, reason: str) -> None:
    """Takes every waiting session off the queue as a judge does, and sets it aside."""
    from sluicegate_sidecar.sessions.stream import decode

    jobs = Jobs(redis, KEYS, "test")
    await redis.xgroup_create(KEYS.queue, JUDGES, id="0", mkstream=True)
    for job in await jobs.take(100):
        session = decode(job.payload)
        await jobs.bury(job.entry_id, session.session_id, session.recorded_day, reason)


async def test_dead_letters_are_listed_shown_retried_and_dropped(
    valkey_url: str, redis: Redis, served: Sidecar
) -> None:
    """Each letter with its reason; a retried one waits again, a dropped one is erased, and the account balances."""
    await _record(served, a_session("s-1", content="Where is my crown?"), a_session("s-2"), a_session("s-3"))
    await _bury_all(redis, "the judge refused")
    code, printed = await command(AGENT, valkey_url, "dead-letters", "list")
    assert (code, printed.count("the judge refused"), "3 dead letters" in printed) == (0, 3, True)
    code, printed = await command(AGENT, valkey_url, "dead-letters", "show", "s-1")
    assert (code, "Where is my crown?" in printed) == (0, True)
    assert await command(AGENT, valkey_url, "dead-letters", "retry", "s-1") == (0, "1 put back into the queue\n")
    assert await command(AGENT, valkey_url, "dead-letters", "drop", "s-2") == (0, "1 dropped\n")
    code, printed = await command(AGENT, valkey_url, "dead-letters", "retry", "s-1")
    assert (code, "s-1: no such dead letter" in printed) == (1, True)
    code, printed = await command(AGENT, valkey_url, "dead-letters", "drop")
    assert (code, "name sessions, or give --all" in printed) == (2, True)
    account = await read_account(valkey_url, "default", AGENT)
    assert (account.balanced, account.waiting, account.dead_lettered, account.erased) == (True, 1, 1, 1)


async def test_a_caller_is_erased_everywhere(valkey_url: str, redis: Redis, served: Sidecar) -> None:
    """All sessions of one caller go, waiting, open and dead; those of others stay; the account counts the erased."""
    await _record(served, a_session("s-1", caller_id="+1555"), a_session("s-2", caller_id="+1666"))
    await _bury_all(redis, "no verdict")
    await _record(served, a_session("s-3", caller_id="+1555"))
    async with grpc.aio.insecure_channel(served.target) as channel:
        stream = session_pb2_grpc.SessionServiceStub(channel).StreamSession(timeout=20)
        start = session_pb2.SessionStart(session_id="s-4", caller_id="+1555")
        await stream.write(session_pb2.SessionEvent(start=start))
        await stream.read()
        await stream.done_writing()
    assert await command(AGENT, valkey_url, "erase", "--caller", "+1555") == (0, "3 sessions erased\n")
    assert await command(AGENT, valkey_url, "erase", "--caller", "+1555") == (0, "0 sessions erased\n")
    account = await read_account(valkey_url, "default", AGENT)
    assert (account.balanced, account.erased, account.dead_lettered) == (True, 3, 1)
    kept = b"".join([await redis.dump(key) for key in await redis.keys("*queue") + await redis.keys("*dead")])
    assert b"s-3" not in kept


async def test_one_session_is_erased(valkey_url: str, redis: Redis, served: Sidecar) -> None:
    """Only the named one goes; giving neither or both names is refused."""
    await _record(served, a_session("s-1"), a_session("s-2"))
    assert await command(AGENT, valkey_url, "erase", "--session", "s-1") == (0, "1 sessions erased\n")
    assert (await command(AGENT, valkey_url, "erase"))[0] == 2
    assert (await command(AGENT, valkey_url, "erase", "--session", "s-1", "--caller", "+1"))[0] == 2
    account = await read_account(valkey_url, "default", AGENT)
    assert (account.balanced, account.waiting, account.erased) == (True, 1, 1)


async def test_transcripts_are_redacted_before_they_leave_the_sidecar(
    valkey_url: str, redis: Redis, served: Sidecar
) -> None:
    """By default nothing in Redis has the caller's mail address or card; what was replaced is counted."""
    from http.client import HTTPConnection

    from sluicegate_sidecar.sessions.stream import decode

    await _record(served, a_session("s-1", content="I am ann@example.org, my card is 4111 1111 1111 1111."))
    ((_, fields),) = await redis.xrange(KEYS.queue)
    assert decode(fields[b"d"]).items[0].text == "I am [email], my card is [card]."
    connection = HTTPConnection(served.admin, timeout=10)
    connection.request("GET", "/metrics")
    metrics = connection.getresponse().read().decode()
    connection.close()
    assert 'sluicegate_redactions_total{kind="email"' in metrics
