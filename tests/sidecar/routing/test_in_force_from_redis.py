"""What is in force, as a sidecar learns it from Redis."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from captured import WARM_SERIES, an_experiment, eventually, until
from redis.asyncio import Redis

from sluicegate.experiment import ExperimentInForce
from sluicegate.keys import Keys
from sluicegate.policy import Policy
from sluicegate.records import Halt, Notice
from sluicegate.snapshot import VersionedExperiment, VersionedPolicy, pack
from sluicegate_sidecar.redis_client import connected
from sluicegate_sidecar.routing import redis_source
from sluicegate_sidecar.routing.in_force import InForce
from sluicegate_sidecar.routing.last_good import LastGood
from sluicegate_sidecar.routing.redis_source import RedisSource

KEYS = Keys("default", "receptionist")
HALT = Halt(
    series=WARM_SERIES, gate="tone", count=30, mean=2.0, upper=2.5, threshold=3.0, severity="critical", at=1_767_312_000
)


@pytest.fixture
def never_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poll looks once, at the start: what comes later comes by a notice, or by a new subscription."""
    monkeypatch.setattr(redis_source, "POLL_SECONDS", 3600.0)


@pytest.fixture
def polls_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_source, "POLL_SECONDS", 0.02)


@asynccontextmanager
async def following(url: str, *, snapshots: bool = True) -> AsyncIterator[InForce]:
    """What is in force in a sidecar that follows Redis, once it has read everything and listens to notices."""
    in_force = InForce()
    async with connected(url, KEYS) as own, connected(url, KEYS) as observer:
        follower = asyncio.create_task(RedisSource(own, KEYS, in_force, snapshots=snapshots).follow())
        try:
            await asyncio.wait_for(in_force.keyed.wait(), 20)
            await listening(observer)
            yield in_force
        finally:
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)


async def listening(redis: Redis) -> None:
    """Returns once somebody listens to the notices."""

    async def listened_to() -> bool:
        return bool(dict(await redis.pubsub_numsub(KEYS.notices)).get(KEYS.notices.encode()))

    await eventually(listened_to)


async def write(redis: Redis, version: int, weight: float, rate: float | None = None, *, publish: bool = True) -> None:
    """The experiment with this weight and a policy with this sampling rate, as the control plane writes them."""
    policy = VersionedPolicy(version=version, policy=Policy(sampling_rate=weight if rate is None else rate))
    experiment = VersionedExperiment(version=version, experiment=an_experiment(weight=weight))
    await put(redis, {"policy": pack(policy), "experiment": pack(experiment)}, publish=publish)


async def put(redis: Redis, fields: dict[str, bytes], *, publish: bool = True) -> None:
    pipe = redis.pipeline(transaction=True)
    pipe.hset(KEYS.snapshot, mapping=fields).hincrby(KEYS.snapshot, "revision", 1)
    if publish:
        pipe.publish(KEYS.notices, pack(Notice()))
    await pipe.execute()


def weight(in_force: InForce) -> float | None:
    experiment: ExperimentInForce | None = in_force.snapshot.experiment
    return experiment.weight if experiment else None


async def until_weight(in_force: InForce, wanted: float) -> None:
    await until(lambda: weight(in_force) == wanted)


async def test_what_is_there_is_read_at_the_start(valkey_url: str, redis: Redis, never_polls: None) -> None:
    """A sidecar that starts has the snapshot and the halts that were written before."""
    await write(redis, 1, 0.25)
    await redis.hset(KEYS.halts, WARM_SERIES, pack(HALT))
    async with following(valkey_url) as in_force:
        await until(in_force.loaded.is_set)
        assert (weight(in_force), in_force.snapshot.policy.sampling_rate) == (0.25, 0.25)
        assert in_force.halted == {WARM_SERIES}


async def test_an_empty_redis_is_no_snapshot(valkey_url: str, redis: Redis, polls_often: None) -> None:
    """Nothing written: nothing is in force, and nothing is said to be loaded until something is."""
    async with following(valkey_url) as in_force:
        assert not in_force.loaded.is_set()
        await write(redis, 1, 0.5)
        await until(in_force.loaded.is_set)
        assert weight(in_force) == 0.5


async def test_a_snapshot_arrives_by_notice(valkey_url: str, redis: Redis, never_polls: None) -> None:
    """A notice alone is enough: the poll does not look again."""
    async with following(valkey_url) as in_force:
        for version in (1, 2, 3):
            await write(redis, version, version / 10)
            await until_weight(in_force, version / 10)


async def test_a_snapshot_arrives_by_poll(valkey_url: str, redis: Redis, polls_often: None) -> None:
    """The poll alone is enough: no notice was ever published."""
    async with following(valkey_url) as in_force:
        for version in (1, 2, 3):
            await write(redis, version, version / 10, publish=False)
            await until_weight(in_force, version / 10)


async def test_a_halt_arrives_by_poll(valkey_url: str, redis: Redis, polls_often: None) -> None:
    """A halt whose message was lost is found all the same."""
    async with following(valkey_url) as in_force:
        await redis.hset(KEYS.halts, WARM_SERIES, pack(HALT))
        await until(lambda: in_force.halted == {WARM_SERIES})


async def test_the_subscription_is_rebuilt_when_the_poll_wins(valkey_url: str, redis: Redis, polls_often: None) -> None:
    """News that came by poll means a subscription that loses messages: it is replaced by one that works."""
    async with following(valkey_url) as in_force:
        (before,) = [client["id"] for client in await redis.client_list(_type="pubsub")]
        await write(redis, 1, 0.5, publish=False)
        await until(lambda: weight(in_force) == 0.5)

        async def replaced() -> bool:
            return before not in [client["id"] for client in await redis.client_list(_type="pubsub")]

        await eventually(replaced)
        await listening(redis)


async def test_a_halt_in_a_message_is_obeyed(valkey_url: str, redis: Redis, never_polls: None) -> None:
    """The halt is in the notice itself: it holds although Redis has no record of it."""
    async with following(valkey_url) as in_force:
        await redis.publish(KEYS.notices, pack(Notice(halt=HALT)))
        await until(lambda: in_force.halted == {WARM_SERIES})


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        b"\x01",
        pack({"halt": 5}),
        pack({"halt": {"series": "x"}}),
        pack(Notice(halt=HALT)).replace(b"warm", b"\xff" * 4),
        b"\x81\xa1x" + b"\x91" * 100_000,
    ],
)
async def test_a_message_that_cannot_be_read_is_a_hint(
    valkey_url: str, redis: Redis, never_polls: None, message: bytes
) -> None:
    """Whatever is published, the source reads what Redis has, and goes on."""
    async with following(valkey_url) as in_force:
        await write(redis, 1, 0.5, publish=False)
        await redis.publish(KEYS.notices, message)
        await until(lambda: weight(in_force) == 0.5)


async def test_a_lower_version_never_replaces_a_higher_one(valkey_url: str, redis: Redis, polls_often: None) -> None:
    """An old controller, or a Redis put back from a copy, does not bring an old policy or experiment back."""
    async with following(valkey_url) as in_force:
        await write(redis, 5, 0.5)
        await until(lambda: weight(in_force) == 0.5)
        older = VersionedPolicy(version=4, policy=Policy(sampling_rate=0.9))
        newer = VersionedExperiment(version=6, experiment=an_experiment(weight=0.6))
        await put(redis, {"policy": pack(older), "experiment": pack(newer)})
        await until(lambda: weight(in_force) == 0.6)
        assert in_force.snapshot.policy.sampling_rate == 0.5
        same = VersionedExperiment(version=6, experiment=an_experiment(weight=0.9))
        newest = VersionedPolicy(version=6, policy=Policy(sampling_rate=0.6))
        await put(redis, {"policy": pack(newest), "experiment": pack(same)})
        await until(lambda: in_force.snapshot.policy.sampling_rate == 0.6)
        assert weight(in_force) == 0.6


async def test_a_deleted_experiment_is_gone(valkey_url: str, redis: Redis, polls_often: None) -> None:
    """A newer version without an experiment ends it for new sessions."""
    async with following(valkey_url) as in_force:
        await write(redis, 1, 0.5)
        await until(lambda: weight(in_force) == 0.5)
        await put(redis, {"experiment": pack(VersionedExperiment(version=2, experiment=None))})
        await until(lambda: weight(in_force) is None)


@pytest.mark.parametrize("field", ["policy", "experiment"])
@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xc1",
        b"\x80",
        pack({"version": "2"}),
        pack({"version": 9})[:-1],
        b"\x81\xa6policy\x81\xa5judge\x81\xa5model\xa1\xff",
        b"\x82\xa7version\x09\xa1x" + b"\x91" * 100_000,
    ],
)
async def test_an_unreadable_snapshot_leaves_the_last_good_one(
    valkey_url: str,
    redis: Redis,
    polls_often: None,
    caplog: pytest.LogCaptureFixture,
    field: str,
    garbage: bytes,
) -> None:
    """It is told, what was in force stays, and the next good one is taken."""
    async with following(valkey_url) as in_force:
        await write(redis, 1, 0.5)
        await until(lambda: weight(in_force) == 0.5)
        await put(redis, {field: garbage})
        await until(lambda: "cannot be read" in caplog.text)
        assert (weight(in_force), in_force.snapshot.policy.sampling_rate) == (0.5, 0.5)
        await write(redis, 2, 0.7)
        await until(lambda: weight(in_force) == 0.7)


async def test_everything_survives_a_redis_that_lost_its_data(valkey_url: str, redis: Redis, polls_often: None) -> None:
    """After FLUSHALL the snapshot and the halts stay in force, and the key for callers is put back."""
    async with following(valkey_url) as in_force:
        await write(redis, 3, 0.5)
        await redis.hset(KEYS.halts, WARM_SERIES, pack(HALT))
        await until(lambda: weight(in_force) == 0.5 and in_force.halted)
        key = in_force.caller_key
        await redis.flushall()
        await until_key(redis, key)
        assert (weight(in_force), in_force.halted) == (0.5, {WARM_SERIES})
        await write(redis, 4, 0.6)
        await until(lambda: weight(in_force) == 0.6)
        assert (in_force.halted, in_force.caller_key) == ({WARM_SERIES}, key)


async def until_key(redis: Redis, key: bytes) -> None:
    """Returns once Redis has this key for callers."""

    async def is_there() -> bool:
        return bool(await redis.get(KEYS.caller_key) == key)

    await eventually(is_there)


async def test_the_key_is_put_back_where_nothing_else_tells_of_a_loss(
    valkey_url: str, redis: Redis, polls_often: None
) -> None:
    """Without snapshot and halts in Redis, as with resource files, a lost key is noticed by itself."""
    async with following(valkey_url, snapshots=False) as in_force:
        key = in_force.caller_key
        assert await redis.get(KEYS.caller_key) == key
        await redis.flushall()
        await until_key(redis, key)


async def test_two_sources_agree_on_the_key(valkey_url: str, redis: Redis, polls_often: None) -> None:
    """All sidecars of an agent hash callers alike, also when another was faster after a loss."""
    async with following(valkey_url) as one, following(valkey_url, snapshots=False) as other:
        assert len(one.caller_key) == 32
        assert one.caller_key == other.caller_key
        await redis.set(KEYS.caller_key, b"k" * 32)
        await until(lambda: one.caller_key == other.caller_key == b"k" * 32)


async def test_many_sources_agree_on_the_key_at_once(redis: Redis) -> None:
    """All start on an empty Redis at the same moment; one of them makes the key, and the others take it."""
    await asyncio.gather(*(redis.ping() for _ in range(10)))
    for _ in range(5):
        await redis.delete(KEYS.caller_key)
        all_in_force = [InForce() for _ in range(10)]
        await asyncio.gather(
            *(RedisSource(redis, KEYS, in_force, snapshots=True).refresh() for in_force in all_in_force)
        )
        assert {in_force.caller_key for in_force in all_in_force} == {await redis.get(KEYS.caller_key)}


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_killed_connections_recover(valkey_url: str, redis: Redis, polls_often: None, kind: str) -> None:
    """Whichever connection breaks, the next snapshot arrives, and somebody listens again."""
    async with following(valkey_url) as in_force:
        await write(redis, 1, 0.1)
        await until(lambda: weight(in_force) == 0.1)
        await redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        await write(redis, 2, 0.2, publish=False)
        await until(lambda: weight(in_force) == 0.2)
        await listening(redis)


async def test_a_new_subscription_reads_what_it_missed(valkey_url: str, redis: Redis, never_polls: None) -> None:
    """What was written while nobody listened is read when the subscription is confirmed, without any poll."""
    async with following(valkey_url) as in_force:
        pipe = redis.pipeline(transaction=True)
        pipe.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        pipe.hset(KEYS.halts, WARM_SERIES, pack(HALT))
        await pipe.execute()
        await until(lambda: in_force.halted == {WARM_SERIES})


async def test_resource_files_are_not_overruled_by_redis(valkey_url: str, redis: Redis, polls_often: None) -> None:
    """Where the snapshot comes from files, only halts and the key are taken from Redis."""
    await write(redis, 9, 0.9)
    async with following(valkey_url, snapshots=False) as in_force:
        await redis.hset(KEYS.halts, WARM_SERIES, pack(HALT))
        await until(lambda: in_force.halted)
        assert weight(in_force) is None
        assert not in_force.loaded.is_set()


async def test_a_full_redis_is_obeyed(valkey_url: str, redis: Redis, polls_often: None) -> None:
    """A Redis that refuses every write still tells its snapshot and its halts; the key follows when there is room."""
    await write(redis, 1, 0.5)
    await redis.hset(KEYS.halts, WARM_SERIES, pack(HALT))
    in_force = InForce()
    async with connected(valkey_url, KEYS) as own:
        await redis.config_set("maxmemory", 1)
        follower = asyncio.create_task(RedisSource(own, KEYS, in_force, snapshots=True).follow())
        try:
            await until(lambda: weight(in_force) == 0.5 and in_force.halted == {WARM_SERIES})
            assert not in_force.keyed.is_set()
            await redis.config_set("maxmemory", 0)
            await until(in_force.keyed.is_set)
        finally:
            await redis.config_set("maxmemory", 0)
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)


async def test_redis_away_is_told_once(
    valkey_url: str, redis: Redis, polls_often: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Redis is away it is tried for ever, and each of the two ways of listening says so once."""
    monkeypatch.setattr(redis_source, "RETRY_SECONDS", (0.001,))
    attempts = 0

    async def refused() -> None:
        nonlocal attempts
        attempts += 1
        raise ConnectionError("refused")

    source = RedisSource(redis, KEYS, InForce(), snapshots=True)
    monkeypatch.setattr(source, "_poll", refused)
    monkeypatch.setattr(source, "_subscribe", refused)
    follower = asyncio.create_task(source.follow())
    await until(lambda: attempts > 20)
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
    assert caplog.text.count("going on with the last snapshot") == 2


def _kept_since(last_good: LastGood, at: float) -> bool:
    kept = last_good.load()
    return kept is not None and kept.heard_at > at


async def test_when_redis_was_heard_is_kept_though_nothing_is_new(
    redis: Redis, polls_often: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A sidecar that starts while Redis is away takes its snapshot for as old as Redis is silent, not as the change."""
    monkeypatch.setattr(redis_source, "KEPT_SECONDS", 0.0)
    await write(redis, 1, 0.5)
    in_force, last_good = InForce(), LastGood(tmp_path)
    source = RedisSource(redis, KEYS, in_force, snapshots=True, last_good=last_good)
    follower = asyncio.create_task(source.follow())
    try:
        await until(lambda: in_force.keyed.is_set() and in_force.heard_at < math.inf)
        for _ in range(2):
            await until(partial(_kept_since, last_good, in_force.heard_at))
    finally:
        follower.cancel()
        await asyncio.gather(follower, return_exceptions=True)
    started = InForce()
    RedisSource(redis, KEYS, started, snapshots=True, last_good=last_good)
    kept = last_good.load()
    assert kept
    assert started.heard_at == kept.heard_at
    assert weight(started) == 0.5
