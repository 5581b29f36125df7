"""The logs as they are read: scores and failed judgements together, in the order of their time."""

from redis.asyncio import Redis
from scored import failed, scored

from sluicegate.keys import Keys
from sluicegate.snapshot import pack
from sluicegate_operator.analysis.scores import Scores

KEYS = Keys("default", "receptionist")


async def test_both_logs_are_read_once_in_the_order_of_time(redis: Redis) -> None:
    """A dead letter between two scores comes between them; what cannot be attributed is passed over."""
    await redis.xadd(KEYS.log, {"d": pack(scored(1))}, id="1000-0")
    await redis.xadd(KEYS.dead, {"d": b"", "failed": pack(failed(2))}, id="2000-0")
    await redis.xadd(KEYS.dead, {"d": b"", "failed": b""}, id="2500-0")
    await redis.xadd(KEYS.log, {"d": pack(scored(3))}, id="3000-0")
    scores = Scores(redis, KEYS)
    arrivals, cursor = await scores.since()
    assert [(arrival.at, arrival.record) for arrival in arrivals] == [
        (1.0, scored(1)),
        (2.0, failed(2)),
        (3.0, scored(3)),
    ]
    assert cursor.now > 1e9
    assert (await scores.since(cursor))[0] == []


async def test_pages_are_read_to_their_end(redis: Redis) -> None:
    """2,500 entries take three readings."""
    pipe = redis.pipeline()
    for number in range(2_500):
        pipe.xadd(KEYS.log, {"d": pack(scored(number))})
    await pipe.execute()
    arrivals, _ = await Scores(redis, KEYS).since()
    assert [arrival.record.session_id for arrival in arrivals] == [scored(n).session_id for n in range(2_500)]
