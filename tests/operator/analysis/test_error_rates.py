"""A small, seeded version of the benchmark of decisions: it fails if the error rates are far off.

The bounds leave some four standard errors of room around what the design asks for.
"""

import pytest

from simulation import premises
from simulation.ramps import Ending, ramp
from simulation.rules import Sluicegate
from simulation.worlds import WORLDS

BY_NAME = {world.name: world for world in WORLDS}


def endings(name: str, runs: int) -> list[Ending]:
    return [ramp(BY_NAME[name], Sluicegate(), f"test/{name}/{number}") for number in range(runs)]


def test_a_harmless_change_is_rarely_rolled_back() -> None:
    """2.5 % are allowed, 60 runs: 6 or more have a probability under 1 %."""
    assert sum(ending.how == "rolled back" for ending in endings("no difference", 60)) <= 5


@pytest.mark.parametrize(("name", "sessions"), [("−0.5", 380), ("−1.0", 160)])
def test_a_harmful_change_is_rolled_back_soon(name: str, sessions: int) -> None:
    """All of 100 runs, half of them within what was promised and some room."""
    ended = endings(name, 100)
    assert {ending.how for ending in ended} == {"rolled back"}
    assert sorted(ending.sessions for ending in ended)[50] <= sessions


def test_evidence_is_worth_at_most_one_where_there_is_no_difference() -> None:
    """Mean E at the stopping time over 100 runs, with all rules kept: 1 and four standard errors at the most."""
    name = "the mean over planned steps, not over those entered"
    values = [premises.evidence_at_stop((name, True, number)) for number in range(100)]
    assert sum(values) / len(values) < 2.5
