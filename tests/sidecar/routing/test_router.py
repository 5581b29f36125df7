"""The router: each session is assigned once."""

import logging
from dataclasses import replace

import pytest
from captured import WARM_SERIES, an_experiment

from sluicegate.caller import hash_caller
from sluicegate.experiment import ExperimentInForce, Override
from sluicegate.snapshot import Snapshot
from sluicegate_sidecar.routing.assignment import Assignment
from sluicegate_sidecar.routing.in_force import InForce
from sluicegate_sidecar.routing.pins import Pins
from sluicegate_sidecar.routing.router import Router


class Desk:
    """A router, and what is in force for it."""

    def __init__(self, experiment: ExperimentInForce | None, capacity: int = 100) -> None:
        self.in_force = InForce()
        self.in_force.take_key(b"k" * 32)
        self.pins = Pins(capacity)
        self.router = Router(self.in_force, self.pins)
        self.put(experiment)

    def put(self, experiment: ExperimentInForce | None) -> None:
        self.in_force.replace(Snapshot(experiment=experiment))

    def asks(self, session_id: str, caller_id: str = "", **attributes: str) -> Assignment:
        answer = self.router.assign(session_id, caller_id, attributes, "", 1000.0)
        assert answer is not None
        return answer


def test_without_an_experiment_there_is_no_assignment() -> None:
    """Nothing in force: no answer, and nothing is pinned, so that an experiment that comes reaches the session."""
    desk = Desk(None)
    assert desk.router.assign("s-1", "c", {}, "", 1.0) is None
    assert len(desk.pins) == 0
    desk.put(an_experiment())
    assert desk.asks("s-1").attribution.experiment == "greeting"


def test_a_session_is_assigned_once() -> None:
    """Asked again, a session gets its first answer, whoever is said to call and whatever the attributes are by then."""
    desk = Desk(an_experiment(weight=0.0, overrides=(Override(variant="warm", attribute="qa", value="1"),)))
    first = desk.asks("s-1", "ann")
    assert first.variant.name == "control"
    assert desk.router.assign("s-1", "bob", {"qa": "1"}, "", 2000.0) is first
    assert desk.asks("s-2", qa="1").variant.name == "warm"


def test_callers_keep_their_variant_over_sessions() -> None:
    """The unit is the caller where the experiment says so, and the session where there is no caller."""
    desk = Desk(an_experiment())
    of_ann = {desk.asks(f"s-{i}", "ann").variant.name for i in range(50)}
    of_nobody = {desk.asks(f"n-{i}").variant.name for i in range(50)}
    assert len(of_ann) == 1
    assert of_nobody == {"control", "warm"}


def test_sessions_are_the_unit_where_the_experiment_says_so() -> None:
    """With the unit Session one caller meets both variants."""
    desk = Desk(an_experiment(unit="Session"))
    assert {desk.asks(f"s-{i}", "ann").variant.name for i in range(50)} == {"control", "warm"}


def test_a_live_session_keeps_its_variant_after_a_halt() -> None:
    """A halt is told as the reason to a session that has the halted variant; new sessions get control."""
    desk = Desk(an_experiment(weight=1.0))
    before = desk.asks("s-1", "ann")
    desk.in_force.halted.add(WARM_SERIES)
    again, new = desk.asks("s-1", "ann"), desk.asks("s-2", "ann")
    assert (before.variant.name, before.reason) == ("warm", "SPLIT")
    assert (again.variant.name, again.reason) == ("warm", "HALTED")
    assert (new.variant.name, new.reason) == ("control", "HALTED")


def test_what_is_recorded_of_a_session_is_its_first_answer() -> None:
    """A halt in the middle of a session does not take it out of the analysis: it was split when it began."""
    desk = Desk(an_experiment(weight=1.0))
    desk.asks("s-1")
    desk.in_force.halted.add(WARM_SERIES)
    desk.asks("s-1")
    pinned = desk.pins.get("s-1")
    assert pinned is not None
    assert pinned.reason == "SPLIT"


def test_a_halt_is_no_news_to_control_nor_to_testers() -> None:
    """Sessions that did not get treatment by the split keep their reason after its halt."""
    desk = Desk(an_experiment(weight=1e-9, overrides=(Override(variant="warm", attribute="qa", value="1"),)))
    assert (desk.asks("s-1").reason, desk.asks("s-2", qa="1").reason) == ("SPLIT", "OVERRIDE")
    desk.in_force.halted.add(WARM_SERIES)
    assert (desk.asks("s-1").reason, desk.asks("s-2", qa="1").reason) == ("SPLIT", "OVERRIDE")


def test_a_pinned_session_outlives_its_experiment() -> None:
    """A new weight, a new run, another experiment or none at all: a live session is not flipped."""
    experiment = an_experiment(weight=1.0)
    desk = Desk(experiment)
    first = desk.asks("s-1", "ann")
    successors = (
        replace(experiment, weight=0.0),
        replace(experiment, run_id="run-2", salt="other"),
        replace(experiment, name="farewell", winner="control"),
        None,
    )
    for successor in successors:
        desk.put(successor)
        assert desk.asks("s-1", "ann") is first


def test_testers_are_known_by_a_keyed_hash() -> None:
    """An override names a caller by hash; it matches that caller under this key, and nobody else."""
    ann = hash_caller(b"k" * 32, "ann")
    desk = Desk(an_experiment(weight=0.0, overrides=(Override(variant="warm", caller_hash=ann),)))
    assert desk.asks("s-1", "ann").reason == "OVERRIDE"
    assert desk.asks("s-2", "bob").reason == "CONTROL_ONLY"
    assert desk.asks("s-3", ann).reason == "CONTROL_ONLY"
    assert desk.asks("s-4").reason == "CONTROL_ONLY"


def test_the_session_not_asked_for_longest_is_forgotten_first() -> None:
    """Pins are bounded; asking renews one."""
    desk = Desk(an_experiment(), capacity=2)
    first = desk.asks("s-1")
    desk.asks("s-2")
    assert desk.asks("s-1") is first
    desk.asks("s-3")
    assert len(desk.pins) == 2
    assert desk.pins.get("s-2") is None
    assert desk.pins.get("s-1") is first


def test_a_token_of_a_variant_that_is_gone_is_worth_nothing() -> None:
    """The run goes on with other variants: a session that comes with its token is assigned anew, and not refused."""
    desk, renamed = Desk(an_experiment(weight=1.0)), Desk(None)
    token = desk.router.token("s-1", desk.asks("s-1"))
    control, warm = an_experiment().variants
    renamed.put(an_experiment(weight=1.0, variants=(control, replace(warm, name="warmer"))))
    answer = renamed.router.assign("s-1", "", {}, token, 1000.0)
    assert answer is not None
    assert answer.variant.name == "warmer"


def test_what_names_no_variant_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log says which winner and which override, when they come into force, and not again for each call or poll."""
    wrong = an_experiment(winner="gone", overrides=(Override(variant="lost", attribute="qa", value="1"),))
    with caplog.at_level(logging.ERROR):
        desk = Desk(wrong)
        desk.put(replace(wrong))
        desk.asks("s-1", qa="1")
    assert [record.getMessage() for record in caplog.records] == [
        f"experiment greeting: the {what} is not in force: its variants are control, warm"
        for what in ("override for 'lost'", "winner 'gone'")
    ]


def test_a_released_session_is_forgotten() -> None:
    """Once released, a session is assigned anew; releasing one that is not pinned does nothing."""
    desk = Desk(an_experiment())
    desk.asks("s-1")
    desk.pins.release("s-1")
    desk.pins.release("never")
    assert len(desk.pins) == 0
