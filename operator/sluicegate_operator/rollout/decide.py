"""The decision about a run: go on, wait, go back, or be done. Each names the numbers that it rests on."""

from dataclasses import dataclass

from sluicegate.records import Halt
from sluicegate.resources.experiment import ExperimentResource
from sluicegate_operator.analysis.evidence import Comparison, Evidence, MetricReading, MismatchReading
from sluicegate_operator.analysis.safety import margin_at
from sluicegate_operator.rollout.gating import gate_hold, unknown_gate
from sluicegate_operator.rollout.loss import lost_evidence
from sluicegate_operator.rollout.missing import too_few, unsafe
from sluicegate_operator.rollout.sentences import evidence_shown, means_shown
from sluicegate_operator.rollout.state import RolloutState
from sluicegate_operator.rollout.verdicts import Advance, Decision, Hold, Promote, RollBack

INCONCLUSIVE: frozenset[str] = frozenset({"TooFewSessions", "TooFewCallers", "NotYetSafe", "GateUnknown"})
"""Holds that the deadline ends. Nobody is to blame a variant for a pause, a silent judge or a broken control."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where the ramp is: the share in force, and the margin that goes with it."""

    index: int
    weight: float
    margin: float
    min_sessions: int
    is_last: bool


def decide(resource: ExperimentResource, state: RolloutState, evidence: Evidence, now: float) -> Decision:
    """What to do with a run that is ramping. Harm comes first, then what people asked for, then missing evidence."""
    comparison = evidence.comparison
    if comparison.is_harmful:
        return RollBack("Harm", _harmful(comparison))
    if evidence.halt:
        return halted(resource.treatment.name, evidence.halt)
    if resource.paused:
        return Hold("Paused", "spec.paused is true: the ramp stands still", "spec.paused: false")
    step = _step(resource, state, comparison)
    hold = _held(resource, state, step, evidence, now)
    if hold:
        return _overdue(resource, state, hold, now) if hold.reason in INCONCLUSIVE else hold
    seen = _safe(comparison, step)
    if step.is_last:
        return Promote(f"{seen}: complete, everybody gets {resource.treatment.name}")
    return Advance(f"{seen}: on to {resource.in_force(step.index + 1).weight:.0%}")


def _step(resource: ExperimentResource, state: RolloutState, comparison: Comparison) -> Step:
    index = min(state.step, len(resource.steps) - 1)
    weight = resource.in_force(index).weight
    return Step(
        index=index,
        weight=weight,
        margin=margin_at(weight, comparison.plan.margin),
        min_sessions=resource.steps[index].min_sessions,
        is_last=index + 1 == len(resource.steps),
    )


def _held(resource: ExperimentResource, state: RolloutState, step: Step, evidence: Evidence, now: float) -> Hold | None:
    """The first reason not to go on; None if there is none."""
    comparison = evidence.comparison
    return (
        gate_hold(resource, evidence, now)
        or _mismatched(comparison)
        or lost_evidence(state)
        or too_few(comparison, step.index, step.weight, step.min_sessions)
        or unsafe(comparison, step.margin)
        or unknown_gate(resource, evidence)
    )


def _mismatched(comparison: Comparison) -> Hold | None:
    found: MismatchReading | None = comparison.mismatch
    if found is None:
        return None
    units, treatment = found.treatment + found.control, comparison.plan.treatment
    return Hold(
        "SampleRatioMismatch",
        f"{found.treatment} of {units} units of step {found.step + 1} had {treatment}, where "
        f"{found.expected_treatment:.0f} were to be expected: the comparison says nothing until that is explained, "
        "the gates stay live",
        "find out which units or scores of one variant get lost, then start a new run",
    )


def _overdue(resource: ExperimentResource, state: RolloutState, hold: Hold, now: float) -> Hold | RollBack:
    """The hold, or what becomes of it when the step's deadline is over."""
    waited = now - state.step_started_at
    if waited <= resource.deadline_seconds:
        return hold
    told = f"no decision after {waited / 3600:.1f} hours, with a deadline of {resource.deadline_seconds / 3600:g}"
    if resource.on_inconclusive == "Rollback":
        name = resource.treatment.name
        return RollBack("Inconclusive", f"{name} rolled back, as onInconclusive asks for: {told}; {hold.message}")
    return Hold("DeadlineExceeded", f"{told}; {hold.message}", hold.needed)


def halted(treatment: str, halt: Halt) -> RollBack:
    """What a halt asks for: to record what the gate has done already."""
    return RollBack(
        "Halted",
        f"{treatment} rolled back: {halt.gate} is {halt.mean:.2f} over {halt.count} sessions, at most {halt.upper:.2f} "
        f"with 95 % confidence, under its floor of {halt.threshold:g}",
    )


def _harmful(comparison: Comparison) -> str:
    plan = comparison.plan
    worst: MetricReading = max(comparison.metrics, key=lambda reading: reading.log_harm)
    return (
        f"{plan.treatment} rolled back: it is worse than {plan.control}, evidence for harm "
        f"{evidence_shown(comparison.log_harm)} (20 decides) over {comparison.counted_treatment} sessions of "
        f"{plan.treatment} and {comparison.counted_control} of {plan.control}; {means_shown(worst, plan)}"
    )


def _safe(comparison: Comparison, step: Step) -> str:
    primary, plan = comparison.primary, comparison.plan
    assert primary is not None, "nothing is safe without a score"
    counted = comparison.counted_in_step[step.index]
    return (
        f"{plan.treatment} is not worse than {plan.control} by {step.margin:g} points, evidence "
        f"{evidence_shown(primary.log_safety[step.margin])} (20 decides); {means_shown(primary, plan)}; {counted} "
        f"sessions of {plan.treatment} counted at {step.weight:.0%}, its gates pass"
    )
