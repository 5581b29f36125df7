"""When the next decision may fall, if sessions go on as they come."""

from sluicegate_operator.analysis.evidence import Comparison
from sluicegate_operator.analysis.safety import margin_at
from sluicegate_operator.rollout.missing import sessions_until_safe
from sluicegate_operator.rollout.state import RolloutState
from sluicegate_operator.rollout.verdicts import Hold

LEAST_SESSIONS = 3
"""Compared in the step, before their pace says anything."""


def seconds_to_decision(state: RolloutState, hold: Hold, comparison: Comparison, now: float) -> float | None:
    """Seconds until sessions or evidence suffice; None where something else is waited for, or nothing can be told."""
    counted = comparison.counted_in_step.get(state.step, 0)
    # A session is compared when nobody can overtake it any more, so the pace is that of sessions as old as that.
    elapsed = now - state.step_started_at - comparison.plan.wait
    if state.resource is None or counted < LEAST_SESSIONS or elapsed <= 0:
        return None
    missing = _missing(state, hold, comparison, counted)
    return None if missing is None else missing * elapsed / counted


def _missing(state: RolloutState, hold: Hold, comparison: Comparison, counted: int) -> float | None:
    """Sessions of the treatment that lack."""
    resource, primary = state.resource, comparison.primary
    assert resource is not None, "nothing is foretold of a state without it"
    step = min(state.step, len(resource.steps) - 1)
    if hold.reason in ("TooFewSessions", "TooFewCallers"):
        return resource.steps[step].min_sessions - counted
    if hold.reason != "NotYetSafe" or primary is None or primary.treatment_count == 0:
        return None
    weight = resource.in_force(step).weight
    both = primary.treatment_count + primary.control_count
    more = sessions_until_safe(primary.log_safety[margin_at(weight, comparison.plan.margin)], both)
    return None if more is None else more * weight
