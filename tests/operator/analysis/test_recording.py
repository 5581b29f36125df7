"""What a report shows beyond the evidence itself."""

from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored import PLAN, arrived, scored

from sluicegate_operator.analysis.arrival import Arrival
from sluicegate_operator.analysis.contrast import Contrast
from sluicegate_operator.analysis.course import MOST_POINTS
from sluicegate_operator.analysis.interval import difference_interval
from sluicegate_operator.analysis.mean_interval import mean_interval
from sluicegate_operator.analysis.recording import Recording
from sluicegate_operator.analysis.replay import replayed
from sluicegate_operator.analysis.safety import margin_at
from sluicegate_operator.analysis.worst import KEPT, Worst

LATER = 1e9


def log_of(count: int) -> list[Arrival]:
    """Scores of both variants by chance, in three steps, with a change of the judge after two thirds."""
    chance, log = Random(3), []
    for number in range(count):
        record = scored(
            number,
            chance.randint(2, 5),
            variant=chance.choice(["warm", "control"]),
            step=number * 3 // count,
            judge_revision="r1" if number < count * 2 // 3 else "r2",
        )
        log.append(arrived(record))
    return log


@settings(max_examples=50, deadline=None)
@given(counts=st.lists(st.integers(0, 60), min_size=5, max_size=5))
def test_the_interval_of_a_mean_is_that_of_a_difference_in_disguise(counts: list[int]) -> None:
    """The same bets on 2·(Y − 3), which loses at most 4, with the bounds brought back to the scale of scores."""
    scores = [score for score, count in enumerate(counts, start=1) for _ in range(count)]
    lower, upper = difference_interval([Contrast(2.0 * (score - 3), 4.0, 4.0) for score in scores])
    assert mean_interval(counts) == pytest.approx((3 + lower / 2, 3 + upper / 2), abs=1e-6)


def test_the_interval_of_a_mean_covers_at_all_times() -> None:
    """Of 200 series looked at after every tenth of 300 scores, at most one in twenty ever leaves out the true mean."""
    chance, missed = Random(11), 0
    for _ in range(200):
        counts, left_out = [0] * 5, False
        for number in range(300):
            counts[chance.choices(range(5), (1, 3, 13, 51, 32))[0]] += 1
            if number % 10 == 9:
                lower, upper = mean_interval(counts)
                left_out = left_out or not lower <= 4.1 <= upper
        missed += left_out
    assert missed <= 200 / 20


def test_nothing_is_known_of_the_mean_of_no_scores() -> None:
    """The interval is the whole scale."""
    assert mean_interval([0] * 5) == pytest.approx((1.0, 5.0))


def test_the_course_ends_with_the_evidence_as_it_stands() -> None:
    """Its last point has the very numbers of the reading; its sessions are all that were compared."""
    recording = Recording(PLAN)
    reading = replayed(PLAN, log_of(300), LATER, recording).reading()
    last = recording.course.points[-1]
    assert reading.primary is not None
    assert last.log_harm == reading.log_harm
    assert last.log_safety == reading.primary.log_safety[margin_at(0.5, PLAN.margin)]
    assert (last.sessions, last.step, last.revision) == (300, 2, 1)


def test_the_course_of_a_long_run_is_thin_and_even() -> None:
    """However many sessions, some 240 points, in order; each step and each judge keeps its first."""
    recording = Recording(PLAN)
    replayed(PLAN, log_of(5_000), LATER, recording)
    sessions = [point.sessions for point in recording.course.points]
    assert MOST_POINTS / 2 < len(sessions) <= MOST_POINTS + 5
    assert sessions == sorted(set(sessions))
    assert max(after - before for before, after in pairwise(sessions)) <= 5_000 / 100
    firsts = {(point.step, point.revision): point.sessions for point in reversed(recording.course.points)}
    assert firsts[0, 0] == 1
    assert (firsts[1, 0], firsts[1, 1], firsts[2, 1]) == (1_668, 3_334, 3_335)


def test_the_course_begins_anew_with_a_new_judge() -> None:
    """The evidence after the seam is that of the sessions after it alone."""
    log = log_of(300)
    recording, alone = Recording(PLAN), Recording(PLAN)
    replayed(PLAN, log, LATER, recording)
    replayed(PLAN, log[200:], LATER, alone)
    after = [point.log_harm for point in recording.course.points if point.revision == 1]
    assert after[0] == alone.course.points[0].log_harm
    assert after[-1] == alone.course.points[-1].log_harm


def test_scores_of_an_earlier_judge_are_not_recorded_with_the_later_ones() -> None:
    """How often each score was given, and by whom, is of the present revision."""
    log = [arrived(scored(1, 5)), arrived(scored(2, 3, judge_revision="r2", judge_model="other"))]
    recording = Recording(PLAN)
    replayed(PLAN, log, LATER, recording)
    assert recording.given("warm", "task_completion") == (0, 0, 1, 0, 0)
    assert recording.given("control", "task_completion") == (0, 0, 0, 0, 0)
    assert recording.models == ("other",)
    assert len(recording.contrasts("task_completion")) == 1


def test_the_worst_sessions_are_the_lowest_and_then_the_newest() -> None:
    """Kept for each variant by themselves, the worst first, and no more than 20; what has no average is not there."""
    worst = Worst()
    for number in range(100):
        arrival = arrived(scored(number, 5 - number % 5, variant="warm" if number % 2 else "control"))
        worst.add(replace(arrival, entry=str(number)))
    worst.add(replace(arrived(scored(500, None)), entry="500"))
    assert worst.entries("warm")[:3] == ["99", "89", "79"]
    assert worst.entries("control")[:3] == ["94", "84", "74"]
    assert len(worst.entries("warm")) == KEPT
    assert worst.entries("another") == []


def test_sessions_that_are_not_compared_can_be_the_worst() -> None:
    """A bad session of a caller who had called before is worth reading too."""
    log = [arrived(scored(1, 4)), arrived(scored(2, 1, caller_hash=f"{1:032x}"))]
    recording = Recording(PLAN)
    replayed(PLAN, [replace(arrival, entry=str(arrival.at)) for arrival in log], LATER, recording)
    assert recording.worst.entries("warm") == ["4.0", "3.0"]


def test_the_difference_is_that_of_the_means_under_one_split() -> None:
    """With the same chance for every session the weights cancel out."""
    recording = Recording(PLAN)
    of = replayed(PLAN, log_of(90)[:30], LATER, recording).reading().primary
    assert of is not None
    assert of.treatment_mean is not None
    assert of.control_mean is not None
    assert recording.difference("task_completion") == pytest.approx(of.treatment_mean - of.control_mean)
    assert recording.difference("tone") is None


def test_drift_under_a_changing_split_is_no_difference() -> None:
    """Both variants score 5 at a share of 10 %, and 3 at 50 %: plain means differ, the weighted ones do not."""
    log = []
    for number in range(200):
        is_early = number < 100
        variant = "warm" if number % (10 if is_early else 2) == 0 else "control"
        changes: dict[str, Any] = {"weight": 0.1 if is_early else 0.5, "step": 0 if is_early else 2, "variant": variant}
        log.append(arrived(scored(number, 5 if is_early else 3, **changes)))
    recording = Recording(PLAN)
    of = replayed(PLAN, log, LATER, recording).reading().primary
    assert of is not None
    assert (of.treatment_mean or 0) - (of.control_mean or 0) < -0.5
    assert recording.difference("task_completion") == pytest.approx(0.0)


def test_a_coarser_interval_is_never_too_narrow() -> None:
    """It contains the exact one, and is wider by no more than was asked for."""
    recording = Recording(PLAN)
    replayed(PLAN, log_of(300), LATER, recording)
    exact = difference_interval(recording.contrasts("task_completion"))
    coarse = difference_interval(recording.contrasts("task_completion"), within=0.01)
    assert exact[0] - 0.01 <= coarse[0] <= exact[0] < exact[1] <= coarse[1] <= exact[1] + 0.01
