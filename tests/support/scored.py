"""Records and resources for tests of the analysis and of the rollout."""

from dataclasses import replace
from typing import Any

from sluicegate.experiment import Variant
from sluicegate.records import FailedJudgement, ScoreRecord
from sluicegate.resources.experiment import ExperimentResource, RampStep
from sluicegate_operator.analysis.arrival import Arrival
from sluicegate_operator.analysis.plan import Plan, plan_of

RESOURCE = ExperimentResource(
    namespace="dental",
    name="warmer-greeting",
    agent="receptionist",
    run_id="1",
    paused=False,
    unit="Caller",
    salt="pepper",
    on_stale="ControlOnly",
    stale_after=600.0,
    variants=(Variant(name="control", control=True), Variant(name="warm")),
    steps=(
        RampStep(weight=0.1, min_sessions=50),
        RampStep(weight=0.2, min_sessions=50),
        RampStep(weight=0.5, min_sessions=50),
    ),
    holdback=0.05,
    margin=0.25,
    on_inconclusive="Hold",
    deadline_seconds=7 * 86_400.0,
    primary="task_completion",
    wait_seconds=60.0,
    sampling_rate=1.0,
    overrides=(),
    source="test.yaml:1",
)
PLAN: Plan = plan_of(RESOURCE)


def scored(number: int, score: int | None = 4, *, variant: str = "warm", **changes: Any) -> ScoreRecord:
    """The score of session `number`, by a caller of its own, assigned at second `number` in the first step."""
    record = ScoreRecord(
        session_id=f"session-{number:06d}",
        caller_hash=f"{number:032x}",
        experiment=RESOURCE.name,
        run_id=RESOURCE.run_id,
        variant=variant,
        control="control",
        reason="SPLIT",
        step=0,
        weight=0.5,
        sampling_rate=1.0,
        assigned_at=float(number),
        ended_at=float(number) + 1,
        end_reason="completed",
        turn_count=3,
        truncated=False,
        scores={"task_completion": score},
        reasons={},
        judge_revision="r1",
        judge_model="m",
    )
    return replace(record, **changes)


def failed(number: int, *, variant: str = "warm", **changes: Any) -> FailedJudgement:
    """The same session, where the judge gave no verdict."""
    record = FailedJudgement(
        session_id=f"session-{number:06d}",
        caller_hash=f"{number:032x}",
        experiment=RESOURCE.name,
        run_id=RESOURCE.run_id,
        variant=variant,
        control="control",
        reason="SPLIT",
        weight=0.5,
        sampling_rate=1.0,
        assigned_at=float(number),
    )
    return replace(record, **changes)


def arrived(record: ScoreRecord | FailedJudgement, after: float = 2.0) -> Arrival:
    """Its entry in the log, so many seconds after the assignment."""
    return Arrival(record.assigned_at + after, record)
