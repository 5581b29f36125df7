"""What is remembered of a run, and what the sidecars get."""

import math
from dataclasses import replace

from ramps import a_halt
from scored import PLAN, RESOURCE

from sluicegate.policy import Policy
from sluicegate.resources.experiment import RampStep
from sluicegate_operator.analysis.evidence import Comparison, Evidence, MetricReading
from sluicegate_operator.rollout.reconcile import reconcile

NOW = 1_000.0
EMPTY = Comparison(plan=PLAN, counted_in_step={}, scored_in_step={}, variants={}, refused={})
NOTHING = Evidence(comparison=EMPTY, treatment=None, control=None, halt=None)
HARMFUL = replace(
    NOTHING,
    comparison=replace(
        EMPTY,
        metrics=(
            MetricReading(
                metric="task_completion",
                treatment_count=30,
                treatment_mean=2.0,
                control_count=200,
                control_mean=4.0,
                log_harm=math.log(40),
                log_safety={},
            ),
        ),
        log_harm=math.log(40),
        counted_treatment=30,
        counted_control=200,
    ),
)


def test_a_run_keeps_the_plan_that_it_began_with() -> None:
    """Editing margin, steps or the wait while it is on does not choose another test."""
    first = reconcile(RESOURCE, None, None, NOTHING, Policy(), NOW)
    assert first.state.plan == PLAN
    edited = replace(RESOURCE, margin=2.0, wait_seconds=1.0, steps=(RampStep(weight=0.5, min_sessions=1),))
    again = reconcile(edited, first.state, first.in_force, NOTHING, Policy(), NOW + 1)
    assert again.state.plan == PLAN
    other_run = reconcile(replace(edited, run_id="2"), again.state, again.in_force, NOTHING, Policy(), NOW + 2)
    assert other_run.state.plan.margin == 2.0


def test_the_sampling_rate_may_fall_but_not_rise_within_a_run() -> None:
    """Whoever was left out at first would enter with a later session."""
    outcome = reconcile(RESOURCE, None, None, NOTHING, Policy(), NOW)
    for asked, in_force in ((0.5, 0.5), (0.8, 0.5), (0.2, 0.2)):
        resource = replace(RESOURCE, sampling_rate=asked)
        outcome = reconcile(resource, outcome.state, outcome.in_force, NOTHING, Policy(), NOW)
        assert outcome.in_force.sampling_rate == in_force


def test_a_hold_is_remembered_with_its_reason_and_what_it_needs() -> None:
    """For whoever shows the state."""
    state = reconcile(RESOURCE, None, None, NOTHING, Policy(), NOW).state
    assert (state.phase, state.reason) == ("Ramping", "TooFewSessions")
    assert state.needed.startswith("50 more sessions of warm")


def test_a_winner_that_a_gate_shuts_out_goes_back() -> None:
    """The sidecars have obeyed already; the state says so, with the gate's numbers, and nobody gets a winner."""
    first = reconcile(RESOURCE, None, None, NOTHING, Policy(), NOW)
    complete = replace(first.state, phase="Complete")
    halted = replace(NOTHING, halt=a_halt())
    after = reconcile(RESOURCE, complete, first.in_force, halted, Policy(), NOW + 1)
    assert (after.state.phase, after.state.reason) == ("RolledBack", "Halted")
    assert "task_completion is 2.12 over 17 sessions" in after.state.message
    assert (after.in_force.winner, after.in_force.weight) == ("", 0.0)
    assert after.state.version > complete.version


def test_harm_sets_the_weight_to_nothing() -> None:
    """The state says why, in numbers, and the sidecars get a new version at once."""
    first = reconcile(RESOURCE, None, None, NOTHING, Policy(), NOW)
    after = reconcile(RESOURCE, first.state, first.in_force, HARMFUL, Policy(), NOW + 1)
    assert (after.state.phase, after.state.reason) == ("RolledBack", "Harm")
    assert "evidence for harm 40 (20 decides)" in after.state.message
    assert after.in_force.weight == 0.0
    assert after.state.version > first.state.version
