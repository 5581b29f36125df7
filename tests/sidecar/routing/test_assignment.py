"""The assignment rule."""

from dataclasses import replace
from typing import Any

import pytest
from captured import CONTROL, WARM, WARM_SERIES, an_experiment
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.experiment import ExperimentInForce, Override
from sluicegate_sidecar.routing.assignment import Assignment, assign

WEIGHTS = st.floats(0, 1)
UNITS = st.text(max_size=300)
TESTERS = (
    Override(variant="warm", caller_hash="hash-of-ann"),
    Override(variant="control", attribute="qa", value="old"),
    Override(variant="warm", attribute="qa", value="new"),
)


def assigned(experiment: ExperimentInForce, unit: str = "unit", **changes: Any) -> Assignment:
    """`unit` at a moment when nothing is halted, nobody is a tester and the control plane has just been heard."""
    situation: dict[str, Any] = {"halted": (), "caller_hash": "", "attributes": {}, "now": 1000.0}
    return assign(experiment, unit=unit, **{**situation, **changes})


@pytest.mark.parametrize(
    ("of_experiment", "of_situation", "variant", "reason"),
    [
        ({"weight": 1.0}, {}, "warm", "SPLIT"),
        ({"weight": 1e-12}, {}, "control", "SPLIT"),
        ({"weight": 0.0}, {}, "control", "CONTROL_ONLY"),
        ({"weight": 1.0}, {"halted": {WARM_SERIES}}, "control", "HALTED"),
        ({"weight": 0.0}, {"halted": {WARM_SERIES}}, "control", "HALTED"),
        ({"weight": 1.0}, {"halted": {"greeting/run-0/warm", "other/run-1/warm"}}, "warm", "SPLIT"),
        ({"weight": 1.0}, {"halted": {"greeting/run-1/control"}}, "warm", "SPLIT"),
        ({"weight": 0.0, "winner": "warm"}, {}, "warm", "COMPLETE"),
        ({"weight": 1.0, "winner": "control"}, {}, "control", "COMPLETE"),
        ({"weight": 0.0, "winner": "warm"}, {"halted": {WARM_SERIES}}, "control", "HALTED"),
        ({"weight": 0.0, "winner": "control"}, {"halted": {WARM_SERIES}}, "control", "COMPLETE"),
        ({"weight": 0.0}, {"caller_hash": "hash-of-ann"}, "warm", "OVERRIDE"),
        ({"weight": 1.0}, {"caller_hash": "hash-of-bob"}, "warm", "SPLIT"),
        ({"weight": 1.0}, {"attributes": {"qa": "old"}}, "control", "OVERRIDE"),
        ({"weight": 0.0}, {"attributes": {"qa": "new"}}, "warm", "OVERRIDE"),
        ({"weight": 0.0}, {"attributes": {"qa": "newer", "QA": "new"}}, "control", "CONTROL_ONLY"),
        ({"weight": 1.0}, {"attributes": {"qa": "new"}, "halted": {WARM_SERIES}}, "warm", "OVERRIDE"),
        ({"weight": 0.0}, {"attributes": {"qa": "old"}, "caller_hash": "hash-of-ann"}, "warm", "OVERRIDE"),
        ({"weight": 0.0, "winner": "control"}, {"attributes": {"qa": "new"}}, "control", "COMPLETE"),
        ({"weight": 1.0}, {"heard_at": 399.0}, "control", "STALE"),
        ({"weight": 1.0}, {"heard_at": 400.0}, "warm", "SPLIT"),
        ({"weight": 1.0, "on_stale": "KeepSplit"}, {"heard_at": 399.0}, "warm", "STALE"),
        ({"weight": 1.0, "on_stale": "KeepSplit"}, {"heard_at": 0.0, "halted": {WARM_SERIES}}, "control", "HALTED"),
        ({"weight": 0.0}, {"heard_at": 0.0}, "control", "CONTROL_ONLY"),
        ({"weight": 0.0}, {"heard_at": 0.0, "attributes": {"qa": "new"}}, "warm", "OVERRIDE"),
    ],
)
def test_who_gets_what_and_why(
    of_experiment: dict[str, Any], of_situation: dict[str, Any], variant: str, reason: str
) -> None:
    """A winner that is not halted, overrides in their order, halts, a weight of nothing, staleness, the split."""
    experiment = an_experiment(overrides=TESTERS, stale_after=600.0, **of_experiment)
    answer = assigned(experiment, **of_situation)
    assert (answer.variant.name, answer.reason) == (variant, reason)
    assert answer.variant is experiment.variant(variant)
    of = answer.attribution
    assert (of.experiment, of.run_id, of.variant, of.control) == ("greeting", "run-1", variant, "control")
    assert (of.reason, of.step, of.weight, of.assigned_at) == (reason, 1, experiment.weight, 1000.0)


@pytest.mark.parametrize(
    ("of_experiment", "variant", "reason"),
    [
        ({"winner": "gone"}, "warm", "SPLIT"),
        ({"overrides": (Override(variant="gone", attribute="qa", value="1"),)}, "warm", "SPLIT"),
        (
            {"overrides": (Override(variant="gone", attribute="qa", value="1"), replace(TESTERS[1], value="1"))},
            *("control", "OVERRIDE"),
        ),
    ],
)
def test_what_names_no_variant_counts_for_nothing(of_experiment: dict[str, Any], variant: str, reason: str) -> None:
    """A winner or an override that a faulty snapshot made up disturbs no call: the next rule decides."""
    answer = assigned(an_experiment(weight=1.0, **of_experiment), attributes={"qa": "1"})
    assert (answer.variant.name, answer.reason) == (variant, reason)


@pytest.mark.parametrize(("unit", "position"), [("+15550001", 0.7733577), ("+15550002", 0.0043586), ("", 0.1184377)])
def test_the_split_of_a_unit_is_for_ever(unit: str, position: float) -> None:
    """A unit has the same place in every release: to move it would change the variant of live callers."""
    assert assigned(an_experiment(weight=position), unit).variant is CONTROL
    assert assigned(an_experiment(weight=position + 1e-6), unit).variant is WARM


def test_an_override_without_a_condition_is_for_nobody() -> None:
    """An override that names neither caller nor attribute does not catch everybody, nor every caller without a name."""
    experiment = an_experiment(weight=0.0, overrides=(Override(variant="warm"),))
    assert assigned(experiment).reason == "CONTROL_ONLY"
    assert assigned(experiment, attributes={"": ""}).reason == "CONTROL_ONLY"


@given(UNITS, WEIGHTS, WEIGHTS)
def test_raising_the_weight_never_moves_a_unit_out_of_treatment(unit: str, one: float, other: float) -> None:
    """Whoever is in treatment at a weight is in treatment at every higher one."""
    lower, higher = sorted((one, other))
    before, after = (assigned(an_experiment(weight=weight), unit).variant for weight in (lower, higher))
    assert (before, after) != (WARM, CONTROL)


@given(UNITS)
def test_nothing_is_nobody_and_all_is_everybody(unit: str) -> None:
    """At weight 0 everybody has control; at weight 1 everybody has treatment."""
    assert assigned(an_experiment(weight=0.0), unit).variant is CONTROL
    assert assigned(an_experiment(weight=1.0), unit).variant is WARM


@given(UNITS, WEIGHTS)
def test_a_halt_is_for_every_new_unit(unit: str, weight: float) -> None:
    """While treatment is halted, nobody new gets it."""
    answer = assigned(an_experiment(weight=weight), unit, halted={WARM_SERIES})
    assert (answer.variant, answer.reason) == (CONTROL, "HALTED")


@given(UNITS, WEIGHTS, st.sampled_from(["control", "warm"]))
def test_a_winner_is_for_everybody(unit: str, weight: float, winner: str) -> None:
    """Once the experiment is decided, neither weight nor unit matters."""
    answer = assigned(an_experiment(weight=weight, winner=winner), unit)
    assert (answer.variant.name, answer.reason) == (winner, "COMPLETE")


@given(UNITS, WEIGHTS)
def test_a_winner_that_is_halted_later_is_for_nobody(unit: str, weight: float) -> None:
    """A gate that breaks after the end of the ramp shuts the winner out like any other."""
    answer = assigned(an_experiment(weight=weight, winner="warm"), unit, halted={WARM_SERIES})
    assert (answer.variant, answer.reason) == (CONTROL, "HALTED")


@given(UNITS, WEIGHTS)
def test_the_order_of_the_variants_does_not_matter(unit: str, weight: float) -> None:
    """Control is the variant that says so, not the first one."""
    experiment = an_experiment(weight=weight)
    turned = replace(experiment, variants=(WARM, CONTROL))
    assert assigned(experiment, unit).variant == assigned(turned, unit).variant
