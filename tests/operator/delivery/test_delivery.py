"""Writing what the sidecars get, by compare-and-set on a real Redis."""

import asyncio
from dataclasses import replace

import msgspec
import pytest
from ramps import KEYS, NOW, an_experiment
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from sluicegate.policy import Policy
from sluicegate.records import Notice
from sluicegate.snapshot import VersionedExperiment, VersionedPolicy, gate_table, pack_table
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_operator.errors import Outrun, RedisAway
from sluicegate_operator.rollout.state import first_state
from sluicegate_sidecar.routing.in_force import InForce
from sluicegate_sidecar.routing.redis_source import RedisSource

RESOURCE = an_experiment()
EXPERIMENT = RESOURCE.in_force(0)
VERSION = int(NOW * 1000)
STATE = first_state(RESOURCE, VERSION, NOW)
POLICY = Policy(sampling_rate=0.5)


@pytest.fixture
def delivery(redis: Redis) -> Delivery:
    return Delivery(redis, KEYS)


async def test_what_is_written_is_what_is_read(delivery: Delivery) -> None:
    """Policy, experiment and state come back as they were, at versions of the size of milliseconds."""
    assert await delivery.read() == (None, None, {})
    await delivery.put_policy(POLICY, 0, VERSION)
    await delivery.put_experiment(EXPERIMENT, STATE, 0, VERSION + 1)
    assert await delivery.read() == (
        VersionedPolicy(version=VERSION, policy=POLICY),
        VersionedExperiment(version=VERSION + 1, experiment=EXPERIMENT),
        {"warmer-greeting": STATE},
    )


async def test_the_fields_are_those_of_the_snapshot(redis: Redis, delivery: Delivery) -> None:
    """A sidecar decodes each field by the shared types; the gates' table goes with the policy; each write counts."""
    await delivery.put_policy(POLICY, 0, 1)
    await delivery.put_experiment(EXPERIMENT, STATE, 0, 1)
    fields = await redis.hgetall(KEYS.snapshot)
    assert msgspec.msgpack.decode(fields[b"policy"], type=VersionedPolicy).policy == POLICY
    assert msgspec.msgpack.decode(fields[b"experiment"], type=VersionedExperiment).experiment == EXPERIMENT
    assert fields[b"gates"] == pack_table(gate_table(POLICY))
    assert fields[b"revision"] == b"2"


async def test_a_sidecar_has_what_was_delivered(redis: Redis, delivery: Delivery) -> None:
    """The sidecar's own reader takes it over: each change, and the deletion."""
    in_force = InForce()
    source = RedisSource(redis, KEYS, in_force, snapshots=True)
    await delivery.put_policy(POLICY, 0, 1)
    await delivery.put_experiment(EXPERIMENT, STATE, 0, 1)
    await source.refresh()
    assert (in_force.snapshot.policy, in_force.snapshot.experiment) == (POLICY, EXPERIMENT)
    heavier = replace(EXPERIMENT, weight=0.2, step=1)
    await delivery.put_experiment(heavier, STATE, 1, 2)
    await source.refresh()
    assert in_force.snapshot.experiment == heavier
    await delivery.put_experiment(None, None, 2, 3)
    await source.refresh()
    assert in_force.snapshot.experiment is None


async def test_a_stale_writer_is_refused(delivery: Delivery) -> None:
    """Of two writers that read the same version one wins; the other's write changes nothing at all."""
    await delivery.put_policy(POLICY, 0, 5)
    await delivery.put_experiment(EXPERIMENT, STATE, 0, 5)
    before = await delivery.read()
    for expected in (0, 4, 6):
        with pytest.raises(Outrun, match="another controller"):
            await delivery.put_policy(Policy(), expected, 9)
        with pytest.raises(Outrun):
            await delivery.put_experiment(None, replace(STATE, step=2), expected, 9)
    assert await delivery.read() == before


async def test_a_refused_write_is_not_announced(redis: Redis, delivery: Delivery) -> None:
    """Neither the count of writes nor the channel tells of a write that was refused."""
    await delivery.put_policy(POLICY, 0, 5)
    async with redis.pubsub(ignore_subscribe_messages=True) as heard:
        await heard.subscribe(KEYS.notices)
        with pytest.raises(Outrun):
            await delivery.put_policy(Policy(), 4, 9)
        await redis.publish(KEYS.notices, b"end")
        assert await _next(heard) == b"end"
    assert await redis.hget(KEYS.snapshot, "revision") == b"1"


async def test_many_writers_at_once_have_one_winner(redis: Redis) -> None:
    """However many controllers write over the same version, one gets through."""
    deliveries = [Delivery(redis, KEYS) for _ in range(8)]
    await deliveries[0].put_policy(POLICY, 0, 1)
    written = await asyncio.gather(
        *(of.put_policy(Policy(sampling_rate=n / 10), 1, n + 2) for n, of in enumerate(deliveries)),
        return_exceptions=True,
    )
    assert [result for result in written if result is None] == [None]
    assert all(isinstance(result, Outrun) for result in written if result is not None)


async def test_an_absent_field_is_free(redis: Redis, delivery: Delivery) -> None:
    """After Redis lost its data, whatever was expected there, the writer goes on."""
    await delivery.put_policy(POLICY, 0, VERSION)
    await redis.flushall()
    await delivery.put_policy(POLICY, VERSION, VERSION + 1)
    await delivery.put_experiment(EXPERIMENT, STATE, VERSION, VERSION + 1)
    policy, experiment, _ = await delivery.read()
    assert policy is not None
    assert experiment is not None
    assert policy.version == experiment.version == VERSION + 1


async def test_a_deletion_keeps_the_states(delivery: Delivery) -> None:
    """What became of a run outlives its resource, so that it cannot be restarted by creating it again."""
    await delivery.put_experiment(EXPERIMENT, STATE, 0, 1)
    await delivery.put_experiment(None, None, 1, 2)
    _, experiment, states = await delivery.read()
    assert experiment == VersionedExperiment(version=2, experiment=None)
    assert states == {"warmer-greeting": STATE}


async def test_each_write_is_announced(redis: Redis, delivery: Delivery) -> None:
    """A notice without a halt: there is a snapshot to fetch."""
    async with redis.pubsub(ignore_subscribe_messages=True) as heard:
        await heard.subscribe(KEYS.notices)
        await delivery.put_policy(POLICY, 0, 1)
        await delivery.put_experiment(EXPERIMENT, STATE, 0, 1)
        for _ in range(2):
            assert msgspec.msgpack.decode(await _next(heard), type=Notice) == Notice(halt=None)


async def test_redis_away_is_said_so() -> None:
    """Reading and writing have the same error, with its cause."""
    async with Redis.from_url("redis://127.0.0.1:1/0") as away:
        with pytest.raises(RedisAway, match="read"):
            await Delivery(away, KEYS).read()
        with pytest.raises(RedisAway, match="written") as refused:
            await Delivery(away, KEYS).put_policy(POLICY, 0, 1)
        assert refused.value.__cause__ is not None


async def _next(heard: PubSub) -> bytes:
    """The next message on the channel."""
    async with asyncio.timeout(30):
        while not (message := await heard.get_message(timeout=30)):
            pass
    data: bytes = message["data"]
    return data
