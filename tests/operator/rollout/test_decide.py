"""What is decided, in which order, and the numbers that each decision names."""

import math
from dataclasses import replace
from typing import Any, cast

import pytest
from scored import PLAN, RESOURCE

from sluicegate.gate import GateState, UnknownReason
from sluicegate.records import GateReading, Halt, SeriesGates
from sluicegate_operator.analysis.evidence import Comparison, Evidence, MetricReading, MismatchReading
from sluicegate_operator.rollout.decide import decide
from sluicegate_operator.rollout.state import RolloutState, first_state
from sluicegate_operator.rollout.verdicts import Advance, Decision, Hold, Promote, RollBack

NOW = 1_000.0
STATE = first_state(RESOURCE, 1, NOW)
SAFE = {0.5: math.log(25), 0.35: math.log(25), 0.25: math.log(25)}
UNSAFE = {0.5: math.log(19.9), 0.35: 0.0, 0.25: -1.0}
MISMATCH = MismatchReading(step=0, treatment=20, control=480, expected_treatment=50.0, log_factor=8.0, alarmed=True)
HALT = Halt(series="", gate="tone", count=12, mean=2.0, upper=2.6, threshold=3.0, severity="critical", at=0)


def reading(name: str = "task_completion", log_harm: float = 0.0, safety: dict[float, float] = SAFE) -> MetricReading:
    return MetricReading(
        metric=name,
        treatment_count=50,
        treatment_mean=4.0,
        control_count=450,
        control_mean=4.1,
        log_harm=log_harm,
        log_safety=safety,
    )


COMPARISON = Comparison(
    plan=PLAN,
    revision="r1",
    metrics=(reading(),),
    counted_treatment=150,
    counted_control=450,
    counted_in_step={0: 50, 1: 50, 2: 50},
    scored_in_step={0: 60, 1: 60, 2: 60},
    variants={},
    refused={},
)


def gates(state: GateState = "OK", reason: UnknownReason = "", at: float = NOW, **changes: Any) -> SeriesGates:
    of = GateReading(
        state=state, reason=reason, latched=False, since=0, count=30, mean=4.0, threshold=3.5, severity="critical"
    )
    return SeriesGates(at=int(at * 1000), revision="r1", sessions=50, gates={"tone": replace(of, **changes)})


def decided(state: RolloutState = STATE, now: float = NOW, resource: Any = RESOURCE, **changes: Any) -> Decision:
    """The decision where all is well, but for the changes in the comparison or the rest of the evidence."""
    rest = {"treatment": gates(), "control": gates(), "halt": None}
    rest |= {name: changes.pop(name) for name in tuple(changes) if name in rest}
    return decide(resource, state, Evidence(comparison=replace(COMPARISON, **changes), **cast(Any, rest)), now)


def test_a_safe_step_is_left_for_the_next_one() -> None:
    """With the evidence, the means, the sessions and the weight that it rests on."""
    decision = decided()
    assert decision == Advance(
        "warm is not worse than control by 0.5 points, evidence 25 (20 decides); task_completion 4.00 (50 sessions of "
        "warm) against 4.10 (450 of control); 50 sessions of warm counted at 10%, its gates pass: on to 20%"
    )


def test_the_last_step_is_followed_by_everybody() -> None:
    """At the margin of the last step, the narrowest."""
    decision = decided(replace(STATE, step=2))
    assert isinstance(decision, Promote)
    assert "by 0.25 points" in decision.message


def test_harm_comes_before_everything() -> None:
    """Before a halt, a pause and a broken control; the worst metric is named with its means."""
    decision = decided(
        resource=replace(RESOURCE, paused=True),
        log_harm=math.log(23.4),
        metrics=(reading(), reading("tone", log_harm=math.log(90))),
        halt=HALT,
        control=gates("Broken"),
    )
    assert decision == RollBack(
        "Harm",
        "warm rolled back: it is worse than control, evidence for harm 23.4 (20 decides) over 150 sessions of warm and "
        "450 of control; tone 4.00 (50 sessions of warm) against 4.10 (450 of control)",
    )


@pytest.mark.parametrize("few", ["counted_treatment", "counted_control"])
def test_harm_takes_ten_scores_in_each_variant(few: str) -> None:
    """Nine are not enough, ten are."""
    nine: dict[str, Any] = {few: 9}
    ten: dict[str, Any] = {few: 10}
    assert isinstance(decided(log_harm=9.0, **nine), Advance)
    assert isinstance(decided(log_harm=9.0, **ten), RollBack)


def test_evidence_far_beyond_the_line_is_shown_as_such() -> None:
    """exp(2,500) cannot be printed."""
    decision = decided(log_harm=2_500.0)
    assert "evidence for harm over 10000 (20 decides)" in decision.message


def test_a_halt_rolls_back_even_while_paused() -> None:
    """The gate has decided already; this records it."""
    decision = decided(resource=replace(RESOURCE, paused=True), halt=HALT)
    assert isinstance(decision, RollBack)
    assert decision.reason == "Halted"
    assert "tone is 2.00 over 12 sessions, at most 2.60" in decision.message


HOLDS: list[tuple[str, dict[str, Any], str]] = [
    ("SharedCause", {"control": gates("Broken", mean=3.0), "treatment": gates("Broken")}, "tone of control is 3.00"),
    ("GateBroken", {"treatment": gates("Broken", mean=3.0)}, "tone of warm is 3.00 over 30 sessions, under 3.5"),
    ("JudgeLag", {"treatment": gates(at=NOW - 61)}, "no judge has renewed the gates for a minute"),
    ("JudgeLag", {"treatment": gates("Unknown", "JudgeLag")}, "sessions wait too long for the judge"),
    ("SampleRatioMismatch", {"mismatches": (MISMATCH,)}, "20 of 500 units of step 1 had warm, where 50"),
    ("TooFewSessions", {"counted_in_step": {0: 49}, "scored_in_step": {0: 49}}, "49 of 50 sessions of warm counted"),
    ("TooFewCallers", {"counted_in_step": {0: 9}, "scored_in_step": {0: 70}}, "70 were scored, but 61 of them"),
    ("NotYetSafe", {"metrics": (reading(safety=UNSAFE),)}, "evidence for safety 19.9 (20 decides), for harm 1;"),
    ("GateUnknown", {"treatment": None}, "no session of warm in the window"),
    ("GateUnknown", {"treatment": gates("Unknown", "TooFewSessions")}, "30 scored sessions in the window"),
]


@pytest.mark.parametrize(("reason", "changes", "told"), HOLDS)
def test_a_hold_names_its_reason_its_numbers_and_what_is_needed(
    reason: str, changes: dict[str, Any], told: str
) -> None:
    """One word for a machine, one sentence for a person, and what would end the wait."""
    decision = decided(**changes)
    assert isinstance(decision, Hold)
    assert decision.reason == reason
    assert told in decision.message
    assert decision.needed


NEIGHBOURS = [
    (one, other)
    for position, one in enumerate(HOLDS)
    for other in HOLDS[position + 1 :]
    if not one[1].keys() & other[1].keys()
]


@pytest.mark.parametrize(("earlier", "later"), NEIGHBOURS)
def test_holds_have_an_order(earlier: tuple[str, dict[str, Any], str], later: tuple[str, dict[str, Any], str]) -> None:
    """Of two reasons that hold at once, the earlier in the list is told; a pause comes before all of them."""
    (first, one, _), (_, other, _) = earlier, later
    decision = decided(**other, **one)
    assert isinstance(decision, Hold)
    assert decision.reason == first
    paused = decided(resource=replace(RESOURCE, paused=True), **other, **one)
    assert isinstance(paused, Hold)
    assert paused.reason == "Paused"


def test_a_mismatch_mutes_the_comparison_but_not_the_gates() -> None:
    """Harm by comparison cannot be believed; a halt can."""
    assert isinstance(decided(mismatches=(MISMATCH,), log_harm=9.0), Hold)
    assert isinstance(decided(mismatches=(MISMATCH,), halt=HALT), RollBack)


def test_too_few_callers_tells_the_arithmetic() -> None:
    """How many count, how many were scored, and how many more it takes."""
    decision = decided(counted_in_step={0: 9}, scored_in_step={0: 70})
    assert isinstance(decision, Hold)
    assert decision.needed == "41 more sessions of warm, of callers who are new to the run"


def test_what_is_needed_for_safety_goes_on_as_it_did() -> None:
    """ln E = 1 after 500 sessions, ln 20 = 2.996: another 998."""
    decision = decided(metrics=(reading(safety={0.5: 1.0, 0.35: 1.0, 0.25: 1.0}),))
    assert isinstance(decision, Hold)
    assert "some 998 more sessions" in decision.needed


def test_nothing_scored_yet_is_too_few_sessions() -> None:
    """A run that has just begun holds, and asks for its first sessions."""
    empty = Comparison(plan=PLAN, counted_in_step={}, scored_in_step={}, variants={}, refused={})
    evidence = Evidence(comparison=empty, treatment=None, control=None, halt=None)
    decision = decide(RESOURCE, STATE, evidence, NOW)
    assert decision == Hold(
        "TooFewSessions",
        "0 of 50 sessions of warm counted at 10%",
        "50 more sessions of warm, of callers who are new to the run",
    )


LATE = NOW + RESOURCE.deadline_seconds + 3_600
NOT_SAFE: dict[str, Any] = {
    "metrics": (reading(safety=UNSAFE),),
    "treatment": gates(at=LATE),
    "control": gates(at=LATE),
}


def test_after_the_deadline_it_holds_on() -> None:
    """Unless asked otherwise, the weight stays, and the reason says for how long."""
    decision = decided(now=LATE, **NOT_SAFE)
    assert isinstance(decision, Hold)
    assert decision.reason == "DeadlineExceeded"
    assert decision.message.startswith("no decision after 169.0 hours, with a deadline of 168; not yet known")


def test_after_the_deadline_it_rolls_back_if_asked_to() -> None:
    """`onInconclusive: Rollback`; a moment before the deadline it still holds."""
    resource = replace(RESOURCE, on_inconclusive="Rollback")
    decision = decided(now=LATE, resource=resource, **NOT_SAFE)
    assert isinstance(decision, RollBack)
    assert decision.reason == "Inconclusive"
    assert isinstance(decided(now=LATE - 3_601, resource=resource, **NOT_SAFE), Hold)


def test_the_deadline_blames_nobody_for_a_pause_or_a_broken_control() -> None:
    """Only missing evidence can run out of time."""
    resource = replace(RESOURCE, on_inconclusive="Rollback")
    for changes in ({"resource": replace(resource, paused=True)}, {"resource": resource, "control": gates("Broken")}):
        assert isinstance(decided(now=LATE, **{**NOT_SAFE, **changes}), Hold)


def test_a_metric_that_rarely_applies_does_not_hold() -> None:
    """Sessions enough, another gate known: nothing is missing."""
    both = gates()
    rare = gates("Unknown", "TooFewSessions", count=3).gates["tone"]
    assert isinstance(decided(treatment=replace(both, gates={**both.gates, "tool_accuracy": rare})), Advance)
