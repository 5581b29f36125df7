"""What the controller remembers of an experiment between two looks at it."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import msgspec

from sluicegate.resources.experiment import ExperimentResource
from sluicegate_operator.analysis.plan import Plan, plan_of

Phase = Literal["Ramping", "RolledBack", "Complete"]


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


def variants_hash(resource: ExperimentResource) -> str:
    """Twelve hex digits over all that must not change within a run."""
    frozen = msgspec.json.encode([resource.variants, resource.unit, resource.salt], order="deterministic")
    return hashlib.sha256(frozen).hexdigest()[:12]


def first_state(resource: ExperimentResource, version: int, now: float) -> RolloutState:
    """The state of a run that starts now."""
    return RolloutState(
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
        message=f"run {resource.run_id} started at {resource.steps[0].weight:.0%}",
    )
