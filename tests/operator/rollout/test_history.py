"""What a run's state remembers of its ramp."""

from dataclasses import fields, replace

import msgspec
import pytest
from ramps import NOW, a_halt
from reports import Run
from scored import PLAN, RESOURCE

from sluicegate.policy import Policy
from sluicegate.snapshot import pack
from sluicegate_operator.analysis.evidence import Comparison, Evidence
from sluicegate_operator.rollout.history import MOST_KEPT, RampChange, with_change
from sluicegate_operator.rollout.reconcile import reconcile
from sluicegate_operator.rollout.state import RolloutState, outline

EMPTY = Comparison(plan=PLAN, counted_in_step={}, scored_in_step={}, variants={}, refused={})
NOTHING = Evidence(comparison=EMPTY, treatment=None, control=None, halt=None)


def a_change(number: int) -> RampChange:
    return RampChange(at=float(number), kind="Advanced", before=0.1, after=0.2, message=f"change {number}")


def test_a_ramp_up_is_remembered_step_by_step() -> None:
    """From nothing to 10, 20, 50 and all, each with the sentence of its decision and the time."""
    run = Run().sessions(1_500)
    assert run.outcome is not None
    history = run.outcome.state.history
    assert [(change.kind, change.before, change.after) for change in history] == [
        ("Started", 0.0, 0.1),
        ("Advanced", 0.1, 0.2),
        ("Advanced", 0.2, 0.5),
        ("Complete", 0.5, 1.0),
    ]
    assert [change.at for change in history] == sorted({change.at for change in history})
    assert history[-1].message == run.outcome.state.message
    assert "is not worse than control" in history[1].message


@pytest.mark.parametrize("at", [0, 2])
def test_a_rollback_is_remembered_from_where_it_came(at: int) -> None:
    """The last change goes to nothing, and later looks add no other."""
    first = reconcile(RESOURCE, None, None, NOTHING, Policy(), NOW)
    state = replace(first.state, step=at)
    for later in range(3):
        state = reconcile(RESOURCE, state, None, replace(NOTHING, halt=a_halt()), Policy(), NOW + 60 + later).state
    change = state.history[-1]
    assert (change.kind, change.before, change.after) == ("RolledBack", RESOURCE.steps[at].weight, 0.0)
    assert (change.at, change.message, len(state.history)) == (NOW + 60, state.message, 2)


def test_a_winner_that_goes_back_is_remembered_from_the_top() -> None:
    """From everybody to nobody."""
    run = Run().sessions(1_500)
    assert run.outcome is not None
    state = reconcile(RESOURCE, run.outcome.state, None, replace(NOTHING, halt=a_halt()), Policy(), NOW).state
    change = state.history[-1]
    assert (change.kind, change.before, change.after) == ("RolledBack", 1.0, 0.0)


def test_a_new_run_has_a_history_of_its_own() -> None:
    """It begins with its own start."""
    first = reconcile(RESOURCE, None, None, NOTHING, Policy(), NOW)
    second = reconcile(replace(RESOURCE, run_id="2"), first.state, None, NOTHING, Policy(), NOW + 1)
    assert [(change.kind, change.at) for change in second.state.history] == [("Started", NOW + 1)]


def test_a_history_has_an_end() -> None:
    """The first change and the newest ones are kept."""
    history: tuple[RampChange, ...] = ()
    for number in range(1_000):
        history = with_change(history, a_change(number))
    assert [change.at for change in history] == [0.0, *(float(n) for n in range(1_001 - MOST_KEPT, 1_000))]


def test_a_state_of_an_earlier_version_is_read() -> None:
    """Without history, what was asked for, and what was seen: the next look goes on from it, and does not start."""
    before = reconcile(RESOURCE, None, None, NOTHING, Policy(), NOW).state
    new = {"resource", "history", "seen", "lost"}
    old = {field.name: getattr(before, field.name) for field in fields(before) if field.name not in new}
    read = msgspec.msgpack.decode(pack(old), type=RolloutState)
    assert (read.history, read.resource, read.seen, read.lost) == ((), None, 0, 0)
    after = reconcile(RESOURCE, read, None, NOTHING, Policy(), NOW + 1).state
    assert after == replace(before, history=(), version=after.version)


def test_what_is_asked_for_is_remembered_without_prompts() -> None:
    """Steps, pause and names, for whoever shows the state; a configuration may be large, and is in the snapshot."""
    control, treatment = RESOURCE.variants
    prompted = replace(RESOURCE, variants=(control, replace(treatment, config={"systemPrompt": "Be warm."})))
    state = reconcile(prompted, None, None, NOTHING, Policy(), NOW).state
    assert state.resource == outline(RESOURCE)
    assert b"Be warm." not in pack(state)
    assert msgspec.msgpack.decode(pack(state), type=RolloutState) == state
