"""What people ask for by annotation: which wishes are obeyed, in which order, and what is told of each."""

from dataclasses import replace
from typing import Any

import pytest
from ramps import NOW, an_experiment

from sluicegate.policy import Policy
from sluicegate_operator.analysis.comparison import Analysis
from sluicegate_operator.analysis.evidence import Evidence
from sluicegate_operator.analysis.plan import plan_of
from sluicegate_operator.rollout.operations import PASSABLE, aborted, attempted, operations, overruled
from sluicegate_operator.rollout.reconcile import reconcile
from sluicegate_operator.rollout.state import MOST_ENDED, RolloutState, first_state, runs_left
from sluicegate_operator.rollout.verdicts import Advance, Hold, HoldReason, Promote, RollBack

RESOURCE = an_experiment()
STATE = first_state(RESOURCE, 1, NOW)
NOTHING = Evidence(comparison=Analysis(plan_of(RESOURCE)).reading(), treatment=None, control=None, halt=None)
GO = Advance("shown safe")


def asking(run_id: str = "1", **asked: str) -> Any:
    return an_experiment(run_id=run_id, asked=asked)


def looked(resource: Any, state: RolloutState | None) -> RolloutState:
    """The state after one look without any evidence."""
    return reconcile(attempted(resource, state), state, None, NOTHING, Policy(), NOW).state


def test_a_promote_passes_the_step_that_it_names() -> None:
    """Without evidence, on to the next step; at the last one, to the end. The message says by whom and despite what."""
    hold = Hold("NotYetSafe", "not yet known", "more")
    passed = overruled(asking(promote="1/1"), STATE, hold)
    assert isinstance(passed, Advance)
    assert "by hand" in passed.message
    assert "not yet known" in passed.message
    last = replace(STATE, step=2)
    assert isinstance(overruled(asking(promote="1/3"), last, hold), Promote)


@pytest.mark.parametrize("value", ["1/2", "2/1", "1", "", "1/x", "1/1/1"])
def test_a_promote_of_another_run_or_step_does_nothing(value: str) -> None:
    """Yesterday's wish is not today's."""
    hold = Hold("NotYetSafe", "not yet known", "more")
    assert overruled(asking(promote=value), STATE, hold) is hold


@pytest.mark.parametrize("reason", ["Paused", "SharedCause", "GateBroken"])
def test_a_promote_does_not_pass_a_pause_or_a_broken_gate(reason: HoldReason) -> None:
    """Only missing evidence can be done without."""
    hold = Hold(reason, "no", "")
    assert reason not in PASSABLE
    assert overruled(asking(promote="1/1"), STATE, hold) is hold


def test_harm_comes_before_pause_and_promote() -> None:
    """Nobody can keep a harmful run alive."""
    harm = RollBack("Harm", "worse")
    assert overruled(asking(promote="1/1", pause="1"), STATE, harm) is harm


def test_a_pause_comes_before_promote_and_evidence() -> None:
    """As long as the annotation names this run."""
    for asked in ({"pause": "1"}, {"pause": "1", "promote": "1/1"}):
        paused = overruled(asking(**asked), STATE, GO)
        assert isinstance(paused, Hold)
        assert paused.reason == "Paused"
    assert overruled(asking(pause="0"), STATE, GO) is GO


def test_an_abort_ends_a_run_and_a_complete_one_too() -> None:
    """Once: a run that is rolled back is not aborted again."""
    for phase in ("Ramping", "Complete"):
        end = aborted(asking(abort="1"), replace(STATE, phase=phase))
        assert end is not None
        assert end.reason == "Aborted"
    assert aborted(asking(abort="1"), replace(STATE, phase="RolledBack")) is None
    assert aborted(asking(abort="2"), STATE) is None


def test_a_manual_step_waits_for_a_person_once_there_is_evidence() -> None:
    """The hold says what to write; before there is evidence, it is evidence that is waited for."""
    first, *rest = RESOURCE.steps
    manual = replace(RESOURCE, steps=(replace(first, manual=True), *rest))
    waiting = overruled(manual, STATE, GO)
    assert isinstance(waiting, Hold)
    assert waiting.reason == "ApprovalNeeded"
    assert "sluicegate.dev/promote: 1/1" in waiting.needed
    assert overruled(replace(manual, asked={"promote": "1/1"}), STATE, GO) is GO
    hold = Hold("TooFewSessions", "3 of 50", "47")
    assert overruled(manual, STATE, hold) is hold


def test_a_retry_is_a_new_run_with_callers_divided_anew() -> None:
    """Of a rolled back run alone, once for each wish, and again for the next."""
    back = replace(STATE, phase="RolledBack", reason="Harm")
    by_default = an_experiment(asked={"retry": "1"})
    second = attempted(by_default, back)
    assert (second.run_id, second.salt) == ("1~2", "warmer-greeting/1~2")
    assert attempted(asking(retry="1"), STATE).run_id == "1"
    state = looked(by_default, back)
    assert (state.run_id, state.phase, state.step) == ("1~2", "Ramping", 0)
    assert looked(by_default, state).run_id == "1~2"
    again = looked(replace(by_default, asked={"retry": "1~2"}), replace(state, phase="RolledBack"))
    assert again.run_id == "1~3"
    assert [run.run_id for run in again.ended] == ["1", "1~2"]


def test_a_salt_of_the_authors_own_stays_in_a_retry() -> None:
    """Who chose it wants these callers."""
    own = an_experiment(asked={"retry": "1"}, salt="pepper")
    retried = attempted(own, replace(STATE, phase="RolledBack"))
    assert (retried.run_id, retried.salt) == ("1~2", "pepper")


def test_a_new_run_id_of_the_author_ends_the_attempts() -> None:
    """It is a run of its own."""
    tried = replace(STATE, run_id="1~4")
    assert attempted(asking("2"), tried).run_id == "2"


def test_a_run_that_was_left_does_not_start_again() -> None:
    """Rolled back it stays; one that was left in the middle is over; both say so."""
    second = looked(asking("2"), STATE)
    assert second.phase == "Ramping"
    first = looked(asking("1"), second)
    assert (first.run_id, first.phase, first.reason) == ("1", "RolledBack", "Superseded")
    assert "does not start again without a new spec.runId" in first.message


def test_a_complete_run_comes_back_complete() -> None:
    """With the variants that it ended with; with others, nobody knows what was compared."""
    complete = replace(STATE, phase="Complete")
    second = looked(asking("2"), complete)
    assert looked(asking("1"), second).phase == "Complete"
    control, warm = RESOURCE.variants
    other = an_experiment(variants=(control, replace(warm, config={"model": "other"})))
    assert looked(other, second).phase == "RolledBack"


def test_ended_runs_are_bounded() -> None:
    """The oldest are forgotten."""
    state = STATE
    for number in range(MOST_ENDED + 5):
        state = replace(state, ended=runs_left(state, str(number + 2)), run_id=str(number + 2))
    assert len(state.ended) == MOST_ENDED
    assert state.ended[-1].run_id == str(MOST_ENDED + 5)


@pytest.mark.parametrize(
    ("asked", "changes", "outcome"),
    [
        ({"promote": "1/1"}, {}, "Waiting"),
        ({"promote": "1/1"}, {"step": 1}, "Done"),
        ({"promote": "1/3"}, {"step": 2, "phase": "Complete"}, "Done"),
        ({"promote": "1/1"}, {"phase": "RolledBack"}, "Outdated"),
        ({"promote": "0/1"}, {}, "Outdated"),
        ({"promote": "next"}, {}, "Outdated"),
        ({"pause": "1"}, {}, "InForce"),
        ({"pause": "1"}, {"phase": "Complete"}, "Outdated"),
        ({"pause": "0"}, {}, "Outdated"),
        ({"abort": "1"}, {"phase": "RolledBack"}, "Done"),
        ({"abort": "0"}, {}, "Outdated"),
        ({"retry": "1"}, {}, "Outdated"),
        ({"retry": "0"}, {}, "Outdated"),
    ],
)
def test_what_became_of_a_wish_is_told(asked: dict[str, str], changes: dict[str, Any], outcome: str) -> None:
    """One word for a machine, and a sentence."""
    (told,) = operations(an_experiment(asked=asked), replace(STATE, **changes))
    assert told.outcome == outcome
    assert told.message


def test_wishes_of_others_are_left_alone() -> None:
    """An annotation that asks for nothing that is known is not ours."""
    assert list(operations(an_experiment(asked={"agent": "x", "note": "y"}), STATE)) == []
