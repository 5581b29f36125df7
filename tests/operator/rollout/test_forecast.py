"""When the next decision may fall."""

import math
from dataclasses import replace

import pytest
from ramps import NOW
from scored import PLAN, RESOURCE

from sluicegate_operator.analysis.evidence import Comparison, MetricReading
from sluicegate_operator.rollout.forecast import seconds_to_decision
from sluicegate_operator.rollout.state import RolloutState, first_state, outline
from sluicegate_operator.rollout.verdicts import Hold, HoldReason

STATE: RolloutState = replace(first_state(RESOURCE, 1, NOW), resource=outline(RESOURCE))
COMPARISON = Comparison(plan=PLAN, counted_in_step={0: 20}, scored_in_step={0: 20}, variants={}, refused={})


def hold(reason: HoldReason) -> Hold:
    return Hold(reason, "", "")


def comparison(log_safety: float) -> Comparison:
    """20 sessions of the treatment and 180 of control, with so much evidence for safety at the step's margin of ½."""
    primary = MetricReading(
        metric="task_completion",
        treatment_count=20,
        treatment_mean=4.0,
        control_count=180,
        control_mean=4.0,
        log_harm=0.0,
        log_safety={0.5: log_safety},
    )
    return replace(COMPARISON, metrics=(primary,))


@pytest.mark.parametrize("reason", ["TooFewSessions", "TooFewCallers"])
def test_sessions_go_on_as_they_came(reason: HoldReason) -> None:
    """20 of 50 in the first hour after the wait: the other 30 take an hour and a half."""
    later = NOW + PLAN.wait + 3_600
    assert seconds_to_decision(STATE, hold(reason), COMPARISON, later) == pytest.approx(5_400)


def test_evidence_grows_as_it_grew() -> None:
    """Half way to ln 20 after 200 sessions of both: 200 more, as many of the treatment's as its share of 10 %."""
    later = NOW + PLAN.wait + 3_600
    half = comparison(math.log(20) / 2 + 1e-9)
    assert seconds_to_decision(STATE, hold("NotYetSafe"), half, later) == pytest.approx(3_600, rel=0.01)


def test_what_cannot_be_told_is_not() -> None:
    """Evidence that shrinks, a hold for a person, a step that has just begun, and a state of an earlier version."""
    later = NOW + PLAN.wait + 3_600
    assert seconds_to_decision(STATE, hold("NotYetSafe"), comparison(-1.0), later) is None
    assert seconds_to_decision(STATE, hold("Paused"), COMPARISON, later) is None
    assert (
        seconds_to_decision(STATE, hold("TooFewSessions"), replace(COMPARISON, counted_in_step={0: 2}), later) is None
    )
    assert seconds_to_decision(STATE, hold("TooFewSessions"), COMPARISON, NOW + 1) is None
    assert seconds_to_decision(replace(STATE, resource=None), hold("TooFewSessions"), COMPARISON, later) is None
