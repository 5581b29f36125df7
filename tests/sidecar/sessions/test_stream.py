"""The stream of sessions, on a real server: what is acknowledged, and what is there then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest
import zstandard
from captured import DAY, a_captured, agent, call, output, user
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from sluicegate.keys import Keys
from sluicegate_sidecar.errors import OutOfOrder, QueueFull, RedisAway, TooLarge
from sluicegate_sidecar.limits import Limits
from sluicegate_sidecar.routing.assignment import Attribution
from sluicegate_sidecar.sessions.operations import Append, Close, Record
from sluicegate_sidecar.sessions.session import Item
from sluicegate_sidecar.sessions.stream import MAX_PAYLOAD_BYTES, Kept, SessionStream, decode, encode

KEYS = Keys("default", "receptionist")
NOW = 1_767_312_000.0
TOMORROW, DAY_AFTER = "2026-01-03", "2026-01-04"


@pytest.fixture
def stream(redis: Redis) -> SessionStream:
    return SessionStream(redis, KEYS)


async def queued(redis: Redis) -> list[str]:
    return [decode(fields[b"d"]).session_id for _, fields in await redis.xrange(KEYS.queue)]


async def account(redis: Redis) -> dict[str, int]:
    return {name.decode(): int(count) for name, count in (await redis.hgetall(KEYS.account)).items()}


@asynccontextmanager
async def full(redis: Redis) -> AsyncIterator[None]:
    """A Redis that has no room."""
    await redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        await redis.config_set("maxmemory", 0)


async def test_a_sampled_session_is_queued(redis: Redis, stream: SessionStream) -> None:
    """Accepted means: on the stream, whole, remembered for longer than it may wait, and counted."""
    session = a_captured("s-1")
    assert await stream.record(session, sampled=True) == Kept("accepted", sampled=True, closed=True)
    ((_, fields),) = await redis.xrange(KEYS.queue)
    assert decode(fields[b"d"]) == session
    assert await redis.hgetall(KEYS.seen(DAY)) == {b"s-1": b"q"}
    assert await redis.ttl(KEYS.seen(DAY)) > 7 * 24 * 3600
    assert await account(redis) == {"acknowledged": 1}


async def test_a_session_that_is_not_sampled_is_counted(redis: Redis, stream: SessionStream) -> None:
    """Accepted, remembered and counted, and nothing of its content is in Redis."""
    session = a_captured("s-1", (user("a very particular sentence"),))
    assert await stream.record(session, sampled=False) == Kept("accepted", sampled=False, closed=True)
    assert await account(redis) == {"acknowledged": 1, "not_sampled": 1}
    assert await redis.xlen(KEYS.queue) == 0
    assert {key.decode() for key in await redis.keys("*")} == {KEYS.account, KEYS.seen(DAY)}


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("day", [DAY, TOMORROW])
async def test_a_session_is_taken_once(redis: Redis, stream: SessionStream, day: str, sampled: bool) -> None:
    """Told again on the same day or the next one it is a duplicate, whose sampling is that of the first time."""
    await stream.record(a_captured("s-1"), sampled=sampled)
    again = a_captured("s-1", (user("something else"),), recorded_day=day)
    for told_sampled in (True, False):
        assert await stream.record(again, sampled=told_sampled) == Kept("duplicate", sampled=sampled, closed=True)
    assert (await account(redis))["acknowledged"] == 1
    assert await redis.xlen(KEYS.queue) == int(sampled)


async def test_an_id_is_forgotten_after_the_next_day(redis: Redis, stream: SessionStream) -> None:
    """Two days later the id is another session's."""
    await stream.record(a_captured("s-1"), sampled=True)
    later = a_captured("s-1", recorded_day=DAY_AFTER)
    assert (await stream.record(later, sampled=True)).outcome == "accepted"


async def test_an_id_is_known_from_the_next_day(redis: Redis, stream: SessionStream) -> None:
    """Another sidecar took it just after midnight, and ours has it from before: by its clock, or in its spool."""
    await stream.record(replace(a_captured("s-1"), recorded_day=TOMORROW), sampled=True)
    assert (await stream.record(a_captured("s-1"), sampled=True)).outcome == "duplicate"
    start = Append(session=replace(a_captured("s-1"), items=()), sampled=True, sequence=1, at=NOW)
    assert (await stream.apply(start, NOW)).closed
    assert await account(redis) == {"acknowledged": 1}


async def test_the_day_before_is_that_of_the_calendar(stream: SessionStream) -> None:
    """Over the end of a month, of February and of a year."""
    for before, after in (("2026-01-31", "2026-02-01"), ("2028-02-29", "2028-03-01"), ("2025-12-31", "2026-01-01")):
        await stream.record(a_captured(after, recorded_day=before), sampled=True)
        assert (await stream.record(a_captured(after, recorded_day=after), sampled=True)).outcome == "duplicate"


@pytest.mark.parametrize("state", [b"q", b"d", b"1767312000000-0"])
async def test_whatever_became_of_a_session_it_is_a_duplicate(
    redis: Redis, stream: SessionStream, state: bytes
) -> None:
    """Waiting, dead or scored: told again, it was sampled, and it is not judged once more."""
    await redis.hset(KEYS.seen(DAY), "s-1", state)
    assert await stream.record(a_captured("s-1"), sampled=True) == Kept("duplicate", sampled=True, closed=True)
    assert await redis.xlen(KEYS.queue) == 0


async def test_many_at_once_are_one(redis: Redis, stream: SessionStream) -> None:
    """Told by many callers at the same time, one is accepted."""
    outcomes = await asyncio.gather(*(stream.record(a_captured("s-1"), sampled=True) for _ in range(30)))
    assert sorted(kept.outcome for kept in outcomes) == ["accepted", *["duplicate"] * 29]
    assert await queued(redis) == ["s-1"]


async def test_a_full_queue_takes_nothing(redis: Redis) -> None:
    """At its limit: QueueFull, and nothing was kept or counted; duplicates and what is not sampled still are told."""
    stream = SessionStream(redis, KEYS, Limits(waiting_sessions=1))
    await stream.record(a_captured("s-1"), sampled=True)
    before = await account(redis)
    with pytest.raises(QueueFull, match="1 sessions wait"):
        await stream.record(a_captured("s-2"), sampled=True)
    assert await account(redis) == before
    assert not await redis.hexists(KEYS.seen(DAY), "s-2")
    assert (await stream.record(a_captured("s-1"), sampled=True)).outcome == "duplicate"
    assert (await stream.record(a_captured("s-3"), sampled=False)).outcome == "accepted"
    await redis.xtrim(KEYS.queue, maxlen=0)
    assert (await stream.record(a_captured("s-2"), sampled=True)).outcome == "accepted"


@pytest.mark.parametrize("sampled", [True, False])
async def test_a_full_redis_takes_nothing(redis: Redis, stream: SessionStream, sampled: bool) -> None:
    """Out of memory: QueueFull, nothing was kept, and told again when there is room, the session is accepted."""
    async with full(redis):
        with pytest.raises(QueueFull, match="out of memory"):
            await stream.record(a_captured("s-1"), sampled=sampled)
    assert await redis.dbsize() == 0
    assert (await stream.record(a_captured("s-1"), sampled=sampled)).outcome == "accepted"


async def test_scripts_are_loaded_again(redis: Redis, stream: SessionStream) -> None:
    """A Redis that was started anew does not know the script, and gets it."""
    await stream.record(a_captured("s-1"), sampled=True)
    await redis.script_flush()
    assert (await stream.record(a_captured("s-2"), sampled=True)).outcome == "accepted"


async def test_redis_away_is_told_as_such() -> None:
    """Nobody listens: RedisAway, for every operation."""
    async with Redis.from_url("redis://127.0.0.1:1/0", retry=None) as nobody:
        stream = SessionStream(nobody, KEYS)
        operations = (
            Record(session=a_captured(), sampled=True),
            Append(session=a_captured(), sampled=True, sequence=1, at=NOW),
            Close(session_id="s-1", sequence=0, end_reason="COMPLETED", ended_at=NOW),
        )
        for operation in operations:
            with pytest.raises(RedisAway):
                await stream.apply(operation, NOW)


async def test_an_error_of_redis_is_redis_away(redis: Redis, stream: SessionStream) -> None:
    """Whatever Redis answers that is no answer: the agent is told to come again."""
    await redis.set(KEYS.queue, "not a stream")
    with pytest.raises(RedisAway):
        await stream.record(a_captured("s-1"), sampled=True)
    assert await account(redis) == {}


ATTRIBUTION = Attribution(
    experiment="greeting",
    run_id="run-1",
    variant="warm",
    control="control",
    reason="SPLIT",
    step=1,
    weight=0.5,
    assigned_at=1.5,
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
ITEM = st.builds(
    Item,
    kind=st.sampled_from(["message", "function_call", "function_call_output", "handoff", "interruption", "error"]),
    at=st.floats(0, 1e10),
    role=st.sampled_from(["", "system", "user", "assistant"]),
    text=TEXT,
    call_id=TEXT,
    name=TEXT,
    is_error=st.booleans(),
)


@given(st.lists(ITEM, min_size=1, max_size=20), st.none() | st.just(ATTRIBUTION), TEXT)
def test_what_is_written_is_what_is_read(items: list[Item], attribution: Attribution | None, session_id: str) -> None:
    """A payload brings back the session that went into it."""
    session = a_captured(session_id, tuple(items), attribution=attribution)
    assert decode(encode(session)) == session


def test_the_largest_session_that_is_taken_can_be_read() -> None:
    """As many items as are allowed, as large as they may be in all, within the limit of a payload."""
    session = a_captured(items=tuple(call("n" * 12, "x" * 500) for _ in range(2000)))
    assert decode(encode(session)) == session


GOOD = msgspec.msgpack.encode(a_captured())


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"garbage", id="garbage"),
        pytest.param(GOOD, id="not compressed"),
        pytest.param(encode(a_captured())[:-5], id="half of it"),
        pytest.param(zstandard.compress(b""), id="nothing, compressed"),
        pytest.param(zstandard.compress(GOOD[:-5]), id="half of it, compressed"),
        pytest.param(zstandard.compress(GOOD + b"\x00"), id="something behind it"),
        pytest.param(zstandard.compress(msgspec.msgpack.encode(5)), id="a number"),
        pytest.param(zstandard.compress(msgspec.msgpack.encode({"session_id": "s-1"})), id="fields missing"),
        pytest.param(zstandard.compress(GOOD.replace(b"COMPLETED", b"\xff" * 9)), id="no UTF-8"),
        pytest.param(zstandard.compress(b"\x81\xa1x" + b"\x91" * 100_000 + b"\x01"), id="too deep"),
        pytest.param(zstandard.compress(bytes(MAX_PAYLOAD_BYTES + 1)), id="too large"),
        pytest.param(b"\x28\xb5\x2f\xfd\xe0" + (2**60).to_bytes(8, "little") + b"x" * 20, id="says it is huge"),
    ],
)
def test_what_is_no_session_is_refused(payload: bytes) -> None:
    """ValueError, whatever it is, and no more memory than a session may take."""
    with pytest.raises(ValueError, match=r"^not a session"):
        decode(payload)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_session_or_refused(payload: bytes) -> None:
    """Nothing but ValueError comes out of bytes that are not a session, compressed or not."""
    for candidate in (payload, zstandard.compress(payload)):
        with pytest.raises(ValueError, match=r"^not a session"):
            decode(candidate)


def start(session_id: str = "s-1") -> Append:
    session = a_captured(session_id, ended_at=0.0)
    return Append(session=replace(session, items=()), sampled=True, sequence=1, at=NOW)


def appended(sequence: int, *items: Item, session_id: str = "s-1") -> Append:
    return msgspec.structs.replace(start(session_id), sequence=sequence, items=items)


def end(sequence: int, session_id: str = "s-1") -> Close:
    return Close(session_id=session_id, sequence=sequence, end_reason="COMPLETED", ended_at=NOW)


async def test_an_open_session_is_queued_when_it_ends(redis: Redis, stream: SessionStream) -> None:
    """Item by item, and at its end on the stream as if it had been told whole; it is counted once."""
    assert await stream.apply(start(), NOW) == Kept("accepted", sampled=True)
    assert (await stream.apply(appended(1, user("a")), NOW)).sequence == 1
    assert (await stream.apply(appended(2, call("t"), output("o")), NOW)).sequence == 3
    assert await queued(redis) == []
    kept = await stream.apply(end(3), NOW)
    assert (kept.outcome, kept.sampled, kept.closed) == ("accepted", True, True)
    ((_, fields),) = await redis.xrange(KEYS.queue)
    session = decode(fields[b"d"])
    assert session.items == (user("a"), call("t"), output("o"))
    assert (session.ended_at, session.end_reason, session.recorded_day) == (NOW, "COMPLETED", DAY)
    assert await account(redis) == {"acknowledged": 1}
    assert not await redis.exists(KEYS.open, KEYS.open_session("s-1"))
    assert (await stream.record(a_captured("s-1"), sampled=True)).outcome == "duplicate"


async def test_an_item_told_twice_is_kept_once(redis: Redis, stream: SessionStream) -> None:
    """After a broken connection an agent tells again what it is not sure of."""
    await stream.apply(appended(1, user("a"), agent("b")), NOW)
    kept = await stream.apply(appended(1, user("a"), agent("b"), user("c")), NOW)
    assert kept.sequence == 3
    opened = await stream.open_session("s-1")
    assert opened is not None
    assert opened.session.items == (user("a"), agent("b"), user("c"))


async def test_a_gap_is_refused_unless_it_is_known(stream: SessionStream) -> None:
    """An item before its time names the last one that is kept; what was acknowledged and lost since is skipped."""
    await stream.apply(appended(1, user("a")), NOW)
    with pytest.raises(OutOfOrder, match="the last item that is kept is 1"):
        await stream.apply(appended(3, user("c")), NOW)
    with pytest.raises(OutOfOrder):
        await stream.apply(end(2), NOW)
    assert (await stream.apply(appended(3, user("c")), NOW, gaps=True)).sequence == 3


async def test_an_end_that_the_session_went_past_is_none(redis: Redis, stream: SessionStream) -> None:
    """Its number is that of an item which is kept: it is acknowledged as that item would be, and nothing is closed."""
    await stream.apply(appended(1, user("a"), agent("b")), NOW)
    for last_item in (0, 1):
        assert await stream.apply(end(last_item), NOW) == Kept("duplicate", sampled=True, sequence=2)
    assert await queued(redis) == []
    assert (await stream.apply(appended(3, user("c")), NOW)).sequence == 3
    assert (await stream.apply(end(3), NOW)).closed
    assert await queued(redis) == ["s-1"]


async def test_what_comes_after_the_end_is_late(redis: Redis, stream: SessionStream) -> None:
    """Items of a closed session are kept apart and counted, and change nothing of what is judged."""
    await stream.apply(appended(1, user("a")), NOW)
    await stream.apply(end(1), NOW)
    assert (await stream.apply(appended(2, user("b")), NOW)).outcome == "late"
    assert (await stream.apply(end(1), NOW)).outcome == "duplicate"
    assert await account(redis) == {"acknowledged": 1, "late": 1}
    assert (await redis.xlen(KEYS.late), await redis.xlen(KEYS.queue)) == (1, 1)


async def test_a_whole_session_takes_the_place_of_an_open_one(redis: Redis, stream: SessionStream) -> None:
    """Told as it happened and then whole: one session, acknowledged once, with the whole transcript."""
    await stream.apply(appended(1, user("a")), NOW)
    whole = a_captured("s-1", (user("a"), agent("b")))
    assert (await stream.record(whole, sampled=True)).outcome == "accepted"
    ((_, fields),) = await redis.xrange(KEYS.queue)
    assert decode(fields[b"d"]).items == (user("a"), agent("b"))
    assert await account(redis) == {"acknowledged": 1}
    assert await stream.open_session("s-1") is None


async def test_open_sessions_are_bounded(redis: Redis) -> None:
    """So many sessions are open at once, of so many items, and not one more."""
    stream = SessionStream(redis, KEYS, Limits(open_sessions=1, session_items=2))
    await stream.apply(appended(1, user("a")), NOW)
    with pytest.raises(QueueFull, match="1 sessions are open"):
        await stream.apply(start("s-2"), NOW)
    await stream.apply(appended(2, user("b")), NOW)
    with pytest.raises(TooLarge):
        await stream.apply(appended(3, user("c")), NOW)
    await stream.apply(end(2), NOW)
    assert (await stream.apply(start("s-2"), NOW)).outcome == "accepted"


async def test_a_full_redis_takes_no_items(redis: Redis, stream: SessionStream) -> None:
    """Out of memory: neither the start nor an item is acknowledged, and what is kept stays."""
    await stream.apply(appended(1, user("a")), NOW)
    async with full(redis):
        for operation in (appended(2, user("b")), start("s-2")):
            with pytest.raises(QueueFull):
                await stream.apply(operation, NOW)
    opened = await stream.open_session("s-1")
    assert opened is not None
    assert opened.sequence == 1
