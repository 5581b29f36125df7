"""A run whose scores Redis lost."""

from dataclasses import replace

import pytest
from ramps import NOW, a_halt
from reports import SECONDS_APART, START, Run
from scored import PLAN, RESOURCE

from sluicegate.policy import Policy
from sluicegate_operator.analysis.evidence import Comparison, Evidence
from sluicegate_operator.rollout.loss import after_loss
from sluicegate_operator.rollout.reconcile import Outcome, reconcile

EMPTY = Comparison(plan=PLAN, counted_in_step={}, scored_in_step={}, variants={}, refused={})
NOTHING = Evidence(comparison=EMPTY, treatment=None, control=None, halt=None)


def seen(entries: int, erased: int = 0) -> Evidence:
    return replace(NOTHING, comparison=replace(EMPTY, entries=entries), erased=erased)


def look(before: Outcome | None, evidence: Evidence, now: float = NOW) -> Outcome:
    state, current = (before.state, before.in_force) if before else (None, None)
    return reconcile(RESOURCE, state, current, evidence, Policy(), now)


def test_a_run_that_lost_its_scores_holds_for_good() -> None:
    """It says how many, and what to do; it keeps its share, and more sessions than before do not set it going."""
    outcome = look(look(None, seen(0)), seen(120))
    after = look(outcome, seen(0))
    assert (after.state.phase, after.state.reason) == ("Ramping", "EvidenceLost")
    assert "Redis lost 120 scores of this run" in after.state.message
    assert "a new spec.runId" in after.state.needed
    assert after.in_force == outcome.in_force
    passing = Run().sessions(800)
    assert passing.outcome is not None
    assert passing.evidence is not None
    assert passing.outcome.state.step > 0
    later = look(after, passing.evidence, START + 801 * SECONDS_APART)
    assert (later.state.step, later.state.reason, later.state.lost) == (0, "EvidenceLost", 120)


def test_it_is_still_rolled_back_on_harm() -> None:
    """What is left of the evidence, and the gates, may stop it."""
    lost = look(look(look(None, seen(0)), seen(120)), seen(0))
    assert look(lost, replace(seen(0), halt=a_halt())).state.reason == "Halted"


def test_a_new_run_is_free_of_it() -> None:
    """It assigns everybody anew, so nobody need be known from before."""
    lost = look(look(look(None, seen(0)), seen(120)), seen(0))
    fresh = reconcile(replace(RESOURCE, run_id="2"), lost.state, lost.in_force, seen(0), Policy(), NOW)
    assert (fresh.state.lost, fresh.state.reason) == (0, "TooFewSessions")


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        (seen(1), seen(0), 0),  # The last moments before a failover.
        (seen(500), seen(495), 0),
        (seen(500), seen(494), 6),
        (seen(40), seen(38), 2),
        (seen(40), seen(30, erased=10), 0),  # Erased is not lost.
        (seen(40, erased=10), seen(40), 10),  # A wiped Redis forgets what was erased, too.
        (seen(40), seen(41), 0),
    ],
)
def test_what_counts_as_lost(before: Evidence, after: Evidence, lost: int) -> None:
    """Fewer scores than were seen, but for those erased, and one in a hundred that a failover takes."""
    state = look(None, before).state
    assert state.seen == before.seen
    assert after_loss(state, after).lost == lost


def test_a_run_that_has_ended_loses_nothing() -> None:
    """Its log may be cleared away."""
    ended = look(look(None, seen(100)), replace(seen(100), halt=a_halt()))
    assert look(ended, seen(0)).state.lost == 0
