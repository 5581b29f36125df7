"""The judge's side of the stream, on a real server."""

import asyncio

import pytest
from captured import DAY
from redis.asyncio import Redis

from sluicegate.keys import JUDGES, Keys
from sluicegate_sidecar.errors import RedisAway
from sluicegate_sidecar.judging import jobs as jobs_module
from sluicegate_sidecar.judging.jobs import MAX_REASON_CHARS, TAKEN_OVER_AFTER_MS, Job, Jobs

KEYS = Keys("default", "receptionist")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "BLOCK_MS", 5)


async def queued(redis: Redis, *payloads: bytes) -> list[str]:
    """Entry ids of sessions that wait for the judge."""
    return [(await redis.xadd(KEYS.queue, {"d": payload})).decode() for payload in payloads]


async def worker(redis: Redis, name: str) -> Jobs:
    """The jobs of a worker; the group is there."""
    jobs = Jobs(redis, KEYS, name)
    await jobs.take(1)
    return jobs


async def silence(redis: Redis, owner: str, *entry_ids: str) -> None:
    """Makes jobs of a worker look as if it had given no sign for long enough."""
    idle = TAKEN_OVER_AFTER_MS + 1000
    await redis.xclaim(KEYS.queue, JUDGES, owner, 0, list(entry_ids), idle=idle, justid=True)


async def owners(redis: Redis) -> dict[str, str]:
    """Pending entry → the worker that has it."""
    pending = await redis.xpending_range(KEYS.queue, JUDGES, min="-", max="+", count=1000)
    return {entry["message_id"].decode(): entry["consumer"].decode() for entry in pending}


async def consumers(redis: Redis) -> set[str]:
    return {consumer["name"].decode() for consumer in await redis.xinfo_consumers(KEYS.queue, JUDGES)}


async def test_what_waited_before_the_first_worker_is_taken(redis: Redis) -> None:
    """The group is made when it is missing, and begins with the oldest session."""
    ids = await queued(redis, b"one", b"two")
    jobs = Jobs(redis, KEYS, "a")
    assert await jobs.take(8) == []
    assert await jobs.take(8) == [Job(ids[0], b"one", 1), Job(ids[1], b"two", 1)]
    assert await jobs.take(8) == []


async def test_no_more_is_taken_than_asked_for(redis: Redis) -> None:
    """A worker takes what it has hands for, the oldest first."""
    jobs = await worker(redis, "a")
    ids = await queued(redis, *(b"%d" % i for i in range(5)))
    assert [job.entry_id for job in await jobs.take(2)] == ids[:2]
    assert [job.entry_id for job in await jobs.take(8)] == ids[2:]


async def test_two_workers_share_the_work_without_overlap(redis: Redis) -> None:
    """Each session goes to one of them."""
    one, other = await worker(redis, "a"), await worker(redis, "b")
    ids = await queued(redis, *(b"%d" % i for i in range(60)))
    taken = await asyncio.gather(*(jobs.take(3) for _ in range(10) for jobs in (one, other)))
    assert sorted(job.entry_id for batch in taken for job in batch) == sorted(ids)
    assert set((await owners(redis)).values()) == {"a", "b"}


async def test_two_workers_may_make_the_group(redis: Redis) -> None:
    """Both find it missing; neither is told of the other's haste as an error."""
    one, other = Jobs(redis, KEYS, "a"), Jobs(redis, KEYS, "b")
    await asyncio.gather(*(jobs._create_group() for jobs in (one, other, one)))
    assert await one.take(1) == []


async def test_a_dead_workers_job_is_taken_over(redis: Redis) -> None:
    """After its silence the job goes to another worker, which learns how often it was taken up."""
    dead, alive = await worker(redis, "dead"), await worker(redis, "alive")
    (entry_id,) = await queued(redis, b"payload")
    await dead.take(1)
    assert await alive.take(1) == []
    for deliveries in (2, 3, 4):
        await silence(redis, "dead", entry_id)
        assert await alive.take(1) == [Job(entry_id, b"payload", deliveries)]
    assert await owners(redis) == {entry_id: "alive"}


async def test_jobs_of_dead_workers_go_first_and_to_one_worker(redis: Redis) -> None:
    """Silent jobs come before new ones, and two workers that look at once do not both get one."""
    dead, one, other = [await worker(redis, name) for name in ("dead", "a", "b")]
    old = await queued(redis, *(b"old%d" % i for i in range(6)))
    await dead.take(6)
    await silence(redis, "dead", *old)
    await queued(redis, b"new")
    assert (await one.take(1))[0].entry_id == old[0]
    taken = await asyncio.gather(*(jobs.take(4) for jobs in (one, other)))
    again = [job.entry_id for batch in taken for job in batch if job.deliveries > 1]
    assert sorted(again) == old[1:]


async def test_a_silent_job_goes_to_one_worker(redis: Redis) -> None:
    """However many look at the same moment, and find the same job silent."""
    dead = await worker(redis, "dead")
    (entry_id,) = await queued(redis, b"payload")
    await dead.take(1)
    greedy = [Jobs(redis, KEYS, f"w{i}") for i in range(10)]
    owner = "dead"
    for _ in range(5):
        await asyncio.gather(*(redis.ping() for _ in greedy))
        await silence(redis, owner, entry_id)
        taken = await asyncio.gather(*(jobs._claim(1) for jobs in greedy))
        assert [len(claimed) for claimed in taken if claimed] == [1]
        owner = (await owners(redis))[entry_id]


async def test_a_job_that_is_gone_is_not_taken_over(redis: Redis) -> None:
    """A session that was deleted while it was pending is nobody's job any more."""
    dead, alive = await worker(redis, "dead"), await worker(redis, "alive")
    ids = await queued(redis, b"one", b"two")
    await dead.take(2)
    await redis.xdel(KEYS.queue, ids[0])
    await silence(redis, "dead", *ids)
    taken = [*await alive.take(2), *await alive.take(2)]
    assert [job.entry_id for job in taken] == [ids[1]]


async def test_a_sign_of_life_keeps_a_job(redis: Redis) -> None:
    """Jobs in hand are not taken over while their worker says so, and are not counted as taken up again."""
    slow, greedy = await worker(redis, "slow"), await worker(redis, "greedy")
    kept, left = await queued(redis, b"kept", b"left")
    await slow.take(2)
    await silence(redis, "slow", kept, left)
    await slow.keep([kept])
    assert [job.entry_id for job in await greedy.take(8)] == [left]
    await silence(redis, "slow", kept)
    assert [job.deliveries for job in await greedy.take(8)] == [2]


async def test_a_sign_of_life_takes_nothing_back(redis: Redis) -> None:
    """A worker that was silent for too long does not take its job from the one that has it now."""
    slow, quick = await worker(redis, "slow"), await worker(redis, "quick")
    (entry_id,) = await queued(redis, b"payload")
    await slow.take(1)
    await silence(redis, "slow", entry_id)
    await quick.take(1)
    await slow.keep([entry_id])
    assert await owners(redis) == {entry_id: "quick"}


async def test_a_sign_of_life_and_a_takeover_at_once_leave_one_owner(redis: Redis) -> None:
    """Whichever comes first: who was given the job has it."""
    slow, quick = await worker(redis, "slow"), await worker(redis, "quick")
    (entry_id,) = await queued(redis, b"payload")
    await slow.take(1)
    for _ in range(20):
        await silence(redis, "slow", entry_id)
        taken, _ = await asyncio.gather(quick.take(1), slow.keep([entry_id]))
        assert await owners(redis) == {entry_id: "quick" if taken else "slow"}


async def test_a_sign_of_life_for_nothing_is_nothing(redis: Redis) -> None:
    """Neither an empty hand nor an id that is not pending brings anything about."""
    jobs = await worker(redis, "a")
    (entry_id,) = await queued(redis, b"payload")
    await jobs.keep([])
    await jobs.keep([entry_id, "1-1"])
    assert await owners(redis) == {}


async def test_a_buried_job_is_a_dead_letter(redis: Redis) -> None:
    """In one step it leaves the queue, keeps its payload with the reason, and stays known as a duplicate."""
    jobs = await worker(redis, "a")
    (entry_id,) = await queued(redis, b"payload")
    await jobs.take(1)
    await jobs.bury(entry_id, "s-1", DAY, "no verdict")
    ((_, letter),) = await redis.xrange(KEYS.dead)
    assert letter == {
        b"d": b"payload",
        b"session": b"s-1",
        b"reason": b"no verdict",
        b"day": DAY.encode(),
        b"failed": b"",
    }
    assert await redis.hgetall(KEYS.seen(DAY)) == {b"s-1": b"d"}
    assert 0 < await redis.ttl(KEYS.seen(DAY)) <= 8 * 24 * 3600
    assert (await redis.xlen(KEYS.queue), await owners(redis)) == (0, {})


async def test_burying_again_is_nothing(redis: Redis) -> None:
    """However often and by however many it is buried, there is one dead letter, with the first reason."""
    jobs, other = await worker(redis, "a"), await worker(redis, "b")
    (entry_id,) = await queued(redis, b"payload")
    await jobs.take(1)
    await asyncio.gather(*(who.bury(entry_id, "s-1", DAY, "why") for who in (jobs, other) for _ in range(5)))
    assert await redis.xlen(KEYS.dead) == 1
    await redis.hset(KEYS.seen(DAY), "s-1", "1-1")
    await jobs.bury(entry_id, "s-1", DAY, "later")
    assert (await redis.xlen(KEYS.dead), await redis.hget(KEYS.seen(DAY), "s-1")) == (1, b"1-1")


async def test_burying_does_not_shorten_what_is_remembered(redis: Redis) -> None:
    """The memory of a day ends when its first session said so."""
    jobs = await worker(redis, "a")
    (entry_id,) = await queued(redis, b"payload")
    await redis.hset(KEYS.seen(DAY), "s-0", "n")
    await redis.expire(KEYS.seen(DAY), 1000)
    await jobs.bury(entry_id, "s-1", DAY, "why")
    assert await redis.ttl(KEYS.seen(DAY)) <= 1000


async def test_an_unreadable_session_is_buried_without_a_name(redis: Redis) -> None:
    """What cannot be read has no id; it is set aside all the same, and nothing is remembered under no name."""
    jobs = await worker(redis, "a")
    (entry_id,) = await queued(redis, b"garbage")
    await jobs.bury(entry_id, "", "", "not a session")
    ((_, letter),) = await redis.xrange(KEYS.dead)
    assert (letter[b"session"], letter[b"d"]) == (b"", b"garbage")
    assert await redis.keys("*seen*") == []


async def test_a_reason_is_bounded_and_can_be_stored(redis: Redis) -> None:
    """A reason may quote an endpoint: any length, and half a character in it."""
    jobs = await worker(redis, "a")
    (entry_id,) = await queued(redis, b"payload")
    await jobs.bury(entry_id, "s-1", DAY, "half \ud800 " + "x" * 1_000_000)
    ((_, letter),) = await redis.xrange(KEYS.dead)
    assert letter[b"reason"].startswith(b"half ? x")
    assert len(letter[b"reason"]) == MAX_REASON_CHARS


async def test_a_full_redis_takes_dead_letters(redis: Redis) -> None:
    """A dead letter takes no more room than the session did, and workers that wait for room would never make any."""
    jobs = await worker(redis, "a")
    (entry_id,) = await queued(redis, b"payload")
    await jobs.take(1)
    await redis.config_set("maxmemory", 1)
    try:
        await jobs.bury(entry_id, "s-1", DAY, "why")
    finally:
        await redis.config_set("maxmemory", 0)
    assert (await redis.xlen(KEYS.dead), await redis.xlen(KEYS.queue)) == (1, 0)


async def test_nothing_of_a_burial_is_done_where_one_part_cannot(redis: Redis) -> None:
    """If the dead letters are no stream, the session stays where it was: it is never nowhere."""
    jobs = await worker(redis, "a")
    (entry_id,) = await queued(redis, b"payload")
    await jobs.take(1)
    await redis.set(KEYS.dead, "not a stream")
    with pytest.raises(RedisAway):
        await jobs.bury(entry_id, "s-1", DAY, "why")
    assert await owners(redis) == {entry_id: "a"}
    assert await redis.xlen(KEYS.queue) == 1


async def test_a_worker_that_leaves_takes_its_name_along(redis: Redis) -> None:
    """A consumer without pending jobs is deleted."""
    jobs, _ = await worker(redis, "a"), await worker(redis, "b")
    await jobs.leave()
    assert await consumers(redis) <= {"b"}


async def test_a_worker_that_leaves_throws_nothing_away(redis: Redis) -> None:
    """Pending jobs stay pending, for others to take over."""
    jobs, other = await worker(redis, "a"), await worker(redis, "b")
    (entry_id,) = await queued(redis, b"payload")
    await jobs.take(1)
    await jobs.leave()
    assert await owners(redis) == {entry_id: "a"}
    await silence(redis, "a", entry_id)
    assert await other.take(1) == [Job(entry_id, b"payload", 2)]
    await jobs.leave()
    assert "a" not in await consumers(redis)


async def test_a_redis_that_lost_its_data_is_worked_for_again(redis: Redis) -> None:
    """After FLUSHALL nothing fails: the group is made anew, and what comes is taken."""
    jobs = await worker(redis, "a")
    await queued(redis, b"lost")
    (lost,) = await jobs.take(1)
    await redis.flushall()
    await jobs.bury(lost.entry_id, "s-1", DAY, "gone")
    await jobs.leave()
    assert await redis.dbsize() == 0
    await queued(redis, b"new")
    assert await jobs.take(1) == []
    assert [job.payload for job in await jobs.take(1)] == [b"new"]


async def test_redis_away_is_told_as_such(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody listens: RedisAway from whatever is tried, and a worker can leave nevertheless."""
    async with Redis.from_url("redis://127.0.0.1:1/0", retry=None) as nobody:
        jobs = Jobs(nobody, KEYS, "a")
        for attempt in (jobs.take(1), jobs.keep(["1-1"]), jobs.bury("1-1", "s-1", DAY, "why"), jobs._create_group()):
            with pytest.raises(RedisAway):
                await attempt
        await jobs.leave()
    assert "the consumer a stays in the group" in caplog.text


async def test_a_redis_that_refuses_is_away_too(redis: Redis) -> None:
    """An error reply, as of a server that became a replica, does not end the worker."""
    jobs = Jobs(redis, KEYS, "a")
    await redis.set(KEYS.queue, "not a stream")
    for attempt in (jobs.take(1), jobs.keep(["1-1"]), jobs._create_group()):
        with pytest.raises(RedisAway):
            await attempt
