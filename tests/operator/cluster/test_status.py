"""The status of an experiment: what it says of a run, and what of it is told at once."""

from dataclasses import replace
from typing import Any

import msgspec
from ramps import BROKEN, NOW, a_halt, a_reading, an_experiment, gates

from sluicegate.policy import Policy
from sluicegate.records import SeriesGates
from sluicegate_operator.analysis.comparison import Analysis
from sluicegate_operator.analysis.evidence import Evidence
from sluicegate_operator.analysis.plan import plan_of
from sluicegate_operator.cluster import status
from sluicegate_operator.ramp import Look
from sluicegate_operator.rollout.reconcile import in_force
from sluicegate_operator.rollout.state import first_state

RESOURCE = an_experiment()
STATE = first_state(RESOURCE, 7, NOW)


def a_look(treatment: SeriesGates | None = None, halted: bool = False, refused: str = "", **changes: Any) -> Look:
    state = replace(STATE, **changes)
    return Look(
        resource=RESOURCE,
        before=STATE,
        after=state,
        in_force=in_force(RESOURCE, state, Policy()),
        evidence=Evidence(
            comparison=Analysis(plan_of(RESOURCE)).reading(),
            treatment=treatment,
            control=None,
            halt=a_halt() if halted else None,
        ),
        refused=refused,
        published=True,
    )


def told(look: Look, before: dict[str, Any] | None = None, now: float = NOW) -> dict[str, Any]:
    return status.of_look(look, 3, before or {}, now)


def conditions(of: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in of["conditions"]}


def test_what_a_ramping_run_looks_like() -> None:
    """Its step counted from 1, its share in percent, and every condition from the start: one can wait for it."""
    of = told(a_look())
    assert (of["phase"], of["stepText"], of["weight"], of["observedGeneration"]) == ("Ramping", "1/3", "10%", 3)
    assert conditions(of) == {
        "ComparisonValid": ("True", "AsPlanned"),
        "Complete": ("False", "NotSo"),
        "GatesPassing": ("Unknown", "TooFewSessions"),
        "Progressing": ("True", "Ramping"),
        "Ready": ("True", "InForce"),
        "RolledBack": ("False", "NotSo"),
        "Stalled": ("False", "NotSo"),
        "TooFewCallers": ("False", "NotSo"),
    }


def test_gates_in_a_word() -> None:
    """Broken ones by name; else how many pass; a lagging judge makes them unknown."""
    broken = told(a_look(gates(tone=BROKEN, overall_average=a_reading())))
    assert broken["gatesText"] == "Broken: tone"
    assert conditions(broken)["GatesPassing"] == ("False", "Broken")
    passing = told(a_look(gates(tone=a_reading(), overall_average=a_reading())))
    assert passing["gatesText"] == "2/2 OK"
    assert conditions(passing)["GatesPassing"] == ("True", "OK")
    lagging = told(a_look(gates(tone=a_reading("Unknown", "JudgeLag"))))
    assert conditions(lagging)["GatesPassing"] == ("Unknown", "JudgeLag")


def test_holds_that_need_somebody_stop_the_progress() -> None:
    """To wait for sessions is progress; a pause, a mismatch or a deadline is not."""
    for reason, expected in (("TooFewSessions", "True"), ("Paused", "False"), ("DeadlineExceeded", "False")):
        of = conditions(told(a_look(reason=reason)))
        assert of["Progressing"] == (expected, reason)
    assert conditions(told(a_look(reason="DeadlineExceeded")))["Stalled"][0] == "True"
    assert conditions(told(a_look(reason="TooFewCallers")))["TooFewCallers"][0] == "True"
    assert conditions(told(a_look(reason="EvidenceLost")))["ComparisonValid"] == ("False", "EvidenceLost")


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    """Whoever waits sees since when it is so."""
    first = told(a_look())
    second = told(a_look(phase="RolledBack", reason="Harm"), first, NOW + 60)
    times = {one["type"]: one["lastTransitionTime"] for one in second["conditions"]}
    before = {one["type"]: one["lastTransitionTime"] for one in first["conditions"]}
    assert times["RolledBack"] > before["RolledBack"]
    assert times["Ready"] == before["Ready"]


def test_the_state_is_remembered_to_the_last_bit() -> None:
    """What comes back from JSON is what went in; what is not understood is nothing."""
    of = msgspec.json.decode(msgspec.json.encode(told(a_look(halted=True))))
    assert status.remembered(of) == STATE
    assert status.halts_in(of) == {a_halt().series: a_halt()}
    assert status.remembered({}) is None
    assert status.remembered({"rollout": {"phase": "Odd"}}) is None


def test_halts_are_never_forgotten() -> None:
    """Those of earlier runs stay, also while nothing of them is in Redis."""
    of = told(a_look(), {"halts": [msgspec.to_builtins(a_halt(run_id="0"))]})
    assert [halt["series"] for halt in of["halts"]] == ["warmer-greeting/0/warm"]


def test_numbers_are_not_urgent_and_decisions_are() -> None:
    """A message with a count in it may wait; a phase, a step, a halt or a condition may not."""
    first = status.urgent(told(a_look()))
    assert status.urgent(told(a_look(message="12 of 20", needed="8", reason="TooFewSessions"))) == first
    for changed in (a_look(phase="Complete"), a_look(step=1), a_look(halted=True), a_look(refused="frozen")):
        assert status.urgent(told(changed)) != first


def test_who_is_pending_keeps_what_it_remembers() -> None:
    """An agent that is busy, or a ConfigMap that is missing, is no reason to forget earlier runs."""
    before = told(a_look(halted=True))
    of = status.pending("AgentBusy", "busy", 4, before, NOW)
    assert status.remembered(of) == STATE
    assert of["halts"] == before["halts"]
    assert (of["phase"], conditions(of)) == ("Pending", {"Ready": ("False", "AgentBusy")})
