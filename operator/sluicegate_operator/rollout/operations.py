"""What people ask of a run by annotation. Each value names the run: yesterday's wish does nothing to today's.

`promote: <run>/<step>` goes on from that step, counted from 1, without waiting for evidence; `pause: <run>` stands
still for as long as it is there; `abort: <run>` rolls back for good; `retry: <run>` starts a rolled back run anew.
Abort comes before pause, pause before promote, and evidence of harm before all but abort.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from sluicegate.resources.experiment import ExperimentResource
from sluicegate_operator.rollout.state import RolloutState
from sluicegate_operator.rollout.verdicts import Advance, Decision, Hold, Promote, RollBack

Name = Literal["promote", "pause", "abort", "retry"]
Result = Literal["Done", "InForce", "Waiting", "Outdated"]

PASSABLE = frozenset(
    {
        "TooFewSessions",
        "TooFewCallers",
        "NotYetSafe",
        "GateUnknown",
        "DeadlineExceeded",
        "JudgeLag",
        "SampleRatioMismatch",
        "EvidenceLost",
        "ApprovalNeeded",
    }
)
"""Holds for want of evidence, which a person may do without. A broken gate or a pause is not one of them."""

RETRY_MARK = "~"
"""Between the author's run id, which cannot have it, and the number of the attempt."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What became of one wish."""

    name: Name
    value: str
    outcome: Result
    message: str


def attempted(resource: ExperimentResource, state: RolloutState | None) -> ExperimentResource:
    """The resource with the id of the run that is meant: that of the last attempt, or of a new one if asked for."""
    if state is None or state.experiment != resource.name:
        return resource
    run, mark, attempt = state.run_id.partition(RETRY_MARK)
    if run != resource.run_id:
        return resource
    number = int(attempt) if mark and attempt.isdigit() else 1
    if resource.asked.get("retry") == state.run_id and state.phase == "RolledBack":
        number += 1
    if number == 1:
        return resource
    run_id = f"{run}{RETRY_MARK}{number}"
    default_salt = f"{resource.name}/{resource.run_id}"
    salt = f"{resource.name}/{run_id}" if resource.salt == default_salt else resource.salt
    return replace(resource, run_id=run_id, salt=salt)


def aborted(resource: ExperimentResource, state: RolloutState) -> RollBack | None:
    """The end of the run, if it is asked for and has not come yet. A complete one can be aborted too."""
    if resource.asked.get("abort") != state.run_id or state.phase == "RolledBack":
        return None
    name = resource.treatment.name
    return RollBack("Aborted", f"{name} rolled back: run {state.run_id} was aborted by hand")


def overruled(resource: ExperimentResource, state: RolloutState, decision: Decision) -> Decision:
    """The decision, or what people put in its place."""
    if isinstance(decision, RollBack):
        return decision
    if resource.asked.get("pause") == state.run_id:
        return Hold("Paused", f"run {state.run_id} is paused by hand: the ramp stands still", "no annotation pause")
    is_promoted = resource.asked.get("promote") == _step_name(state)
    if isinstance(decision, Hold):
        if not is_promoted or decision.reason not in PASSABLE:
            return decision
        told = f"step {state.step + 1} passed by hand, where the evidence said: {decision.message}"
        if state.step + 1 == len(resource.steps):
            return Promote(f"{told}; complete, everybody gets {resource.treatment.name}")
        return Advance(f"{told}; on to {resource.in_force(state.step + 1).weight:.0%}")
    if resource.steps[state.step].manual and not is_promoted:
        return Hold(
            "ApprovalNeeded",
            f"step {state.step + 1} has evidence enough and waits for approval: {decision.message}",
            f"the annotation sluicegate.dev/promote: {_step_name(state)}",
        )
    return decision


def _step_name(state: RolloutState) -> str:
    return f"{state.run_id}/{state.step + 1}"


def operations(resource: ExperimentResource, state: RolloutState) -> Iterator[Operation]:
    """What became of everything that is asked for, given the state after the look."""
    for name in ("abort", "pause", "promote", "retry"):
        value = resource.asked.get(name)
        if value is not None:
            result, message = _RESULTS[name](value, state)
            yield Operation(name, value[:191], result, message)


def _of_abort(value: str, state: RolloutState) -> tuple[Result, str]:
    if value == state.run_id or _has_ended(value, state):
        return "Done", f"run {value} is over"
    return "Outdated", f"the run is {state.run_id}"


def _of_pause(value: str, state: RolloutState) -> tuple[Result, str]:
    if value != state.run_id:
        return "Outdated", f"the run is {state.run_id}"
    if state.phase != "Ramping":
        return "Outdated", f"run {state.run_id} is over"
    return "InForce", "the ramp stands still until the annotation is removed"


def _of_promote(value: str, state: RolloutState) -> tuple[Result, str]:
    run, _, step = value.rpartition("/")
    if run != state.run_id or not step.isdigit():
        return "Outdated", f"the run is at {_step_name(state)}"
    if int(step) <= state.step or state.phase == "Complete":
        return "Done", f"step {step} is passed"
    if state.phase == "RolledBack":
        return "Outdated", f"run {state.run_id} is over"
    return "Waiting", state.message


def _of_retry(value: str, state: RolloutState) -> tuple[Result, str]:
    if value == state.run_id:
        return "Outdated", f"run {state.run_id} is not rolled back"
    if _has_ended(value, state):
        return "Done", f"run {state.run_id} took its place"
    return "Outdated", f"the run is {state.run_id}"


_RESULTS = {"abort": _of_abort, "pause": _of_pause, "promote": _of_promote, "retry": _of_retry}


def _has_ended(run_id: str, state: RolloutState) -> bool:
    return any(run.run_id == run_id for run in state.ended)
