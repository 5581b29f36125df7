"""What a person wants to hear of a run, once each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sluicegate.records import GateEvent
from sluicegate_operator.rollout.state import RolloutState

Kind = Literal["Started", "Advanced", "RolledBack", "Complete", "Held", "Refused", "Deleted", "Gate", "Budget"]

WORTH_TELLING = frozenset(
    {
        "Paused",
        "SharedCause",
        "GateBroken",
        "JudgeLag",
        "SampleRatioMismatch",
        "EvidenceLost",
        "TooFewCallers",
        "DeadlineExceeded",
    }
)
"""Holds that somebody may have to do something about. To wait for sessions is what a ramp does most of the time."""


@dataclass(frozen=True, slots=True)
class Transition:
    """Something that a person wants to hear of, once."""

    kind: Kind
    experiment: str
    message: str


def transitions(before: RolloutState | None, after: RolloutState, first_weight: float) -> Iterator[Transition]:
    """What changed between two looks at a run; `first_weight`: the share of its first step, 0 to 1."""
    name = after.experiment
    if before is None or before.run_id != after.run_id:
        yield Transition("Started", name, f"run {after.run_id} started at {first_weight:.0%}")
    if before and before.run_id == after.run_id and before.step < after.step:
        yield Transition("Advanced", name, after.message)
    if after.phase != "Ramping" and (before is None or (before.run_id, before.phase) != (after.run_id, after.phase)):
        yield Transition("Complete" if after.phase == "Complete" else "RolledBack", name, after.message)
    if after.reason in WORTH_TELLING and (before is None or before.reason != after.reason):
        yield Transition("Held", name, after.message)


def gate_sentence(event: GateEvent) -> str:
    """A gate event as a person reads it."""
    of = "the agent" if event.series == "*" else event.series.rpartition("/")[2] or "sessions without an experiment"
    reading = event.reading
    mean = f"mean {reading.mean:.2f}" if reading.mean is not None else "no mean"
    numbers = f"{mean} of {reading.count} scored sessions, floor {reading.threshold:g}"
    change = f"{event.gate} of {of}: {event.before} → {event.after} ({numbers}, {reading.severity})"
    if event.halted:
        return f"{change}; {of} is halted, everywhere"
    if event.shared_cause:
        return f"{change}; control's gate is broken too: the cause is shared, the ramp stands still"
    return change
