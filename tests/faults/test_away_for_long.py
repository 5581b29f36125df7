"""Redis away for longer than an experiment bears, with a sidecar that is killed twice. Ends with the account."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from asked import AGENT, KEYS, account_of, assigned, kill, record_by, waiting
from captured import an_experiment, eventually
from processes import Sidecar, sidecar
from redis.asyncio import Redis
from redis.exceptions import RedisError
from told import a_session

from sluicegate.experiment import OnStale
from sluicegate.policy import Policy
from sluicegate_cli.embedded import EmbeddedValkey, embedded_valkey
from sluicegate_operator.delivery.snapshot import Delivery

STALE_SECONDS = 2.0
AGENTS, EACH = 8, 100


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    with embedded_valkey(tmp_path / "valkey") as server:
        yield server


async def _delivered(valkey: EmbeddedValkey, on_stale: OnStale) -> None:
    """An experiment that gives everybody the treatment, and soon misses its control plane."""
    async with Redis.from_url(valkey.url) as redis:
        delivery = Delivery(redis, KEYS)
        await delivery.put_policy(Policy(sampling_rate=1.0), 0, 1)
        experiment = an_experiment(weight=1.0, stale_after=STALE_SECONDS, on_stale=on_stale)
        await delivery.put_experiment(experiment, None, 0, 1)


async def _becomes(running: Sidecar, wanted: tuple[str, str]) -> None:
    """Waits until new sessions get this variant for this reason."""
    asked = iter(range(10_000))

    async def is_so() -> bool:
        return await assigned(running, f"ask-{next(asked)}-{running.target}") == wanted

    await eventually(is_so)


async def _recorded(running: Sidecar, first: int, last: int) -> None:
    """Agents at the same time, each over a connection of its own: sessions `first` to `last` of each, in order."""

    async def one(agent: int) -> None:
        async with grpc.aio.insecure_channel(running.target) as channel:
            for number in range(first, last):
                assert await record_by(channel, a_session(f"{agent}-{number}")) == "ACCEPTED"

    await asyncio.gather(*map(one, range(AGENTS)))


async def _queued(valkey: EmbeddedValkey) -> int:
    try:
        async with Redis.from_url(valkey.url, retry=None) as redis:
            return int(await redis.xlen(KEYS.queue))
    except (RedisError, OSError):
        return 0


@pytest.mark.parametrize(
    ("on_stale", "stale"),
    [
        pytest.param("ControlOnly", ("control", "STALE"), id="control only"),
        pytest.param("KeepSplit", ("warm", "STALE"), id="keep split"),
    ],
)
async def test_redis_away_for_longer_than_an_experiment_bears(
    valkey: EmbeddedValkey, tmp_path: Path, on_stale: OnStale, stale: tuple[str, str]
) -> None:
    """Stale sidecars do what the experiment says, after kill -9 too; a kill in the drain loses and doubles nothing.

    The sessions of each agent arrive in the order in which it told them.
    """
    state = tmp_path / "state"
    state.mkdir()
    await _delivered(valkey, on_stale)
    async with sidecar(valkey.url, AGENT, state=str(state)) as first:
        assert await assigned(first, "before") == ("warm", "SPLIT")
        await kill(valkey)
        await _recorded(first, 0, EACH // 2)
        await _becomes(first, stale)
        await first.program.kill()
    async with sidecar(valkey.url, AGENT, state=str(state)) as second:
        await _becomes(second, stale)
        await _recorded(second, EACH // 2, EACH)
        await asyncio.to_thread(valkey.revive)

        async def is_draining() -> bool:
            return await _queued(valkey) >= 20

        await eventually(is_draining)
        await second.program.kill()
    drained = await _queued(valkey)
    assert drained < AGENTS * EACH
    async with sidecar(valkey.url, AGENT, state=str(state)) as third:
        account = await account_of(valkey.url, AGENTS * EACH, state)
        await _becomes(third, ("warm", "SPLIT"))
    queue = [session.session_id for session in await waiting(valkey.url)]
    assert account.balanced
    assert len(queue) == account.waiting == AGENTS * EACH
    for agent in range(AGENTS):
        assert [name for name in queue if name.startswith(f"{agent}-")] == [f"{agent}-{n}" for n in range(EACH)]
