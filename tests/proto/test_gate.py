"""The gate rule, against numbers worked out by hand."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.gate import OVERALL_SCALE, GateStatus, Summary, confirmed, judge_gate, summarize
from sluicegate.policy import MAX_RUBRICS, Confirm, GateRule


def rule(confirm: Confirm = "None") -> GateRule:
    return GateRule(metric="tone", min=3.0, severity="critical", action="Rollback", confirm=confirm)


def at(mean: float, count: int = 10) -> Summary:
    """A summary whose upper bound is half a point above its mean."""
    return Summary(count, mean, mean - 0.5, mean + 0.5)


NEW = GateStatus()
LATCHED = GateStatus("Broken", "", True)


def test_no_score_has_no_summary() -> None:
    """Without a score there is no mean, not a mean of 0."""
    assert summarize(0, 0, 0) is None


def test_scores_that_agree_have_bounds_all_the_same() -> None:
    """Four times a 3: no deviations, v = 5 / 8, and bounds at 1.645 · sqrt(5 / 8 / 4) = 0.650."""
    assert summarize(4, 12, 36) == Summary(4, 3.0, 3 - 1.645 * math.sqrt(5 / 32), 3 + 1.645 * math.sqrt(5 / 32))


def test_scores_that_differ() -> None:
    """1, 2, 3, 4, 5: mean 3, squared deviations 10, v = 15 / 9, bounds 1.645 · sqrt(1 / 3) = 0.9497 away."""
    summary = summarize(5, 15, 55)
    assert summary is not None
    assert summary.mean == 3.0
    assert summary.lower == pytest.approx(3 - 0.949741, abs=1e-6)
    assert summary.upper == pytest.approx(3 + 0.949741, abs=1e-6)


def test_scaled_sums_give_the_same_summary() -> None:
    """Averages of 4.25 and 3.5, in units of 1/2520: the summary is in points."""
    values = [10710, 8820]
    summary = summarize(2, sum(values), sum(v * v for v in values), OVERALL_SCALE)
    assert summary is not None
    assert summary.mean == 3.875
    assert summary.upper == pytest.approx(3.875 + 1.645 * math.sqrt((0.28125 + 5) / 6 / 2))


@pytest.mark.parametrize("scores", range(1, MAX_RUBRICS + 1))
def test_every_average_is_an_integer_of_the_scale(scores: int) -> None:
    """Whatever the number of rubrics that apply, an average times 2520 is an integer."""
    assert OVERALL_SCALE % scores == 0


@given(st.lists(st.integers(1, 5), min_size=1, max_size=50), st.integers(1, 5))
def test_bounds_hold_the_mean_and_narrow(scores: list[int], times: int) -> None:
    """The mean is the exact one, rounded once; the bounds lie around it, narrower with the same scores once more."""
    many = scores * times
    one, more = (summarize(len(x), sum(x), sum(v * v for v in x)) for x in (many, many * 2))
    assert one is not None
    assert more is not None
    assert one.mean == float(Fraction(sum(many), len(many)))
    assert one.lower < one.mean < one.upper
    assert more.upper - more.lower < one.upper - one.lower


@pytest.mark.parametrize("summary", [None, at(1.0, 9)])
def test_under_the_minimum_a_gate_is_unknown(summary: Summary | None) -> None:
    """Never OK and never broken; a latch stays."""
    assert judge_gate(rule(), 10, summary, NEW, lagging=False) == GateStatus("Unknown", "TooFewSessions", False)
    assert judge_gate(rule(), 10, summary, LATCHED, lagging=False) == GateStatus("Unknown", "TooFewSessions", True)


def test_the_floor_itself_is_good_enough() -> None:
    """Below 3.0 is broken, 3.0 is OK."""
    assert judge_gate(rule(), 10, at(math.nextafter(3.0, 0)), NEW, lagging=False) == LATCHED
    assert judge_gate(rule(), 10, at(3.0), NEW, lagging=False) == GateStatus("OK", "", False)


def test_a_latched_gate_recovers_at_the_floor_and_a_bit() -> None:
    """Once broken, it takes 3.2; also when the gate was unknown in between."""
    unknown = GateStatus("Unknown", "TooFewSessions", True)
    for before in (LATCHED, unknown):
        assert judge_gate(rule(), 10, at(3.19), before, lagging=False) == LATCHED
        assert judge_gate(rule(), 10, at(3.2), before, lagging=False) == GateStatus("OK", "", False)


def test_a_lagging_judge_hides_what_is_ok_and_not_what_is_broken() -> None:
    """Harm that was seen is not unseen."""
    assert judge_gate(rule(), 10, at(4.0), NEW, lagging=True) == GateStatus("Unknown", "JudgeLag", False)
    assert judge_gate(rule(), 10, at(4.0), LATCHED, lagging=True) == GateStatus("Unknown", "JudgeLag", True)
    assert judge_gate(rule(), 10, at(2.0), NEW, lagging=True) == LATCHED


def test_an_action_waits_for_what_the_rule_asks() -> None:
    """Mean 2.8, upper bound 3.3: due without confirmation, not due with it; at 2.4 and 2.9 due with both."""
    assert confirmed(rule("None"), at(2.8), LATCHED)
    assert not confirmed(rule("UpperBound"), at(2.8), LATCHED)
    assert confirmed(rule("UpperBound"), at(2.4), LATCHED)


def test_no_action_between_the_floor_and_recovery() -> None:
    """Still broken at 3.1, by hysteresis only: that is no reason to act."""
    assert not confirmed(rule(), at(3.1), LATCHED)
    assert not confirmed(rule(), at(2.0), GateStatus("Unknown", "JudgeLag", True))
    assert not confirmed(rule(), None, LATCHED)
