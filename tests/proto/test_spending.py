"""What was spent of late, and what a budget makes of it."""

import pytest

from sluicegate.policy import Budget, Price
from sluicegate.records import Bill
from sluicegate.spending import DAY, ENOUGH, HOUR, Affordable, Spending

NOW = 1_800_000_000.0
HUNDRED = Budget(sessions_per_hour=100)


def spending(count: int, *, over: float, rate: float = 1.0, tokens: int = 0, cost: float = 0.0) -> Spending:
    """So many bills, evenly over the seconds before now."""
    spending = Spending()
    for number in range(count):
        at = NOW - over * (count - number) / count
        spending.add(at, Bill(sampling_rate=rate, prompt_tokens=tokens, completion_tokens=tokens, cost=cost))
    return spending


def test_without_a_budget_everything_is_affordable() -> None:
    """However much was spent."""
    spent = spending(10_000, over=HOUR, tokens=10**6, cost=100.0)
    assert spent.affordable(Budget(), NOW) == Affordable(1.0, "")
    assert spent.exhausted(Budget(), NOW) == ""


@pytest.mark.parametrize(("asked", "demand", "rate"), [(100, 100, 1.0), (100, 200, 0.5), (50, 1_000, 0.05)])
def test_the_rate_is_the_limit_over_the_demand(asked: int, demand: int, rate: float) -> None:
    """Four sessions for each that the budget has: one of four can be judged."""
    affordable = spending(demand, over=HOUR).affordable(Budget(sessions_per_hour=asked), NOW)
    assert affordable.rate == pytest.approx(rate, rel=0.02)


def test_the_demand_does_not_depend_on_the_rate_that_is_in_force() -> None:
    """A lowered rate does not lower itself further: each bill stands for the sessions that were left out."""
    full, tenth = spending(400, over=HOUR), spending(40, over=HOUR, rate=0.1)
    assert full.affordable(HUNDRED, NOW).rate == pytest.approx(tenth.affordable(HUNDRED, NOW).rate, rel=0.03)


def test_an_hour_that_has_only_begun_is_taken_for_what_it_will_be() -> None:
    """After ten minutes at six times the budget, the rate falls at once, and not when the budget is spent."""
    affordable = spending(100, over=HOUR / 6).affordable(HUNDRED, NOW)
    assert affordable.rate == pytest.approx(1 / 6, rel=0.05)


def test_a_few_sessions_say_nothing_of_the_hour() -> None:
    """Three calls in a minute are no flood."""
    assert spending(ENOUGH - 1, over=60).affordable(HUNDRED, NOW).rate == 1.0


def test_the_tightest_limit_holds_and_is_named() -> None:
    """Sessions, tokens and money are each looked at."""
    spent = spending(200, over=HOUR, tokens=5_000, cost=0.01)
    budget = Budget(sessions_per_hour=200, tokens_per_hour=500_000, money_per_day=1_000.0)
    affordable = spent.affordable(budget, NOW)
    assert affordable.limit == "500,000 tokens an hour"
    assert affordable.rate == pytest.approx(0.25, rel=0.02)
    assert spent.affordable(Budget(money_per_day=2.4), NOW).limit == "2.4 a day"


def test_a_limit_is_reached_when_it_is_spent() -> None:
    """Not a session earlier: the rate is there to keep it from that."""
    assert spending(99, over=HOUR).exhausted(HUNDRED, NOW) == ""
    assert spending(100, over=HOUR).exhausted(HUNDRED, NOW) == "100 sessions an hour"


def test_what_is_older_than_the_period_is_forgotten() -> None:
    """Hours for sessions and tokens, a day for money; after that the budget is whole again."""
    spent = spending(100, over=HOUR, cost=1.0)
    assert spent.exhausted(HUNDRED, NOW + HOUR + 61) == ""
    assert spent.exhausted(Budget(money_per_day=100.0), NOW + HOUR + 61) == "100.0 a day"
    assert spent.exhausted(Budget(money_per_day=100.0), NOW + DAY + 1_441) == ""
    assert spent.affordable(HUNDRED, NOW + 2 * DAY) == Affordable(1.0, "")


@pytest.mark.parametrize("rate", [0.0, -1.0, 1.5, float("nan")])
def test_a_bill_with_a_rate_that_cannot_be_is_left_out(rate: float) -> None:
    """It would divide by nothing."""
    spent = Spending()
    spent.add(NOW, Bill(sampling_rate=rate))
    assert spent.exhausted(Budget(sessions_per_hour=1), NOW) == ""


def test_a_price_is_for_a_million_tokens() -> None:
    """Input and output apart."""
    assert Price(input=0.15, output=0.6).cost(2_000_000, 500_000) == pytest.approx(0.6)
