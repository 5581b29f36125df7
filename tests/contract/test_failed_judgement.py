"""A session that could not be judged reaches the comparison, although it has no score."""

from redis.asyncio import Redis
from scored import PLAN

from sluicegate.keys import JUDGES, Keys
from sluicegate.policy import Policy
from sluicegate.snapshot import pack
from sluicegate_operator.analysis.replay import replayed
from sluicegate_operator.analysis.scores import Scores
from sluicegate_sidecar.judging.jobs import Jobs
from sluicegate_sidecar.judging.worker import failed_judgement
from sluicegate_sidecar.routing.assignment import Attribution
from sluicegate_sidecar.sessions.session import CapturedSession, Item

KEYS = Keys("default", "receptionist")
SESSION = CapturedSession(
    session_id="s1",
    caller_hash="ab",
    attribution=Attribution(
        experiment=PLAN.experiment,
        run_id=PLAN.run_id,
        variant="warm",
        control="control",
        reason="SPLIT",
        step=1,
        weight=0.2,
        assigned_at=1_000.0,
    ),
    sampling_rate=1.0,
    items=(Item(kind="message", role="user", text="Hello"),),
    started_at=1_000.0,
    ended_at=1_060.0,
    end_reason="completed",
    recorded_day="2026-11-23",
)


async def test_a_dead_letter_counts_as_a_failed_judgement(redis: Redis) -> None:
    """The worker's record, put aside by the script, is read by the controller: told as a rate, and never a number."""
    await redis.xgroup_create(KEYS.queue, JUDGES, id="0", mkstream=True)
    entry = (await redis.xadd(KEYS.queue, {"d": b"payload"})).decode()
    failed = failed_judgement(SESSION, Policy())
    await Jobs(redis, KEYS, "worker").bury(entry, "s1", SESSION.recorded_day, "no verdict", pack(failed))
    arrivals, cursor = await Scores(redis, KEYS).since()
    assert [arrival.record for arrival in arrivals] == [failed]
    of = replayed(PLAN, arrivals, cursor.now).reading().variants["warm"]
    assert (of.failed, of.scored, of.failure_rate) == (1, 0, 1.0)
