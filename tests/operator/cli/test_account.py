"""The account on a real Redis, told the truth and lied to."""

import asyncio

import pytest
from click.testing import CliRunner, Result
from ramps import KEYS, a_record
from redis.asyncio import Redis

from sluicegate.snapshot import pack
from sluicegate_cli.account import command


@pytest.fixture
async def recorded(redis: Redis) -> None:
    """Ten sessions: four scored, two waiting, three not sampled, one dead."""
    await redis.hset(KEYS.account, mapping={"acknowledged": 10, "not_sampled": 3})
    for n in range(4):
        await redis.xadd(KEYS.log, {"d": pack(a_record(f"session-{n}"))})
    for _ in range(2):
        await redis.xadd(KEYS.queue, {"d": b"x"})
    await redis.xadd(KEYS.dead, {"d": b"x"})


def told(url: str, agent: str = KEYS.agent) -> Result:
    return CliRunner().invoke(command, ["--redis", url, "--agent", agent])


@pytest.mark.usefixtures("recorded")
def test_it_balances(valkey_url: str) -> None:
    """Every acknowledged session is somewhere: exit code 0, and each place is told with its count."""
    result = told(valkey_url)
    assert result.exit_code == 0
    for part in ("acknowledged 10", "waiting 2", "scored 4", "not sampled 3", "dead-lettered 1", ": balanced"):
        assert part in result.output.replace("dead lettered", "dead-lettered")


@pytest.mark.usefixtures("redis")
def test_nothing_recorded_balances(valkey_url: str) -> None:
    """An agent that nobody knows has an account of zeros."""
    assert told(valkey_url, "nobody").exit_code == 0


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("field", ["acknowledged", "not_sampled"])
@pytest.mark.parametrize("by", [1, -1])
async def test_a_wrong_count_is_seen(redis: Redis, valkey_url: str, field: str, by: int) -> None:
    """A session too many or too few: exit code 1, in plain words."""
    await redis.hincrby(KEYS.account, field, by)
    result = await _told_aside(valkey_url)
    assert result.exit_code == 1
    assert "DOES NOT BALANCE" in result.output


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("key", [KEYS.queue, KEYS.log, KEYS.dead])
async def test_a_lost_session_is_seen(redis: Redis, valkey_url: str, key: str) -> None:
    """An entry that vanished from any of the places is missed."""
    entries = await redis.xrange(key)
    await redis.xdel(key, entries[0][0])
    assert (await _told_aside(valkey_url)).exit_code == 1


@pytest.mark.usefixtures("recorded")
async def test_a_session_that_was_scored_twice_is_seen(redis: Redis, valkey_url: str) -> None:
    """Even where the counts agree, because another session was lost at the same time."""
    await redis.xtrim(KEYS.queue, 1, approximate=False)
    await redis.xadd(KEYS.log, {"d": pack(a_record("session-0"))})
    result = await _told_aside(valkey_url)
    assert result.exit_code == 1
    assert "scored twice: 1" in result.output


async def test_repeats_are_seen_over_the_edge_of_a_batch(redis: Redis, valkey_url: str) -> None:
    """A repeat that lies more than a batch behind its first score."""
    pipe = redis.pipeline(transaction=False)
    for n in range(2_050):
        pipe.xadd(KEYS.log, {"d": pack(a_record(f"session-{n % 2_047}"))})
    await pipe.execute()
    await redis.hset(KEYS.account, "acknowledged", 2_050)
    result = await _told_aside(valkey_url)
    assert result.exit_code == 1
    assert "scored twice: 3" in result.output


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "http://127.0.0.1", "nonsense"])
def test_no_redis_is_no_account(url: str) -> None:
    """Exit code 2 and the option by name: this says nothing about the sessions."""
    result = told(url)
    assert result.exit_code == 2
    assert "--redis" in result.output


async def test_other_data_under_a_key_is_no_account(redis: Redis, valkey_url: str) -> None:
    """A key of another kind cannot be counted: exit code 2."""
    await redis.set(KEYS.queue, "text")
    assert (await _told_aside(valkey_url)).exit_code == 2


async def _told_aside(url: str) -> Result:
    """The command has an event loop of its own, so it runs on another thread."""
    return await asyncio.to_thread(told, url)
