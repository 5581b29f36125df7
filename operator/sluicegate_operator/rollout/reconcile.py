"""One look at an experiment: from what is asked for, what is remembered and what is known, to what shall be. Pure."""

from dataclasses import dataclass, replace

from sluicegate.experiment import ExperimentInForce
from sluicegate.policy import Policy
from sluicegate.resources.experiment import ExperimentResource
from sluicegate_operator.analysis.evidence import Evidence
from sluicegate_operator.rollout.decide import decide, halted
from sluicegate_operator.rollout.history import RampChange, with_change
from sluicegate_operator.rollout.loss import after_loss
from sluicegate_operator.rollout.operations import aborted, overruled
from sluicegate_operator.rollout.state import RolloutState, first_state, outline, runs_left, variants_hash
from sluicegate_operator.rollout.verdicts import Advance, Decision, Hold, Promote, RollBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The state after the look, and what the sidecars are to have."""

    state: RolloutState
    in_force: ExperimentInForce
    refused: str = ""
    """Why the resource as it stands is not obeyed; the run goes on with what it began with."""


def begins_run(resource: ExperimentResource, state: RolloutState | None) -> bool:
    """Whether the resource asks for a run that `state` does not know."""
    return state is None or (state.experiment, state.run_id) != (resource.name, resource.run_id)


def present_step(resource: ExperimentResource, state: RolloutState | None) -> int:
    """Index of the step at which the run is; the last one where the list of steps was shortened since."""
    return 0 if state is None or begins_run(resource, state) else min(state.step, len(resource.steps) - 1)


def reconcile(
    resource: ExperimentResource,
    state: RolloutState | None,
    current: ExperimentInForce | None,
    evidence: Evidence,
    policy: Policy,
    now: float,
) -> Outcome:
    """Idempotent: the same look again changes nothing but the message. `current` is what the sidecars have.

    The version grows with every change that the sidecars must hear of, and never goes back, even where Redis lost
    the earlier ones: it is at least the time in milliseconds.
    """
    refused = ""
    if state is None:
        state = first_state(resource, _next_version(state, now), now)
    elif begins_run(resource, state):
        ended = runs_left(state, resource.run_id) if state.experiment == resource.name else ()
        state = first_state(resource, _next_version(state, now), now, ended)
    before = state
    if state.variants_hash != variants_hash(resource):
        refused = f"variants, unit and salt are frozen while run {state.run_id} is on: give a new spec.runId"
        if current and (current.name, current.run_id) == (state.experiment, state.run_id):
            resource = replace(resource, variants=current.variants, unit=current.unit, salt=current.salt)
        else:  # Deleted or displaced, edited, and back again: nobody knows the variants that the evidence is of.
            state = replace(state, phase="RolledBack", message=refused)
    state = replace(after_loss(state, evidence), step=present_step(resource, state), resource=outline(resource))
    if resource.sampling_rate < state.sampling_rate:
        state = replace(state, sampling_rate=resource.sampling_rate)
    after = _after(state, decision, now) if (decision := due(resource, state, evidence, now)) else state
    experiment = in_force(resource, after, policy)
    after = _with_history(before, after, resource, now)
    if experiment != current and after.version == state.version:
        after = replace(after, version=_next_version(state, now))
    return Outcome(state=after, in_force=experiment, refused=refused)


def due(resource: ExperimentResource, state: RolloutState, evidence: Evidence, now: float) -> Decision | None:
    """What to do now; None for a run that is over. A winner that a gate shuts out later goes back, too."""
    abort = aborted(resource, state)
    if abort:
        return abort
    match state.phase:
        case "Ramping":
            return overruled(resource, state, decide(resource, state, evidence, now))
        case "Complete" if evidence.halt:
            return halted(resource.treatment.name, evidence.halt)
        case _:
            return None


def _next_version(state: RolloutState | None, now: float) -> int:
    return max(state.version + 1 if state else 1, int(now * 1000))


def _after(state: RolloutState, decision: Decision, now: float) -> RolloutState:
    match decision:
        case Hold():
            return replace(state, message=decision.message, reason=decision.reason, needed=decision.needed)
        case RollBack():
            return replace(state, phase="RolledBack", message=decision.message, reason=decision.reason, needed="")
        case Advance():
            on = replace(state, step=state.step + 1, step_started_at=now)
        case Promote():
            on = replace(state, phase="Complete")
    return replace(on, message=decision.message, reason="", needed="")


def _with_history(before: RolloutState, after: RolloutState, resource: ExperimentResource, now: float) -> RolloutState:
    """Remembers a step forward, or the end of the run."""
    if after.phase == before.phase and after.step <= before.step:
        return after
    change = RampChange(
        at=now,
        kind="Advanced" if after.phase == "Ramping" else after.phase,
        before=_share(resource, replace(before, step=present_step(resource, before))),
        after=_share(resource, after),
        message=after.message,
    )
    return replace(after, history=with_change(after.history, change))


def _share(resource: ExperimentResource, state: RolloutState) -> float:
    """The treatment's share of new units."""
    if state.phase == "Ramping":
        return resource.in_force(state.step).weight
    return 1.0 if state.phase == "Complete" else 0.0


def in_force(resource: ExperimentResource, state: RolloutState, policy: Policy) -> ExperimentInForce:
    """What the sidecars get. An ended run is sampled at the policy's rate again."""
    running = resource.in_force(state.step)
    match state.phase:
        case "Ramping":
            return replace(running, sampling_rate=state.sampling_rate)
        case "RolledBack":
            return replace(running, weight=0.0, sampling_rate=policy.sampling_rate)
        case "Complete":
            return replace(running, winner=resource.treatment.name, sampling_rate=policy.sampling_rate)
