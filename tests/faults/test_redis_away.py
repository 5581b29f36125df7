"""Redis killed, wiped or full, with and without a sidecar that dies too. Each test ends with the account."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from asked import AGENT, KEYS, SECONDS, account_of, assigned, kill, known, record, waiting
from processes import sidecar
from redis.asyncio import Redis
from told import EXPERIMENT, POLICY, says

from sluicegate.v1 import session_pb2, session_pb2_grpc
from sluicegate_cli.embedded import EmbeddedValkey, embedded_valkey


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A Valkey of this test's own, every write on disk before it is acknowledged."""
    with embedded_valkey(tmp_path / "valkey") as server:
        yield server


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "resources.yaml").write_text(f"{POLICY}---\n{EXPERIMENT}")
    return str(tmp_path / "resources.yaml")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


async def test_sessions_go_to_the_spool_while_redis_is_away(valkey: EmbeddedValkey, config: str, state: Path) -> None:
    """kill -9 of Redis: assignments go on, sessions are acknowledged from disk, and all arrive later."""
    async with sidecar(valkey.url, AGENT, config=config, state=str(state)) as running:
        before = (await assigned(running, "v-1"))[0]
        assert await record(running, "s-1") == ["ACCEPTED"]
        await kill(valkey)
        assert (await assigned(running, "v-2"))[0] == before
        assert await record(running, "s-2", "s-3", "s-1") == ["ACCEPTED"] * 3
        await asyncio.to_thread(valkey.revive)
        account = await account_of(valkey.url, 3, state)
        await known(running, "s-3")
    assert account.balanced
    assert (account.acknowledged, account.waiting) == (3, 3)


async def test_the_spool_outlives_a_sidecar(valkey: EmbeddedValkey, config: str, state: Path) -> None:
    """kill -9 of Redis, then of the sidecar: the next one starts from its disk, takes sessions, and drains them all."""
    async with sidecar(valkey.url, AGENT, config=config, state=str(state)) as first:
        assert await record(first, "s-1") == ["ACCEPTED"]
        await kill(valkey)
        assert await record(first, "s-2", "s-3") == ["ACCEPTED"] * 2
        await first.program.kill()
    async with sidecar(valkey.url, AGENT, config=config, state=str(state)) as second:
        assert await record(second, "s-4") == ["ACCEPTED"]
        await asyncio.to_thread(valkey.revive)
        account = await account_of(valkey.url, 4, state)
    assert account.balanced
    assert (account.acknowledged, account.waiting) == (4, 4)


async def test_what_cannot_be_drained_at_the_end_stays_on_disk(
    valkey: EmbeddedValkey, config: str, state: Path
) -> None:
    """A sidecar that ends while Redis is away says how much it leaves; the account finds it in the state folder."""
    async with sidecar(valkey.url, AGENT, config=config, state=str(state)) as running:
        await kill(valkey)
        assert await record(running, "s-1", "s-2") == ["ACCEPTED"] * 2
        assert await running.program.end() == 0
        await running.program.logs(r"2 operations wait for the next start")
    await asyncio.to_thread(valkey.revive)
    account = await account_of(valkey.url, 2, state, spooled=2)
    assert account.balanced
    assert (account.acknowledged, account.spooled) == (2, 2)


async def test_a_sidecar_drains_its_spool_before_it_ends(valkey: EmbeddedValkey, config: str, state: Path) -> None:
    """Redis comes back just before the end: nothing is left on disk."""
    async with sidecar(valkey.url, AGENT, config=config, state=str(state)) as running:
        await kill(valkey)
        assert await record(running, *(f"s-{n}" for n in range(50))) == ["ACCEPTED"] * 50
        await asyncio.to_thread(valkey.revive)
        assert await running.program.end() == 0
    account = await account_of(valkey.url, 50, state)
    assert (account.balanced, account.waiting, account.spooled) == (True, 50, 0)


async def test_a_streamed_session_survives_redis(valkey: EmbeddedValkey, config: str, state: Path) -> None:
    """Redis dies in the middle of a streamed session and comes back: one session, every item once and in order."""
    async with (
        sidecar(valkey.url, AGENT, config=config, state=str(state)) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        stream = session_pb2_grpc.SessionServiceStub(channel).StreamSession(timeout=SECONDS)
        start = session_pb2.SessionStart(session_id="s-1", caller_id="+1555")
        events = [session_pb2.SessionEvent(start=start)]
        for number in range(1, 7):
            spoken = says(session_pb2.ROLE_USER, f"turn {number}")
            events.append(session_pb2.SessionEvent(sequence=number, item=spoken))
        events.append(session_pb2.SessionEvent(sequence=7, end=session_pb2.SessionEnd()))
        for number, event in enumerate(events):
            if number == 3:
                await kill(valkey)
            if number == 6:
                await asyncio.to_thread(valkey.revive)
            await stream.write(event)
            ack = await stream.read()
            assert isinstance(ack, session_pb2.SessionAck)
            assert ack.sequence == number
        account = await account_of(valkey.url, 1, state)
    (session,) = await waiting(valkey.url)
    assert [item.text for item in session.items] == [f"turn {number}" for number in range(1, 7)]
    assert (account.balanced, account.waiting, account.open) == (True, 1, 0)


async def test_a_full_redis_refuses_by_name_and_loses_nothing(valkey: EmbeddedValkey, config: str, state: Path) -> None:
    """maxmemory with noeviction: RESOURCE_EXHAUSTED, nothing evicted; room again: the same session is taken."""
    async with (
        sidecar(valkey.url, AGENT, config=config, state=str(state)) as running,
        Redis.from_url(valkey.url) as redis,
    ):
        assert await record(running, "s-1") == ["ACCEPTED"]
        await redis.config_set("maxmemory", "1")
        assert await record(running, "s-2") == ["RESOURCE_EXHAUSTED"]
        await redis.config_set("maxmemory", "0")
        assert await record(running, "s-2", "s-1") == ["ACCEPTED", "DUPLICATE"]
        account = await account_of(valkey.url, 2, state)
    assert (account.balanced, account.waiting) == (True, 2)


async def test_a_wiped_redis_gets_the_halts_and_the_key_back(valkey: EmbeddedValkey, config: str, state: Path) -> None:
    """FLUSHALL: a variant that was halted stays out, in this sidecar and in the next; callers keep their hash."""
    series = "warmer-greeting/1/warm"
    async with Redis.from_url(valkey.url) as redis:
        async with sidecar(valkey.url, AGENT, config=config, state=str(state)) as first:
            key = await redis.get(KEYS.caller_key)
            await redis.hset(KEYS.halts, series, b"halt")
            await first.program.logs(f"halted: {series}")
            await redis.flushall()
            async with asyncio.timeout(SECONDS):
                while await redis.get(KEYS.caller_key) != key:  # noqa: ASYNC110 - Redis tells nobody
                    await asyncio.sleep(0.05)
        async with sidecar(valkey.url, AGENT, config=config, state=str(state)) as second:
            assert {(await assigned(second, f"v-{n}"))[0] for n in range(50)} == {"control"}
            assert await record(second, "s-1") == ["ACCEPTED"]
            account = await account_of(valkey.url, 1, state)
    assert (account.balanced, account.waiting) == (True, 1)


async def test_a_redis_that_hangs_is_as_good_as_away(valkey: EmbeddedValkey, config: str, state: Path) -> None:
    """SIGSTOP of Redis, as in a partition: nobody is refused, nobody waits for it; SIGCONT, and all is there once."""
    async with sidecar(valkey.url, AGENT, config=config, state=str(state)) as running:
        assert await record(running, "s-1") == ["ACCEPTED"]
        pid = int(valkey.pid_file.read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            assert (await assigned(running, "v-1"))[0] in ("control", "warm")
            assert await record(running, "s-2", "s-3") == ["ACCEPTED"] * 2
        finally:
            os.kill(pid, signal.SIGCONT)
        account = await account_of(valkey.url, 3, state)
        await known(running, "s-2")
    assert (account.balanced, account.waiting) == (True, 3)
