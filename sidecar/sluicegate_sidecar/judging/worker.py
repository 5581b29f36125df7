"""The judge worker: takes sessions off the stream, has them judged, and hands the scores on."""

import asyncio
import contextlib
import functools
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from sluicegate.policy import Budget, Policy
from sluicegate.records import FailedJudgement, ScoreRecord
from sluicegate.snapshot import gate_table, pack
from sluicegate_sidecar.ending import ending
from sluicegate_sidecar.errors import (
    JudgementFailed,
    JudgeTimeout,
    JudgeUnavailable,
    RedisAway,
    RequestRefused,
    ScoreRefused,
    SluicegateError,
)
from sluicegate_sidecar.judging.breaker import Breaker
from sluicegate_sidecar.judging.jobs import TAKEN_OVER_AFTER_MS, Job, Jobs
from sluicegate_sidecar.judging.trial import TRIAL
from sluicegate_sidecar.judging.verdict import Verdict
from sluicegate_sidecar.sessions.session import CapturedSession
from sluicegate_sidecar.sessions.stream import decode

CONCURRENCY = 8
"""Sessions judged at the same time by one worker."""
MAX_ATTEMPTS = 4
"""Failed judgements of one session, before it becomes a dead letter."""
MAX_DELIVERIES = 5
"""Workers that one session may take down with it, before it becomes a dead letter."""
BROKE_SECONDS = 2.0
"""How long a worker whose budget is spent waits before it looks again."""
DRAIN_SECONDS = 20.0
"""How long a stopping worker waits for the judgements in hand; what is not done by then, others take over."""

log = logging.getLogger(__name__)


class Judge(Protocol):
    """Whoever can grade a session: the verdict, and whether the transcript was cut for it."""

    async def judge(self, session: CapturedSession, policy: Policy) -> tuple[Verdict, bool]: ...


Emit = Callable[[Job, CapturedSession, ScoreRecord, Policy], Awaitable[None]]
Reached = Callable[[Budget], Awaitable[str]]
"""Tells which limit of a budget is reached; empty: none is. RedisAway: it cannot be told."""


class Worker:
    """One worker, judging up to CONCURRENCY sessions at a time."""

    def __init__(
        self,
        jobs: Jobs,
        judge: Judge,
        policy: Callable[[], Policy],
        emit: Emit,
        reached: Reached,
        count: Callable[[str], None],
    ) -> None:
        """`count` is told how each call of the judge ended: verdict, the name of our error, or unforeseen."""
        self._jobs = jobs
        self._count = count
        self._judge = judge
        self._policy = policy
        self._emit = emit
        self._reached = reached
        self._limit = ""
        self._breaker = Breaker(time.monotonic)
        self._in_hand: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Works until cancelled; then finishes what is in hand, for a bounded time, and leaves the group."""
        heartbeat = asyncio.create_task(self._keep_in_hand())
        try:
            while not ending():
                await self._take()
        finally:
            if self._in_hand:
                await asyncio.wait(self._in_hand.values(), timeout=DRAIN_SECONDS)
            for task in [heartbeat, *self._in_hand.values()]:
                task.cancel()
            await asyncio.gather(heartbeat, *self._in_hand.values(), return_exceptions=True)
            await self._jobs.leave()

    async def _take(self) -> None:
        free = CONCURRENCY - len(self._in_hand)
        if free == 0:
            await asyncio.wait(self._in_hand.values(), return_when=asyncio.FIRST_COMPLETED)
            return
        try:
            if await self._is_broke():
                await asyncio.sleep(BROKE_SECONDS)
                return
            jobs = await self._jobs.take(free)
        except RedisAway as error:
            log.warning("%s; trying again", error)
            await asyncio.sleep(random.uniform(0.5, 1.5))
            return
        for job in jobs:
            if job.entry_id not in self._in_hand:
                task = asyncio.create_task(self._work(job))
                self._in_hand[job.entry_id] = task
                task.add_done_callback(functools.partial(self._forget, job.entry_id))

    async def _is_broke(self) -> bool:
        """Whether the budget is spent: sessions stay in the queue then, and the gates tell of the lag."""
        reached = await self._reached(self._policy().budget)
        if reached != self._limit:
            log.warning("the judge's budget of %s %s", reached or self._limit, "is spent" if reached else "allows more")
        self._limit = reached
        return bool(reached)

    def _forget(self, entry_id: str, _: asyncio.Task[None]) -> None:
        self._in_hand.pop(entry_id, None)

    async def _keep_in_hand(self) -> None:
        while not ending():
            await asyncio.sleep(TAKEN_OVER_AFTER_MS / 3000)
            with contextlib.suppress(RedisAway):
                await self._jobs.keep(list(self._in_hand))

    async def _work(self, job: Job) -> None:
        """One session, to its score or to the dead letters. Nothing that happens here stops the worker."""
        try:
            session = decode(job.payload)
        except ValueError as error:
            await self._bury(job, None, str(error))
            return
        try:
            if job.deliveries > MAX_DELIVERIES:
                await self._bury(job, session, f"taken up {job.deliveries} times, and no worker came to an end with it")
            else:
                await self._score(job, session)
        except Exception:
            log.exception("session %s: unforeseen; it is taken up again later", session.session_id)

    async def _score(self, job: Job, session: CapturedSession) -> None:
        policy = self._policy()
        judged = await self._judged(job, session, policy)
        if judged is None:
            return
        verdict, cut = judged
        record = score_record(session, verdict, cut, policy)
        try:
            await _until_redis_answers(lambda: self._emit(job, session, record, policy))
        except ScoreRefused as error:
            await self._bury(job, session, str(error))

    async def _judged(self, job: Job, session: CapturedSession, policy: Policy) -> tuple[Verdict, bool] | None:
        """The verdict; None if there was none to be had, and the session is a dead letter now."""
        failures, prompt_tokens, completion_tokens = 0, 0, 0
        while True:
            try:
                verdict, cut = await self._asked(session, policy)
                return verdict.after(prompt_tokens, completion_tokens), cut
            except JudgementFailed as error:
                failures = min(failures + 1, MAX_ATTEMPTS)
                prompt_tokens += error.prompt_tokens
                completion_tokens += error.completion_tokens
                log.warning("session %s, judgement %d failed: %s", session.session_id, failures, error)
                if failures == MAX_ATTEMPTS and await self._is_its_own_fault(error, policy):
                    await self._bury(job, session, str(error), prompt_tokens, completion_tokens)
                    return None
            except JudgeUnavailable as error:
                # The endpoint's fault, not the session's: it waits in the queue, and the gates tell of the lag.
                log.warning("session %s waits for the judge: %s", session.session_id, error)
            await asyncio.sleep(min(30.0, 0.5 * 2**failures) * random.uniform(0.5, 1.0))

    async def _asked(self, session: CapturedSession, policy: Policy) -> tuple[Verdict, bool]:
        """One call, when the breaker lets it pass. Raises as the judge does."""
        probe = await self._breaker.passage()
        answered, retry_after, outcome = True, 0.0, "unforeseen"
        try:
            judged = await self._judge.judge(session, policy)
            outcome = "verdict"
            return judged
        except SluicegateError as error:
            # A refused request says nothing of the endpoint's health, but a row of them must not go on at full speed.
            answered = not isinstance(error, JudgeTimeout | JudgeUnavailable | RequestRefused)
            retry_after = getattr(error, "retry_after", 0.0)
            outcome = type(error).__name__
            raise
        finally:
            self._breaker.settle(probe=probe, answered=answered, retry_after=retry_after)
            self._count(outcome)

    async def _is_its_own_fault(self, error: JudgementFailed, policy: Policy) -> bool:
        """Whether a session that failed to the end is to blame for it.

        A refused request may be the settings' fault: an endpoint that does not know a parameter refuses every session,
        and all would be buried, one after the other. So the same request is made with a session that nobody can
        mind: if that is refused too, the sessions wait for somebody to mend the settings.
        """
        if not isinstance(error, RequestRefused):
            return True
        try:
            await self._asked(TRIAL, policy)
        except RequestRefused as refused:
            log.error(
                "the judge endpoint refuses every request, one of three words too; no session is set aside for it, "
                "all wait until the endpoint or spec.judge of the policy is mended: %s",
                refused,
            )
            return False
        except JudgeUnavailable:
            return False
        except JudgementFailed:
            return True  # A bad answer is one: the request was taken.
        return True

    async def _bury(
        self, job: Job, session: CapturedSession | None, reason: str, prompt_tokens: int = 0, completion_tokens: int = 0
    ) -> None:
        session_id, day = (session.session_id, session.recorded_day) if session else ("", "")
        spent = (self._policy(), prompt_tokens, completion_tokens)
        failed = pack(failed_judgement(session, *spent)) if session else b""
        log.error("session %s becomes a dead letter: %s", session_id or job.entry_id, reason)
        keep = self._policy().capture.content != "none"
        await _until_redis_answers(lambda: self._jobs.bury(job.entry_id, session_id, day, reason, failed, content=keep))


async def _until_redis_answers(step: Callable[[], Awaitable[None]]) -> None:
    """Repeats an idempotent step while Redis is away, for ever: its result exists nowhere else."""
    while not ending():
        try:
            return await step()
        except RedisAway as error:
            log.warning("%s; trying again", error)
            await asyncio.sleep(random.uniform(0.5, 1.5))


def score_record(session: CapturedSession, verdict: Verdict, cut: bool, policy: Policy) -> ScoreRecord:
    """The entry of the score log for a judged session."""
    attribution = msgspec.structs.asdict(session.attribution) if session.attribution else {}
    return ScoreRecord(
        session_id=session.session_id,
        caller_hash=session.caller_hash,
        sampling_rate=session.sampling_rate,
        ended_at=session.ended_at,
        end_reason=session.end_reason,
        turn_count=session.turn_count,
        truncated=cut,
        scores=verdict.scores,
        reasons=verdict.reasons if policy.capture.content != "none" else {},
        judge_revision=gate_table(policy).revision,
        judge_model=verdict.model,
        prompt_tokens=verdict.prompt_tokens,
        completion_tokens=verdict.completion_tokens,
        cost=cost(policy, verdict.prompt_tokens, verdict.completion_tokens),
        **attribution,
    )


def cost(policy: Policy, prompt_tokens: int, completion_tokens: int) -> float:
    """The money that so many tokens cost; 0 where nobody told the price."""
    return policy.price.cost(prompt_tokens, completion_tokens) if policy.price else 0.0


def failed_judgement(
    session: CapturedSession, policy: Policy, prompt_tokens: int = 0, completion_tokens: int = 0
) -> FailedJudgement:
    """What the comparison and the budget learn of a session that became a dead letter."""
    return FailedJudgement(
        session_id=session.session_id,
        caller_hash=session.caller_hash,
        sampling_rate=session.sampling_rate,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cost=cost(policy, prompt_tokens, completion_tokens),
        **(msgspec.structs.asdict(session.attribution) if session.attribution else {}),
    )
