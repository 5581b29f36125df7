"""Harm, safety, the centre and the interval, against sums done by hand."""

import math

import pytest

from sluicegate_operator.analysis.contrast import Centre, Contrast, contrast, treatment_probability
from sluicegate_operator.analysis.harm import FRACTIONS, Harm, log_harm
from sluicegate_operator.analysis.interval import difference_interval
from sluicegate_operator.analysis.metric import MetricEvidence
from sluicegate_operator.analysis.safety import Safety, margin_at


def test_the_probability_weighs_the_split_by_the_sampling_rates() -> None:
    """20 % at rate 1 against 80 % at rate ¼: .2/(.2 + .2) = ½. Nothing sampled: 0, so that nothing is compared."""
    assert treatment_probability(0.2, 1.0, 0.25) == pytest.approx(0.5)
    assert treatment_probability(0.2, 1.0, 1.0) == pytest.approx(0.2)
    assert treatment_probability(0.2, 0.0, 0.0) == 0.0


def test_the_contrast_of_a_score() -> None:
    """π = .2, m = 4: a treatment's 3 is (3−4)/.2 = −5; a control's 3 is 1/.8 = 1.25. U = max(1/.2, 3/.8), D = 3/.2."""
    assert contrast(3, True, 0.2, 4.0) == pytest.approx(Contrast(-5.0, 5.0, 15.0))
    assert contrast(3, False, 0.2, 4.0) == pytest.approx(Contrast(1.25, 5.0, 15.0))


def test_the_centre_moves_after_the_score_by_one_third_then_one_quarter() -> None:
    """4 → 4 + (1−4)/3 = 3 → 3 + (5−3)/4 = 3.5; after many scores by a fiftieth."""
    centre = Centre()
    centre.add(1)
    assert centre.value == pytest.approx(3.0)
    centre.add(5)
    assert centre.value == pytest.approx(3.5)
    late = Centre(value=4.0, count=1_000)
    late.add(5)
    assert late.value == pytest.approx(4.02)


def test_harm_of_two_scores() -> None:
    """π = ½: U = max(1/.5, 3/.5) = 6. The treatment's 1 is ψ = −6, so x = 1; then m = 3, U = 4, and a control's 4
    is ψ = −2, x = ½. One step: E = mean of (1 + .99f)(1 + .495f)."""
    evidence = MetricEvidence.planned(1, 0.25)
    evidence.add(1, True, 0.5, 0)
    evidence.add(4, False, 0.5, 0)
    expected = sum((1 + 0.99 * f) * (1 + 0.495 * f) for f in FRACTIONS) / 6
    assert math.exp(evidence.harm.log_evidence) == pytest.approx(expected, rel=1e-12)


def test_harm_averages_over_all_planned_steps() -> None:
    """Three steps, one score in the second (x = 1) and one in the third (x = ½), fixed weights .8, .1, .1; a step that
    was not entered counts 1, one that was left keeps what it had."""
    mean = {x: sum(1 + 0.99 * f * x for f in FRACTIONS) / 6 for x in (1.0, 0.5)}
    both = sum((1 + 0.99 * f) * (1 + 0.495 * f) for f in FRACTIONS) / 6
    harm = Harm(3)
    harm.add(Contrast(-4.0, 4.0, 4.0), 1)
    assert math.exp(harm.log_evidence) == pytest.approx(0.8 * mean[1.0] + 0.1 * mean[1.0] + 0.1)
    harm.add(Contrast(-2.0, 4.0, 4.0), 2)
    assert math.exp(harm.log_evidence) == pytest.approx(0.8 * both + 0.1 * mean[1.0] + 0.1 * mean[0.5])
    assert harm.largest_log >= harm.log_evidence


def test_harm_over_metrics_is_the_mean() -> None:
    """E of 30 and of 1 (a metric that never applied) is 15.5: a guardrail alone can decide, but not by chance."""
    assert math.exp(log_harm([math.log(30), 0.0])) == pytest.approx(15.5)


def test_safety_of_one_score() -> None:
    """π = ½, m = 4: D = 6, and a treatment's 4 is ψ = 0. With δ = .25, x = .25/5.75, bets .198, .495 and .891."""
    safety = Safety(0.25)
    safety.add(contrast(4, True, 0.5, 4.0))
    x = 0.25 / 5.75
    expected = (3 + (0.198 + 0.495 + 0.891) * x) / 3
    assert math.exp(safety.log_evidence(0.25)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("weight", "margin"), [(0.1, 0.5), (0.19, 0.5), (0.2, 0.35), (0.49, 0.35), (0.5, 0.25), (0.95, 0.25)]
)
def test_the_margin_narrows_as_the_weight_grows(weight: float, margin: float) -> None:
    """Twice the margin below 20 %, 1.4 times below 50 %, else the margin."""
    assert margin_at(weight, 0.25) == pytest.approx(margin)


def test_the_widest_margin_leaves_something_to_bet() -> None:
    """Twice a margin of 2 is 4, which a score at the centre's edge could not exceed: 3 points are the limit."""
    safety = Safety(2.0)
    safety.add(contrast(1, True, 0.5, 3.0))
    assert margin_at(0.1, 2.0) == 3.0
    assert math.isfinite(safety.log_evidence(3.0))


def test_the_interval_is_where_the_evidence_stays_below_40() -> None:
    """40 scores of ψ = ±1 by turns (D = U = 4): by symmetry around 0, and at its upper end the evidence is 40."""
    contrasts = [Contrast(1.0 if number % 2 else -1.0, 4.0, 4.0) for number in range(400)]
    lower, upper = difference_interval(contrasts)
    assert lower == pytest.approx(-upper, abs=1e-6)
    evidence = sum(
        ((1 + 0.99 * g * (-1 + upper) / (4 + -upper)) * (1 + 0.99 * g * (1 + upper) / (4 - upper))) ** 200
        for g in (0.1, 0.3, 0.7)
    )
    assert evidence / 3 == pytest.approx(40, rel=1e-4)


def test_the_interval_of_nothing_is_everything() -> None:
    """No scores: any difference between −4 and 4 is possible."""
    assert difference_interval([]) == (-4.0, 4.0)
