"""Wealths, their averages, and the bounds of every factor."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate_operator.analysis import harm, interval, safety
from sluicegate_operator.analysis.bets import CAUTION, SMALLEST_FACTOR, Bets, log_mean_exp
from sluicegate_operator.analysis.contrast import contrast
from sluicegate_operator.analysis.metric import MetricEvidence
from sluicegate_operator.analysis.safety import margins

PROBABILITIES = st.floats(0.001, 0.999)
SCORES = st.integers(1, 5)
CENTRES = st.floats(1, 5)


def test_a_wealth_is_the_product_of_its_factors() -> None:
    """Stakes .99·.2 and .99·.5 on x = .5, −1, .25: (1.099·.802·1.0495 + 1.2475·.505·1.12375)/2 = .81648…."""
    bets = Bets((0.2, 0.5))
    for x in (0.5, -1.0, 0.25):
        bets.multiply(x)
    first, second = 1.099 * 0.802 * 1.0495, 1.2475 * 0.505 * 1.12375
    assert math.exp(bets.log_evidence) == pytest.approx((first + second) / 2, rel=1e-12)


def test_a_bet_that_could_lose_more_than_its_stake_is_refused() -> None:
    """x under −1, infinity and NaN mean that a bound was wrong: no evidence may rest on it."""
    for x in (-1.001, math.inf, math.nan):
        with pytest.raises(AssertionError, match="lose more"):
            Bets((0.5,)).multiply(x)


def test_evidence_far_beyond_floats_is_averaged() -> None:
    """exp(2,500) is no float; the mean of exp(2,500) and exp(0) is exp(2,500)/2."""
    assert log_mean_exp([2500.0, 0.0]) == pytest.approx(2500 - math.log(2))
    assert log_mean_exp([-2500.0, -2500.0]) == pytest.approx(-2500)


@given(score=SCORES, is_treatment=st.booleans(), probability=PROBABILITIES, centre=CENTRES, margin=st.floats(0.01, 2))
def test_every_factor_is_at_least_its_bound(
    score: int, is_treatment: bool, probability: float, centre: float, margin: float
) -> None:
    """Whatever the score, the split and the centre: above 0.039, so that no score can take all."""
    of = contrast(score, is_treatment, probability, centre)
    assert of.above >= 4 - 1e-9
    assert of.below >= 4 - 1e-9
    factors = [1 - CAUTION * f * of.value / of.above for f in harm.FRACTIONS]
    factors += [
        1 + CAUTION * g * (of.value + delta) / (of.below - delta) for g in safety.FRACTIONS for delta in margins(margin)
    ]
    factors += [1 + CAUTION * g * (of.value - 1.0) / (of.below + 1.0) for g in interval.FRACTIONS]
    assert min(factors) >= SMALLEST_FACTOR


@given(probability=PROBABILITIES, centre=CENTRES, treatment=st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_no_bet_is_worth_more_than_fair_without_a_difference(
    probability: float, centre: float, treatment: list[float]
) -> None:
    """For any distribution of the scores, the same in both variants: E[factor] = 1 for harm, ≤ 1 in all."""
    total = sum(treatment) or 1.0
    shares = [share / total for share in treatment] if sum(treatment) else [0.2] * 5
    mean = 0.0
    for score, share in enumerate(shares, 1):
        for is_treatment, chance in ((True, probability), (False, 1 - probability)):
            of = contrast(score, is_treatment, probability, centre)
            mean += share * chance * (1 - CAUTION * 0.7 * of.value / of.above)
    assert mean == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("weight", [0.001, 0.999])
def test_100_000_scores_at_the_smallest_weights_stay_finite(weight: float) -> None:
    """The worst treatment there can be: logarithms go beyond what exp can hold, and nothing overflows."""
    evidence = MetricEvidence.planned(3, 0.25)
    every = round(1 / min(weight, 1 - weight))
    for number in range(100_000):
        is_treatment = (number % every == 0) == (weight < 0.5)
        evidence.add(1 if is_treatment else 5, is_treatment, weight, number % 3)
    assert evidence.harm.log_evidence > 20
    assert math.isfinite(evidence.harm.log_evidence)
    assert all(math.isfinite(evidence.safety.log_evidence(delta)) for delta in margins(0.25))
