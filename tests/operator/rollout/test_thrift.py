"""What a budget does to the rate at which sessions are judged."""

from dataclasses import replace

import pytest
from scored import RESOURCE

from sluicegate.policy import Policy
from sluicegate.spending import Affordable
from sluicegate_operator.rollout.state import first_state
from sluicegate_operator.rollout.thrift import LEAST, affordable_policy, affordable_run, budget_sentence

EVERYTHING = Affordable(1.0, "")
THIRD = Affordable(1 / 3, "100 sessions an hour")
POLICY = Policy(sampling_rate=0.5)


def test_what_is_affordable_is_left_as_it_is() -> None:
    """Neither the experiment nor the policy is touched."""
    assert affordable_run(RESOURCE, None, EVERYTHING) == RESOURCE
    assert affordable_policy(POLICY, None, EVERYTHING) == POLICY


def test_a_run_that_costs_too_much_is_sampled_less() -> None:
    """A little under what is affordable, so that the next look need not lower it again."""
    assert affordable_run(RESOURCE, None, THIRD).sampling_rate == 0.3
    state = replace(first_state(RESOURCE, 1, 0.0), sampling_rate=0.3)
    assert affordable_run(RESOURCE, state, THIRD).sampling_rate == 0.3
    assert affordable_run(RESOURCE, state, Affordable(0.31, "x")).sampling_rate == 0.3
    assert affordable_run(RESOURCE, state, Affordable(0.2, "x")).sampling_rate == 0.18


def test_a_new_run_starts_at_the_rate_that_was_asked_for() -> None:
    """What an earlier run had does not bind it."""
    state = replace(first_state(RESOURCE, 1, 0.0), sampling_rate=0.3)
    assert affordable_run(replace(RESOURCE, run_id="2"), state, EVERYTHING).sampling_rate == 1.0


def test_a_rate_never_falls_to_nothing() -> None:
    """Or no bill would ever tell that there is money again."""
    assert affordable_run(RESOURCE, None, Affordable(1e-9, "x")).sampling_rate == LEAST
    assert affordable_policy(POLICY, None, Affordable(1e-9, "x")).sampling_rate == LEAST


def test_a_policy_rises_again_in_steps() -> None:
    """A small rise is left alone, a large one is taken, and the end is what was asked for."""
    lowered = affordable_policy(POLICY, POLICY, THIRD)
    assert lowered.sampling_rate == 0.3
    assert affordable_policy(POLICY, lowered, Affordable(0.36, "x")) == lowered
    assert affordable_policy(POLICY, lowered, Affordable(0.45, "x")).sampling_rate == 0.41
    assert affordable_policy(POLICY, lowered, EVERYTHING) == POLICY


def test_a_policy_that_asks_for_less_than_is_affordable_gets_it() -> None:
    """Also where it asks for less than it had."""
    assert affordable_policy(replace(POLICY, sampling_rate=0.1), replace(POLICY, sampling_rate=0.3), THIRD) == replace(
        POLICY, sampling_rate=0.1
    )


@pytest.mark.parametrize(
    ("affordable", "rate", "said"),
    [
        (
            THIRD,
            0.3,
            "the judge's budget of 100 sessions an hour is enough for 33.3% of the sessions: 30.0% are sampled now",
        ),
        (EVERYTHING, 0.5, "the judge's budget allows every session again: 50.0% are sampled, as the policy says"),
    ],
)
def test_a_change_of_the_rate_is_told_in_numbers(affordable: Affordable, rate: float, said: str) -> None:
    """The limit, what it allows, and what holds now."""
    assert budget_sentence(affordable, rate) == said
