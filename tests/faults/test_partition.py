"""A network that drops everything between sidecar and Redis, without a word. Ends with the account."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from asked import AGENT, KEYS, account_of, assigned, known, record, waiting
from captured import an_experiment, eventually
from partition import Cut, cable, valkey_there
from processes import sidecar
from redis.asyncio import Redis

from sluicegate.policy import Policy
from sluicegate_operator.delivery.snapshot import Delivery

EXPERIMENT = an_experiment(weight=1.0)
SERIES = f"{EXPERIMENT.name}/{EXPERIMENT.run_id}/{EXPERIMENT.treatment.name}"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: that of a socket has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="sluicegate-") as name:
        yield Path(name)


@pytest.mark.parametrize("how", ["link down", "packets dropped"])
async def test_a_partition_costs_no_session(folder: Path, how: Cut) -> None:
    """Half-open connections: callers get their variants, sessions the spool; then all arrive in order, and the halt."""
    with cable() as joined:
        async with valkey_there(joined, folder) as (url, own_url), Redis.from_url(own_url) as redis:
            delivery = Delivery(redis, KEYS)
            await delivery.put_policy(Policy(sampling_rate=1.0), 0, 1)
            await delivery.put_experiment(EXPERIMENT, None, 0, 1)
            async with sidecar(
                url, AGENT, within=joined.here, listen=f"unix:{folder}/sidecar.sock", state=str(folder / "state")
            ) as running:
                assert await assigned(running, "before") == ("warm", "SPLIT")
                assert await record(running, "s-0") == ["ACCEPTED"]
                joined.cut(how)
                await redis.hset(KEYS.halts, SERIES, b"halt")
                assert await record(running, *(f"s-{n}" for n in range(1, 20))) == ["ACCEPTED"] * 19
                answers = await asyncio.gather(*(assigned(running, f"v-{n}") for n in range(20)))
                assert set(answers) == {("warm", "SPLIT")}
                await running.program.logs("operations wait in the spool")
                assert await redis.xlen(KEYS.queue) == 1
                joined.mend(how)
                account = await account_of(own_url, 20, folder / "state")

                async def is_halted() -> bool:
                    return (await assigned(running, f"after-{asyncio.get_running_loop().time()}"))[1] == "HALTED"

                await eventually(is_halted)
                await known(running, "s-7")
            queue = [session.session_id for session in await waiting(own_url)]
    assert account.balanced
    assert queue == [f"s-{n}" for n in range(20)]
