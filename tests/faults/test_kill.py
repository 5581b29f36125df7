"""Processes that die at the worst moment. Each test ends with the account: nothing lost, nothing counted twice."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from processes import Sidecar, program, sidecar
from redis.asyncio import Redis
from redis.exceptions import RedisError
from told import POLICY

from sluicegate.keys import Keys
from sluicegate_cli import offline_judge
from sluicegate_cli.account import Account, read_account
from sluicegate_cli.embedded import EmbeddedValkey, embedded_valkey
from sluicegate_cli.replay import Conversation, read, send
from sluicegate_cli.synthetic_callers import caller_id, conversation

AGENT = "receptionist"
KEYS = Keys("default", AGENT)
REAL = Path(__file__).parents[3] / "shared/data/tau-airline/conversations.jsonl"
DONE_SECONDS = 90.0


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A Valkey of this test's own, every write on disk before it is acknowledged."""
    with embedded_valkey(tmp_path / "valkey") as server:
        yield server


@pytest.fixture
async def judge_url() -> AsyncIterator[str]:
    async with offline_judge.serving() as url:
        yield url


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return str(path)


def _judge_settings(valkey: EmbeddedValkey, judge_url: str, policy: str) -> dict[str, str]:
    return {
        "SLUICEGATE_REDIS_URL": valkey.url,
        "SLUICEGATE_AGENT": AGENT,
        "SLUICEGATE_CONFIG": policy,
        "SLUICEGATE_ADMIN": "127.0.0.1:0",
        **offline_judge.environment(judge_url),
    }


def _synthetic(count: int) -> list[Conversation]:
    prompt = "You are the receptionist of a dental practice."
    return [
        Conversation(f"session-{n}", caller_id("faults", n), conversation("faults", n, prompt)) for n in range(count)
    ]


async def _replay(running: Sidecar, conversations: list[Conversation]) -> Counter[str]:
    return Counter([outcome async for outcome in send(conversations, running.target, 8)])


async def _reaches(valkey: EmbeddedValkey, key: str, at_least: int, at_most: float = float("inf")) -> int:
    """Waits until a stream has so many entries, and says how many; goes on asking while Redis is away."""
    async with asyncio.timeout(DONE_SECONDS), Redis.from_url(valkey.url) as redis:
        while True:
            try:
                length: int = await redis.xlen(key)
                if at_least <= length <= at_most:
                    return length
            except (RedisError, OSError):
                pass
            await asyncio.sleep(0.01)


async def _account_when_all_is_judged(valkey: EmbeddedValkey) -> Account:
    await _reaches(valkey, KEYS.queue, 0, 0)
    account = await read_account(valkey.url, "default", AGENT)
    print(account)
    return account


async def test_a_worker_killed_in_the_middle_loses_nothing_and_scores_nothing_twice(
    valkey: EmbeddedValkey, judge_url: str, policy: str
) -> None:
    """kill -9 of a judge with sessions in hand: another one takes them over, and every session has one score."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(sidecar(valkey.url, AGENT, config=policy))
        outcomes = await _replay(running, _synthetic(300))
        assert outcomes == {"accepted, to be judged": 300}
        settings = _judge_settings(valkey, judge_url, policy)
        first = await stack.enter_async_context(program("judge", settings))
        scored = await _reaches(valkey, KEYS.log, 20)
        await first.kill()
        assert scored < 300
        await stack.enter_async_context(program("judge", settings))
        account = await _account_when_all_is_judged(valkey)
    assert account.balanced
    assert (account.acknowledged, account.scored) == (300, 300)


async def test_a_worker_stopped_and_continued_scores_nothing_twice(
    valkey: EmbeddedValkey, judge_url: str, policy: str
) -> None:
    """SIGSTOP for longer than its sessions are kept, then SIGCONT: what others scored meanwhile is scored once."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(sidecar(valkey.url, AGENT, config=policy))
        await _replay(running, _synthetic(300))
        settings = _judge_settings(valkey, judge_url, policy)
        first = await stack.enter_async_context(program("judge", settings))
        await _reaches(valkey, KEYS.log, 20)
        first.process.send_signal(signal.SIGSTOP)
        await stack.enter_async_context(program("judge", settings))
        account = await _account_when_all_is_judged(valkey)
        first.process.send_signal(signal.SIGCONT)
        assert await first.end() == 0
        assert await read_account(valkey.url, "default", AGENT) == account
    assert account.balanced
    assert account.scored == 300


async def test_valkey_killed_in_the_middle_keeps_what_was_acknowledged(
    valkey: EmbeddedValkey, judge_url: str, policy: str
) -> None:
    """kill -9 of Valkey during a replay and judging: it comes back from its file, and the account balances."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(sidecar(valkey.url, AGENT, config=policy))
        await stack.enter_async_context(program("judge", _judge_settings(valkey, judge_url, policy)))
        replay = asyncio.create_task(_replay(running, _synthetic(600)))
        await _reaches(valkey, KEYS.log, 50)
        os.kill(int(await asyncio.to_thread(_pid, valkey)), signal.SIGKILL)
        while not await asyncio.to_thread(valkey.revive):  # noqa: ASYNC110 - the kill takes a moment
            await asyncio.sleep(0.01)
        outcomes = await replay
        account = await _account_when_all_is_judged(valkey)
    # A reply that was lost with the server makes a session a duplicate when it is sent again: kept all the same.
    assert outcomes["accepted, to be judged"] + outcomes["duplicate"] == 600
    assert account.balanced
    assert (account.acknowledged, account.scored) == (600, 600)


def _pid(valkey: EmbeddedValkey) -> str:
    return valkey.pid_file.read_text()


@pytest.mark.skipif(not REAL.exists(), reason="the real conversations are not part of a public checkout")
async def test_real_conversations_survive_a_killed_worker(valkey: EmbeddedValkey, judge_url: str, policy: str) -> None:
    """A hundred real conversations, the worker killed in the middle: each is scored once, on all that applies."""
    conversations = read(REAL, "")
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(sidecar(valkey.url, AGENT, config=policy))
        assert await _replay(running, conversations) == {"accepted, to be judged": 100}
        settings = _judge_settings(valkey, judge_url, policy)
        first = await stack.enter_async_context(program("judge", settings))
        await _reaches(valkey, KEYS.log, 10)
        await first.kill()
        await stack.enter_async_context(program("judge", settings))
        account = await _account_when_all_is_judged(valkey)
        assert await _replay(running, conversations) == {"duplicate": 100}
        assert await read_account(valkey.url, "default", AGENT) == account
    assert account.balanced
    assert account.scored == 100
