"""What the controller remembers of an experiment between two looks at it."""

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from sluicegate.experiment import Variant
from sluicegate.resources.experiment import ExperimentResource
from sluicegate_operator.analysis.plan import Plan, plan_of
from sluicegate_operator.rollout.history import RampChange

Phase = Literal["Ramping", "RolledBack", "Complete"]

MOST_ENDED = 50
MOST_TOLD = 1_000
"""Characters of a message that repeats another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """How an earlier run of the experiment ended. Whoever asks for it again gets it as it ended."""

    run_id: str
    phase: Literal["RolledBack", "Complete"]
    reason: str
    message: str
    variants_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """Where one run stands. Times are Unix seconds."""

    experiment: str
    run_id: str
    phase: Phase
    step: int
    """Index of the ramp step, from 0."""
    started_at: float
    step_started_at: float
    variants_hash: str
    """Of the variants as the run began: they are frozen while it is on."""
    plan: Plan
    """Of the comparison, as the run began: what is measured cannot be chosen after looking."""
    sampling_rate: float
    """May fall within a run, never rise: whoever was left out at first would enter with a later session."""
    version: int
    """Under which the sidecars have it; grows with every change."""
    message: str
    reason: str = ""
    """Why the last decision held or rolled back, in one word; empty where it went on."""
    needed: str = ""
    """What would end the wait; empty where nothing is waited for."""
    resource: ExperimentResource | None = None
    """As it was obeyed at the last look, without its configurations; None in a state of an earlier version."""
    history: tuple[RampChange, ...] = ()
    """The run's changes, the oldest first; see `history.MOST_KEPT`."""
    seen: int = 0
    """Scores of the run in the log, and sessions erased, when this was written: never less, but where some got lost."""
    lost: int = 0
    """Scores of the run that Redis lost. If there are any, the run does not go on."""
    ended: tuple[EndedRun, ...] = ()
    """The experiment's earlier runs, the oldest first; of more than 50 the oldest are forgotten."""


def variants_hash(resource: ExperimentResource) -> str:
    """Twelve hex digits over all that must not change within a run."""
    frozen = msgspec.json.encode([resource.variants, resource.unit, resource.salt], order="deterministic")
    return hashlib.sha256(frozen).hexdigest()[:12]


def outline(resource: ExperimentResource) -> ExperimentResource:
    """The resource without what its ramp does not rest on: configurations, overrides, and where it was read."""
    first, second = (Variant(name=variant.name, control=variant.control) for variant in resource.variants)
    return replace(resource, variants=(first, second), overrides=(), source="")


def first_state(
    resource: ExperimentResource, version: int, now: float, ended: tuple[EndedRun, ...] = ()
) -> RolloutState:
    """The state of a run that starts now, or, where it had ended before, as it ended."""
    weight = resource.in_force(0).weight
    message = f"run {resource.run_id} started at {weight:.0%}"
    started = RolloutState(
        experiment=resource.name,
        run_id=resource.run_id,
        phase="Ramping",
        step=0,
        started_at=now,
        step_started_at=now,
        variants_hash=variants_hash(resource),
        plan=plan_of(resource),
        sampling_rate=resource.sampling_rate,
        version=version,
        message=message,
        history=(RampChange(at=now, kind="Started", before=0.0, after=weight, message=message),),
        ended=ended,
    )
    earlier = next((run for run in ended if run.run_id == resource.run_id), None)
    if earlier is None:
        return started
    return replace(
        started,
        phase=earlier.phase,
        reason=earlier.reason,
        message=f"run {earlier.run_id} has ended before, and does not start again without a new spec.runId: "
        f"{earlier.message}"[:MOST_TOLD],
        variants_hash=earlier.variants_hash,
    )


def runs_left(state: RolloutState, next_run: str) -> tuple[EndedRun, ...]:
    """The ended runs once `next_run` takes the place of the one that `state` is of. A run that is left is over."""
    left = EndedRun(
        run_id=state.run_id,
        phase="Complete" if state.phase == "Complete" else "RolledBack",
        reason="Superseded" if state.phase == "Ramping" else state.reason,
        message=f"left for run {next_run}" if state.phase == "Ramping" else state.message,
        variants_hash=state.variants_hash,
    )
    others = tuple(run for run in state.ended if run.run_id != state.run_id)
    return (*others, left)[-MOST_ENDED:]
