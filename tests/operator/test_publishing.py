"""The published report: written when there is news, not too often, and again after it was deleted."""

import pytest
from redis.asyncio import Redis
from reports import KEYS, Run

from sluicegate.records import ScoreRecord
from sluicegate.snapshot import pack
from sluicegate_operator.analysis.scores import Scores
from sluicegate_operator.delivery.reports import MOST_REPORTS, Reports
from sluicegate_operator.errors import RedisAway
from sluicegate_operator.publishing import COST, PAUSE_SECONDS, Publishing
from sluicegate_operator.reporting.report import Report, decode

NAME = "warmer-greeting"


class Clock:
    """Seconds that a test lets pass."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Counted(Reports):
    """Reports, and how many were written."""

    writes = 0

    async def put(self, experiment: str, document: bytes) -> None:
        self.writes += 1
        await super().put(experiment, document)


async def logged(redis: Redis, run: Run) -> None:
    pipe = redis.pipeline()
    for arrival in run.log:
        if isinstance(arrival.record, ScoreRecord):
            pipe.xadd(KEYS.log, {"d": pack(arrival.record)}, id=arrival.entry)
    await pipe.execute()


async def stored(redis: Redis) -> Report:
    document = await Reports(redis, KEYS).get(NAME)
    assert document is not None
    return decode(document)


async def offered(publishing: Publishing, run: Run, now: float = 0.0) -> None:
    assert run.outcome is not None
    assert run.evidence is not None
    await publishing.offer(run.outcome.state, run.evidence, run.recording, now)


async def test_news_are_written_and_the_same_again_is_not(redis: Redis) -> None:
    """Whatever the time, the same evidence is written once; and the reasons come from the log."""
    clock, reports, run = Clock(), Counted(redis, KEYS), Run().sessions(60)
    publishing = Publishing(reports, Scores(redis, KEYS), clock)
    await logged(redis, run)
    for _ in range(5):
        await offered(publishing, run)
        clock.now += 1_000
    assert reports.writes == 1
    report = await stored(redis)
    assert report.worst[0].reasons["tone"].startswith("The agent earned")
    await offered(publishing, Run().sessions(65))
    assert reports.writes == 2


async def test_it_is_not_written_oftener_than_every_few_seconds(redis: Redis) -> None:
    """News that come sooner wait for their turn."""
    clock, reports = Clock(), Counted(redis, KEYS)
    publishing = Publishing(reports, Scores(redis, KEYS), clock)
    for sessions in range(10):
        await offered(publishing, Run().sessions(sessions))
        clock.now += PAUSE_SECONDS / 4
    assert reports.writes == 3


async def test_a_costly_report_is_written_more_rarely(redis: Redis) -> None:
    """At most a twentieth of the time goes into reports."""
    clock = Clock()

    class Slow(Counted):
        async def put(self, experiment: str, document: bytes) -> None:
            clock.now += 10
            await super().put(experiment, document)

    reports = Slow(redis, KEYS)
    publishing = Publishing(reports, Scores(redis, KEYS), clock)
    await offered(publishing, Run().sessions(1))
    clock.now += 10 * COST - 1
    await offered(publishing, Run().sessions(2))
    assert reports.writes == 1
    clock.now += 2
    await offered(publishing, Run().sessions(2))
    assert reports.writes == 2


async def test_a_deleted_report_is_written_again_without_what_was_erased(redis: Redis) -> None:
    """Erasing a session deletes the reports; the next one is made of what is still in the log."""
    clock, reports, run = Clock(), Counted(redis, KEYS), Run().sessions(60)
    publishing = Publishing(reports, Scores(redis, KEYS), clock)
    await logged(redis, run)
    await offered(publishing, run)
    worst = (await stored(redis)).worst[0].session_id
    entry = next(arrival.entry for arrival in run.log if arrival.record.session_id == worst)
    await redis.xdel(KEYS.log, entry)
    await redis.delete(KEYS.reports)
    clock.now += 100
    await offered(publishing, run)
    again = await stored(redis)
    assert worst not in {session.session_id for session in again.worst}
    assert len(again.worst) == 10


async def test_a_redis_that_is_away_is_no_error_of_the_controller(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and tried again with the next news."""
    async with Redis.from_url("redis://127.0.0.1:1/0") as away:
        await offered(Publishing(Reports(away, KEYS), Scores(away, KEYS)), Run().sessions(1))
        with pytest.raises(RedisAway, match="the report of x cannot be read"):
            await Reports(away, KEYS).get("x")
        with pytest.raises(RedisAway, match="the report of x cannot be written"):
            await Reports(away, KEYS).put("x", b"{}")
    assert "the report is written later" in caplog.text


async def test_reports_have_an_end_in_number_and_in_time(redis: Redis) -> None:
    """After the twentieth experiment of an agent the earlier ones go; without a controller all go after a month."""
    reports = Reports(redis, KEYS)
    for number in range(MOST_REPORTS):
        await reports.put(f"experiment-{number}", b"{}")
    await reports.put("experiment-3", b"{}")
    assert await redis.hlen(KEYS.reports) == MOST_REPORTS
    await reports.put("one-more", b"{}")
    assert await redis.hkeys(KEYS.reports) == [b"one-more"]
    assert 29 * 86_400 < await redis.ttl(KEYS.reports) <= 30 * 86_400
    assert await reports.has("one-more")
    assert not await reports.has("experiment-3")
