"""Sample ratio mismatch, against its closed form."""

import math
from random import Random

import pytest

from sluicegate_operator.analysis.mismatch import Mismatch


def closed_form(treatment: int, control: int, share: float) -> float:
    """logBF = lnB(a + n) − lnB(a) − Σ n_i·ln p_i, with a = 100·p."""

    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    a, b = 100 * share, 100 * (1 - share)
    fair = treatment * math.log(share) + control * math.log(1 - share)
    return log_beta(a + treatment, b + control) - log_beta(a, b) - fair


def counted(treatment: int, control: int, share: float) -> Mismatch:
    test = Mismatch()
    units = [True] * treatment + [False] * control
    Random(1).shuffle(units)
    for is_treatment in units:
        test.add(is_treatment, share)
    return test


@pytest.mark.parametrize(("treatment", "control", "share"), [(10, 90, 0.1), (60, 340, 0.1), (3, 5, 0.5), (0, 700, 0.2)])
def test_unit_by_unit_is_the_closed_form(treatment: int, control: int, share: float) -> None:
    """Whatever the order of the units."""
    test = counted(treatment, control, share)
    assert test.log_factor == pytest.approx(closed_form(treatment, control, share), abs=1e-9)
    assert test.expected == pytest.approx(share * (treatment + control))


def test_a_lost_half_alarms_and_stays_alarmed() -> None:
    """50 instead of 100 of 1,000 alarms; what comes after cannot make it undone."""
    test = counted(50, 950, 0.1)
    assert test.alarmed
    for _ in range(60):
        test.add(True, 0.1)
    assert test.alarmed


def test_fair_shares_do_not_alarm() -> None:
    """At most one run in a thousand; here none of a hundred runs of 2,000 units."""
    for seed in range(100):
        chance, test = Random(f"fair {seed}"), Mismatch()
        for _ in range(2_000):
            test.add(chance.random() < 0.1, 0.1)
        assert not test.alarmed
