"""The judge worker, on a real server, with a judge that does as it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from captured import DAY, a_captured, agent, call, eventually, until, user
from redis.asyncio import Redis

from sluicegate.keys import JUDGES, Keys
from sluicegate.policy import Budget, Capture, Content, Policy, Price
from sluicegate.records import FailedJudgement, ScoreRecord
from sluicegate.revision import judge_revision
from sluicegate_sidecar.errors import JudgementFailed, JudgeUnavailable, RedisAway, RequestRefused, ScoreRefused
from sluicegate_sidecar.judging import breaker
from sluicegate_sidecar.judging import jobs as jobs_module
from sluicegate_sidecar.judging import worker as worker_module
from sluicegate_sidecar.judging.jobs import TAKEN_OVER_AFTER_MS, Job, Jobs
from sluicegate_sidecar.judging.trial import TRIAL
from sluicegate_sidecar.judging.verdict import Verdict
from sluicegate_sidecar.judging.worker import CONCURRENCY, MAX_ATTEMPTS, MAX_DELIVERIES, Worker, score_record
from sluicegate_sidecar.routing.assignment import Attribution
from sluicegate_sidecar.sessions.session import CapturedSession
from sluicegate_sidecar.sessions.stream import encode

KEYS = Keys("default", "receptionist")
POLICY = Policy()
VERDICT = Verdict(scores={"tone": 4}, reasons={"tone": "polite"}, model="m-1", prompt_tokens=9, completion_tokens=2)


class Told:
    """A judge that raises what it was told to for a session, once each, and gives a good verdict after that."""

    def __init__(self) -> None:
        self.raises: dict[str, list[Exception]] = {}
        self.calls: list[str] = []
        self.present = asyncio.Event()
        self.present.set()

    async def judge(self, session: CapturedSession, policy: Policy) -> tuple[Verdict, bool]:
        self.calls.append(session.session_id)
        await self.present.wait()
        for error in self.raises.get(session.session_id, [])[:1]:
            self.raises[session.session_id].remove(error)
            raise error
        return VERDICT, False


class Desk:
    """A worker's surroundings: the queue, the judge, and the scores that came out."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.policy = POLICY
        self.judge = Told()
        self.scored: list[ScoreRecord] = []
        self.emit_raises: list[Exception] = []
        self.ends: list[str] = []
        """How each call of the judge ended."""
        self.limit = ""
        self.asked = 0

    async def emit(self, job: Job, session: CapturedSession, record: ScoreRecord, policy: Policy) -> None:
        if self.emit_raises:
            raise self.emit_raises.pop(0)
        assert policy is self.policy
        await self.redis.xack(KEYS.queue, JUDGES, job.entry_id)
        await self.redis.xdel(KEYS.queue, job.entry_id)
        self.scored.append(record)

    async def reached(self, budget: Budget) -> str:
        self.asked += 1
        return self.limit

    async def queue(self, *sessions: CapturedSession) -> None:
        for session in sessions:
            await self.redis.xadd(KEYS.queue, {"d": encode(session)})

    @asynccontextmanager
    async def working(self, name: str = "a") -> AsyncIterator[asyncio.Task[None]]:
        jobs = Jobs(self.redis, KEYS, name)
        worker = Worker(jobs, self.judge, lambda: self.policy, self.emit, self.reached, self.ends.append)
        task = asyncio.create_task(worker.run())
        try:
            yield task
        finally:
            self.judge.present.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def dead(self) -> list[tuple[str, str]]:
        """Session and reason of each dead letter."""
        return [
            (letter[b"session"].decode(), letter[b"reason"].decode())
            for _, letter in await self.redis.xrange(KEYS.dead)
        ]

    async def pending(self) -> int:
        summary = await self.redis.xpending(KEYS.queue, JUDGES)
        return int(summary["pending"])

    @property
    def sessions(self) -> list[str]:
        return [record.session_id for record in self.scored]


class NoWaits:
    """Stands in for `random`: every wait of the worker is over at once."""

    @staticmethod
    def uniform(_low: float, _high: float) -> float:
        return 0.0


@pytest.fixture
def desk(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(jobs_module, "BLOCK_MS", 5)
    monkeypatch.setattr(worker_module, "random", NoWaits)
    monkeypatch.setattr(breaker, "FIRST_WAIT_SECONDS", 0.0)
    return Desk(redis)


async def test_sessions_are_judged_and_handed_on(desk: Desk) -> None:
    """Every session in the queue gets one score, also those that come while the worker runs."""
    await desk.queue(*(a_captured(f"s-{i}") for i in range(20)))
    async with desk.working():
        await until(lambda: len(desk.scored) == 20)
        await desk.queue(a_captured("s-20"))
        await until(lambda: len(desk.scored) == 21)
    assert sorted(desk.sessions) == sorted(f"s-{i}" for i in range(21))
    assert await desk.dead() == []


async def test_only_so_many_are_judged_at_once(desk: Desk) -> None:
    """A worker takes no more than it can have in hand; the rest stays in the queue for others."""
    desk.judge.present.clear()
    await desk.queue(*(a_captured(f"s-{i}") for i in range(CONCURRENCY + 5)))
    async with desk.working():
        await until(lambda: len(desk.judge.calls) == CONCURRENCY)
        assert await desk.pending() == CONCURRENCY
        desk.judge.present.set()
        await until(lambda: len(desk.scored) == CONCURRENCY + 5)


async def test_a_failed_judgement_is_tried_again(desk: Desk) -> None:
    """A judge that fails less often than it may gives a score in the end, and one only."""
    desk.judge.raises["s-1"] = [JudgementFailed("7 is no score")] * (MAX_ATTEMPTS - 1)
    await desk.queue(a_captured("s-1"))
    async with desk.working():
        await until(lambda: desk.scored)
    assert desk.judge.calls == ["s-1"] * MAX_ATTEMPTS
    assert (desk.sessions, await desk.dead()) == (["s-1"], [])


async def test_a_judgement_that_fails_for_good_is_a_dead_letter(desk: Desk) -> None:
    """After the last attempt: the reason and no score, and the next session is judged."""
    desk.judge.raises["bad"] = [JudgementFailed(f"failure {i}") for i in range(1, MAX_ATTEMPTS + 5)]
    await desk.queue(a_captured("bad"), a_captured("good"))
    async with desk.working():
        await eventually(desk.dead)
        await until(lambda: desk.scored)
    assert await desk.dead() == [("bad", f"failure {MAX_ATTEMPTS}")]
    assert await desk.redis.hget(KEYS.seen(DAY), "bad") == b"d"
    assert (desk.sessions, desk.judge.calls.count("bad")) == (["good"], MAX_ATTEMPTS)
    assert await desk.redis.xlen(KEYS.queue) == 0


async def test_failed_judgements_are_paid_for_too(desk: Desk) -> None:
    """The score, or the dead letter, names the tokens of all attempts, and what they cost."""
    desk.policy = replace(POLICY, price=Price(input=1_000_000, output=2_000_000))
    desk.judge.raises["s-1"] = [JudgementFailed("7 is no score", 5, 3)]
    desk.judge.raises["bad"] = [JudgementFailed("no", 5, 3) for _ in range(MAX_ATTEMPTS)]
    await desk.queue(a_captured("s-1"), a_captured("bad"))
    async with desk.working():
        await until(lambda: desk.scored)
        await eventually(desk.dead)
    (record,) = desk.scored
    assert (record.prompt_tokens, record.completion_tokens, record.cost) == (9 + 5, 2 + 3, 14 + 2 * 5)
    ((_, letter),) = await desk.redis.xrange(KEYS.dead)
    bill = msgspec.msgpack.decode(letter[b"failed"], type=FailedJudgement)
    assert (bill.prompt_tokens, bill.completion_tokens) == (5 * MAX_ATTEMPTS, 3 * MAX_ATTEMPTS)
    assert bill.cost == 5 * MAX_ATTEMPTS + 2 * 3 * MAX_ATTEMPTS


async def test_sessions_wait_while_the_budget_is_spent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is taken from the queue, none is lost, and the judging goes on when there is money again."""
    monkeypatch.setattr(worker_module, "BROKE_SECONDS", 0.0)
    desk.limit = "3 sessions an hour"
    await desk.queue(a_captured("s-1"))
    async with desk.working():
        await until(lambda: desk.asked > 3)
        assert (desk.judge.calls, await desk.redis.xlen(KEYS.queue)) == ([], 1)
        desk.limit = ""
        await until(lambda: desk.scored)
    assert desk.sessions == ["s-1"]


async def test_a_judge_that_is_away_is_waited_for(desk: Desk) -> None:
    """However long the endpoint is away, no session is buried for it; absences are no failed judgements."""
    failures: list[Exception] = [JudgementFailed("7 is no score")] * (MAX_ATTEMPTS - 1)
    desk.judge.raises["s-1"] = [*failures, *[JudgeUnavailable("connection refused") for _ in range(50)]]
    await desk.queue(a_captured("s-1"))
    async with desk.working():
        await until(lambda: desk.scored)
    assert len(desk.judge.calls) == MAX_ATTEMPTS + 50
    assert await desk.dead() == []


async def test_a_session_whose_request_alone_is_refused_is_a_dead_letter(desk: Desk) -> None:
    """The endpoint takes a trial where it refuses the session to the last attempt: the session is set aside."""
    desk.judge.raises["long"] = [RequestRefused(f"too long, {i}") for i in range(MAX_ATTEMPTS)]
    await desk.queue(a_captured("long"))
    async with desk.working():
        await eventually(desk.dead)
    assert await desk.dead() == [("long", f"too long, {MAX_ATTEMPTS - 1}")]
    assert desk.judge.calls == ["long"] * MAX_ATTEMPTS + [TRIAL.session_id]
    assert desk.ends == ["RequestRefused"] * MAX_ATTEMPTS + ["verdict"]


async def test_a_bad_answer_to_the_trial_is_an_answer(desk: Desk) -> None:
    """The trial asks whether requests are taken, and nothing of the verdict."""
    desk.judge.raises["long"] = [RequestRefused("too long") for _ in range(MAX_ATTEMPTS)]
    desk.judge.raises[TRIAL.session_id] = [JudgementFailed("7 is no score")]
    await desk.queue(a_captured("long"))
    async with desk.working():
        await eventually(desk.dead)
    assert await desk.dead() == [("long", "too long")]


@pytest.mark.parametrize("fault", [RequestRefused("unknown field max_completion_tokens"), JudgeUnavailable("401")])
async def test_an_endpoint_that_refuses_everybody_buries_nobody(
    desk: Desk, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    """More sessions than one worker has in hand, all refused, the trial too: all wait, and are scored when it ends."""
    names = [f"s-{i}" for i in range(CONCURRENCY + 3)]
    refused = 2 * MAX_ATTEMPTS
    for name in names:
        desk.judge.raises[name] = [RequestRefused("unknown field max_completion_tokens") for _ in range(refused)]
    desk.judge.raises[TRIAL.session_id] = [fault for _ in range(len(names) * (refused - MAX_ATTEMPTS + 1))]
    await desk.queue(*map(a_captured, names))
    async with desk.working():
        await until(lambda: len(desk.scored) == len(names))
    assert await desk.dead() == []
    assert sorted(desk.sessions) == sorted(names)
    assert ("refuses every request" in caplog.text) is isinstance(fault, RequestRefused)


async def test_a_session_that_takes_workers_down_is_a_dead_letter(desk: Desk) -> None:
    """Taken up too often without an end, it is set aside before it is judged once more."""
    await desk.queue(a_captured("poison"))
    dead = Jobs(desk.redis, KEYS, "dead")
    await dead.take(1)
    (job,) = await dead.take(1)
    for deliveries, idle in ((MAX_DELIVERIES - 1, 0), (MAX_DELIVERIES, TAKEN_OVER_AFTER_MS + 1000)):
        await desk.redis.xclaim(KEYS.queue, JUDGES, "dead", 0, [job.entry_id], idle=idle, retrycount=deliveries)
    async with desk.working():
        await eventually(desk.dead)
    ((session_id, reason),) = await desk.dead()
    assert session_id == "poison"
    assert reason.startswith(f"taken up {MAX_DELIVERIES + 1} times")
    assert desk.judge.calls == []


async def test_a_session_that_took_fewer_workers_down_is_judged(desk: Desk) -> None:
    """The last delivery that is allowed is a judgement like any other."""
    await desk.queue(a_captured("s-1"))
    dead = Jobs(desk.redis, KEYS, "dead")
    await dead.take(1)
    (job,) = await dead.take(1)
    idle = TAKEN_OVER_AFTER_MS + 1000
    await desk.redis.xclaim(
        KEYS.queue, JUDGES, "dead", 0, [job.entry_id], idle=idle, retrycount=MAX_DELIVERIES - 1, justid=True
    )
    async with desk.working():
        await until(lambda: desk.scored)
    assert (desk.sessions, await desk.dead()) == (["s-1"], [])


@pytest.mark.parametrize("fields", [{"d": b"garbage"}, {"d": b""}, {"x": b"y"}, {"d": encode(a_captured())[:-9]}])
async def test_garbage_is_a_dead_letter(desk: Desk, fields: dict[str, bytes]) -> None:
    """What is no session is set aside as it is, and does not keep the next one waiting."""
    await desk.redis.xadd(KEYS.queue, fields)
    await desk.queue(a_captured("good"))
    async with desk.working():
        await eventually(desk.dead)
        await until(lambda: desk.scored)
    ((session_id, reason),) = await desk.dead()
    assert (session_id, reason[:13]) == ("", "not a session")
    assert desk.sessions == ["good"]


async def test_a_score_that_is_refused_is_a_dead_letter(desk: Desk) -> None:
    """Trying again would not mend it: the session is set aside with what was refused."""
    desk.emit_raises = [ScoreRefused("ended_at: not a time in seconds")]
    await desk.queue(a_captured("s-1"))
    async with desk.working():
        await eventually(desk.dead)
    assert await desk.dead() == [("s-1", "ended_at: not a time in seconds")]


async def test_a_score_waits_for_redis(desk: Desk) -> None:
    """A score that Redis did not take is offered again, without asking the judge again."""
    desk.emit_raises = [RedisAway("refused") for _ in range(20)]
    await desk.queue(a_captured("s-1"))
    async with desk.working():
        await until(lambda: desk.scored)
    assert desk.judge.calls == ["s-1"]


async def test_a_dead_letter_waits_for_redis(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A burial that Redis did not take is tried again."""
    bury, away = Jobs.bury, [RedisAway("refused") for _ in range(20)]

    async def bury_later(jobs: Jobs, *told: Any, content: bool) -> None:
        if away:
            raise away.pop()
        await bury(jobs, *told, content=content)

    monkeypatch.setattr(Jobs, "bury", bury_later)
    await desk.redis.xadd(KEYS.queue, {"d": b"garbage"})
    async with desk.working():
        await eventually(desk.dead)


@pytest.mark.parametrize("where", ["judge", "emit"])
async def test_a_bug_does_not_stop_the_worker(desk: Desk, where: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is told with its trace; the session stays pending, is taken up again later, and the others are judged."""
    bug = ZeroDivisionError("a bug")
    if where == "judge":
        desk.judge.raises["s-0"] = [bug]
    else:
        desk.emit_raises = [bug]
    await desk.queue(a_captured("s-0"))
    async with desk.working():
        await until(lambda: "s-0: unforeseen" in caplog.text)
        assert "ZeroDivisionError" in caplog.text
        await desk.queue(a_captured("s-1"))
        await until(lambda: desk.scored)
        assert desk.sessions == ["s-1"]
        ((entry_id, _),) = await desk.redis.xrange(KEYS.queue)
        idle = TAKEN_OVER_AFTER_MS + 1000
        await desk.redis.xclaim(KEYS.queue, JUDGES, "a", 0, [entry_id], idle=idle, justid=True)
        await until(lambda: desk.sessions == ["s-1", "s-0"])


async def test_redis_away_does_not_stop_the_worker(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without Redis goes on asking for jobs."""
    take, away = Jobs.take, [RedisAway("refused") for _ in range(20)]

    async def take_later(jobs: Jobs, count: int) -> list[Job]:
        if away:
            raise away.pop()
        return await take(jobs, count)

    monkeypatch.setattr(Jobs, "take", take_later)
    await desk.queue(a_captured("s-1"))
    async with desk.working():
        await until(lambda: desk.scored)
    assert not away


async def test_a_worker_that_is_told_to_stop_finishes_what_it_has_in_hand(desk: Desk) -> None:
    """It takes nothing new, hands on the scores of what it had, and leaves the group."""
    desk.judge.present.clear()
    await desk.queue(a_captured("s-1"))
    async with desk.working() as worker:
        await until(lambda: desk.judge.calls)
        worker.cancel()
        await desk.queue(a_captured("late"))
        desk.judge.present.set()
        with pytest.raises(asyncio.CancelledError):
            await worker
    assert desk.sessions == ["s-1"]
    assert await desk.pending() == 0
    assert await desk.redis.xinfo_consumers(KEYS.queue, JUDGES) == []
    assert await desk.redis.xlen(KEYS.queue) == 1


async def test_a_worker_that_cannot_finish_leaves_its_sessions_to_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not done in time stays pending under its name; nothing is lost, and another worker scores it."""
    monkeypatch.setattr(worker_module, "DRAIN_SECONDS", 0.01)
    desk.judge.present.clear()
    await desk.queue(a_captured("s-1"))
    async with desk.working() as worker:
        await until(lambda: desk.judge.calls)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        assert (desk.scored, await desk.pending()) == ([], 1)
    ((entry_id, _),) = await desk.redis.xrange(KEYS.queue)
    idle = TAKEN_OVER_AFTER_MS + 1000
    await desk.redis.xclaim(KEYS.queue, JUDGES, "a", 0, [entry_id], idle=idle, justid=True)
    async with desk.working("b"):
        await until(lambda: desk.sessions == ["s-1"])


async def test_a_slow_judgement_is_not_taken_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker gives signs of life for what it has in hand, until it is done."""
    monkeypatch.setattr(worker_module, "TAKEN_OVER_AFTER_MS", 30)
    kept: list[str] = []
    keep = Jobs.keep

    async def counted(jobs: Jobs, entry_ids: list[str]) -> None:
        await keep(jobs, entry_ids)
        kept.extend(entry_ids)

    monkeypatch.setattr(Jobs, "keep", counted)
    desk.judge.present.clear()
    await desk.queue(a_captured("s-1"))
    async with desk.working():
        await until(lambda: len(kept) >= 3)
        desk.judge.present.set()
        await until(lambda: desk.scored)
    assert desk.judge.calls == ["s-1"]


@pytest.mark.parametrize("content", ["full", "none"])
async def test_a_dead_letter_has_no_content_where_none_may_be_kept(redis: Redis, desk: Desk, content: Content) -> None:
    """The reason and the id are kept in any case; what was said only where the policy lets it be."""
    desk.policy = Policy(capture=Capture(content=content))
    desk.emit_raises = [ScoreRefused("refused")]
    await desk.queue(a_captured("s-1"))
    async with desk.working():
        await eventually(desk.dead)
    ((_, letter),) = await redis.xrange(KEYS.dead)
    assert (letter[b"session"], letter[b"d"] != b"") == (b"s-1", content == "full")


def test_what_is_logged_of_a_session() -> None:
    """The record has the session, its attribution, the verdict and its cost, and the revision of the policy."""
    attribution = Attribution(
        experiment="greeting",
        run_id="run-1",
        variant="warm",
        control="control",
        reason="SPLIT",
        step=2,
        weight=0.5,
        assigned_at=5.0,
    )
    items = (user("a"), agent("b"), call("t"), user("c"))
    session = a_captured("s-1", items, attribution=attribution, sampling_rate=0.25)
    assert score_record(session, VERDICT, True, POLICY) == ScoreRecord(
        session_id="s-1",
        caller_hash="0" * 32,
        experiment="greeting",
        run_id="run-1",
        variant="warm",
        control="control",
        reason="SPLIT",
        step=2,
        weight=0.5,
        assigned_at=5.0,
        sampling_rate=0.25,
        ended_at=session.ended_at,
        end_reason="COMPLETED",
        turn_count=2,
        truncated=True,
        scores={"tone": 4},
        reasons={"tone": "polite"},
        judge_revision=judge_revision(POLICY),
        judge_model="m-1",
        prompt_tokens=9,
        completion_tokens=2,
    )


def test_a_session_without_a_variant_is_logged_without_one() -> None:
    """Nobody asked for an assignment: the record names no experiment, and so stays out of the comparison."""
    record = score_record(a_captured(), VERDICT, False, POLICY)
    assert (record.experiment, record.variant, record.control, record.reason, record.truncated) == (
        "",
        "",
        "",
        "",
        False,
    )
