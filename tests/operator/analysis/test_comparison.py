"""Who counts in the comparison, in which order, and that the log alone decides it."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored import PLAN, arrived, failed, scored

from sluicegate_operator.analysis.arrival import Arrival
from sluicegate_operator.analysis.comparison import Analysis
from sluicegate_operator.analysis.recording import Recording
from sluicegate_operator.analysis.replay import replayed

LATER = 1e9


def log_of(seed: int, count: int) -> list[Arrival]:
    """A run of mixed variants, callers who return, failures, late ones and a change of the judge."""
    chance = Random(seed)
    arrivals = []
    for number in range(count):
        variant = "warm" if chance.random() < 0.5 else "control"
        common: dict[str, Any] = {"variant": variant, "caller_hash": f"{chance.randrange(count):x}"}
        common["step"] = number * 3 // count
        if chance.random() < 0.1:
            record: Any = failed(number, **common)
        else:
            scores = {"task_completion": chance.randint(1, 5), "tone": chance.choice([None, 4, 5])}
            revision = "r1" if number < count * 0.7 else "r2"
            record = scored(number, **common, scores=scores, judge_revision=revision)
        arrivals.append(arrived(record, after=chance.expovariate(1 / 20)))
    return sorted(arrivals, key=lambda arrival: arrival.at)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), looks=st.lists(st.floats(0, 150), max_size=8))
def test_replaying_the_log_gives_the_same_state_bit_for_bit(seed: int, looks: list[float]) -> None:
    """However often, and whenever, somebody looked in between."""
    arrivals = log_of(seed, 120)
    live, times = Analysis(PLAN), sorted(looks)
    for arrival in arrivals:
        while times and times[0] < arrival.at:
            live.advance(times.pop(0))
            live.reading()
        live.arrive(arrival)
    live.advance(LATER)
    assert live.reading() == replayed(PLAN, arrivals, LATER).reading()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), data=st.data())
def test_the_order_of_arrival_within_the_wait_does_not_matter(seed: int, data: st.DataObject) -> None:
    """Each session's score comes at any time within the wait: the evidence is the same, bit for bit."""
    records = [arrival.record for arrival in log_of(seed, 60)]
    delays = data.draw(st.lists(st.floats(0, PLAN.wait), min_size=60, max_size=60))
    shuffled = sorted((arrived(r, d) for r, d in zip(records, delays, strict=True)), key=lambda arrival: arrival.at)
    in_order = sorted((arrived(r, 0.0) for r in records), key=lambda arrival: arrival.at)
    assert replayed(PLAN, shuffled, LATER).reading() == replayed(PLAN, in_order, LATER).reading()


def test_a_score_waits_until_none_can_come_before_it() -> None:
    """The wait is 60 seconds from the assignment: at second 71 a session of second 10 counts, at 69 it does not."""
    analysis = Analysis(PLAN)
    analysis.arrive(arrived(scored(10), after=2))
    analysis.advance(69)
    assert (analysis.reading().counted_treatment, analysis.reading().waiting) == (0, 1)
    analysis.advance(71)
    assert (analysis.reading().counted_treatment, analysis.reading().waiting) == (1, 0)


@pytest.mark.parametrize("variant", ["warm", "control"])
def test_a_late_score_is_out_whichever_variant_it_is_of(variant: str) -> None:
    """It is told of, and counts nowhere else; nor does its caller later."""
    again = scored(200, variant=variant, caller_hash=f"{1:032x}")
    log = [arrived(scored(1, variant=variant), after=61), arrived(again)]
    reading = replayed(PLAN, log, LATER).reading()
    of = reading.variants[variant]
    assert (of.scored, of.counted, of.late, of.returning) == (2, 0, 1, 1)


def test_a_caller_counts_once_in_a_run() -> None:
    """With the first session, in whichever step the others are."""
    log = [arrived(scored(n, n + 1, caller_hash="ab", step=n)) for n in range(3)]
    reading = replayed(PLAN, log, LATER).reading()
    assert reading.primary is not None
    assert (reading.primary.treatment_count, reading.primary.treatment_mean) == (1, 1.0)
    assert reading.variants["warm"].returning == 2
    assert reading.counted_in_step == {0: 1}
    assert reading.scored_in_step == {0: 1, 1: 1, 2: 1}


def test_a_caller_whose_first_session_could_not_be_judged_does_not_count() -> None:
    """The first session or none: which one is judged first is not for chance to say."""
    log = [arrived(failed(1)), arrived(scored(2, caller_hash=f"{1:032x}"))]
    of = replayed(PLAN, log, LATER).reading().variants["warm"]
    assert (of.failed, of.scored, of.counted, of.returning) == (1, 1, 0, 1)
    assert of.failure_rate == pytest.approx(0.5)


def test_sessions_without_a_caller_are_units_of_their_own() -> None:
    """As the assignment takes them."""
    log = [arrived(scored(n, caller_hash="")) for n in range(3)]
    assert replayed(PLAN, log, LATER).reading().counted_treatment == 3


def test_a_tester_whose_override_is_gone_does_not_count_later() -> None:
    """The first session in the run was not assigned by the split."""
    log = [arrived(scored(1, reason="OVERRIDE")), arrived(scored(2, caller_hash=f"{1:032x}"))]
    reading = replayed(PLAN, log, LATER).reading()
    assert reading.counted_treatment == 0
    assert reading.refused == {"not assigned by the split": 1}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"variant": "cold"}, "unknown variant"),
        ({"scores": {"task_completion": 6}}, "score out of range"),
        ({"scores": {"task_completion": 0}}, "score out of range"),
        ({"scores": {"task_completion": True}}, "score out of range"),
        ({"weight": 0.0}, "no share to compare"),
        ({"weight": 1.0}, "no share to compare"),
        ({"sampling_rate": 0.0}, "no share to compare"),
        ({"step": -1}, "no share to compare"),
    ],
)
def test_a_record_that_cannot_be_compared_is_refused_and_told_of(changes: dict[str, Any], fault: str) -> None:
    """It moves nothing else."""
    reading = replayed(PLAN, [arrived(scored(1, **changes))], LATER).reading()
    assert reading.refused == {fault: 1}
    assert reading.log_harm == 0.0
    assert reading.mismatches == ()


def test_a_score_that_comes_twice_counts_once() -> None:
    """The log should not hold it twice; if it does, the second one is refused."""
    reading = replayed(PLAN, [arrived(scored(1)), arrived(scored(1))], LATER).reading()
    assert reading.counted_treatment == 1
    assert reading.refused == {"duplicate": 1}


def test_records_of_another_run_are_nothing_to_it() -> None:
    """Not even refused: they are somebody else's."""
    log = [arrived(scored(1, run_id="2")), arrived(scored(2, experiment="other"))]
    assert replayed(PLAN, log, LATER).reading() == Analysis(PLAN).reading()


def test_a_metric_that_does_not_apply_is_no_score() -> None:
    """No update, no count; its share among the counted sessions is told."""
    log = [arrived(scored(1, None)), arrived(scored(2, 4))]
    reading = replayed(PLAN, log, LATER).reading()
    assert reading.primary is not None
    assert reading.primary.treatment_count == 1
    assert reading.variants["warm"].not_applicable_rate("task_completion") == pytest.approx(0.5)


def test_a_new_judge_revision_starts_new_evidence() -> None:
    """The seam keeps what was put aside; a score by the earlier judge that comes after it is refused."""
    log = [
        arrived(scored(1)),
        arrived(scored(2, variant="control")),
        arrived(scored(3, judge_revision="r2")),
        arrived(scored(4)),
    ]
    recording = Recording(PLAN)
    reading = replayed(PLAN, log, LATER, recording).reading()
    (seam,) = reading.seams
    assert (seam.before, seam.after, seam.at) == ("r1", "r2", 3.0)
    assert (seam.counted_treatment, seam.counted_control) == (1, 1)
    assert (reading.revision, reading.counted_treatment, reading.counted_control) == ("r2", 1, 0)
    assert reading.refused == {"judge revision of the past": 1}
    assert len(recording.contrasts("task_completion")) == 1


def test_different_sampling_rates_enter_the_weight() -> None:
    """Control sampled at ¼ and a weight of 20 %: π = ½, as a control's record tells it too."""
    for variant, own, other in (("warm", 1.0, 0.25), ("control", 0.25, 1.0)):
        record = scored(1, variant=variant, weight=0.2, sampling_rate=own, other_sampling_rate=other)
        assert arrived(record).probability == pytest.approx(0.5)


def test_a_clock_that_is_ahead_counts_as_redis_own() -> None:
    """A session assigned in the future would wait for ever."""
    assert Arrival(100.0, scored(5_000)).assigned_at == 100.0
