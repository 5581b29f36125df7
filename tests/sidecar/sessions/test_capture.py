"""From what was told to a captured session."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from captured import agent, an_experiment, call, user
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.bucketing import in_sample
from sluicegate.caller import hash_caller
from sluicegate.policy import Policy
from sluicegate.snapshot import Snapshot
from sluicegate_sidecar.errors import InvalidRequest, TooLarge
from sluicegate_sidecar.limits import Limits
from sluicegate_sidecar.routing.assignment import Attribution
from sluicegate_sidecar.sessions.capture import ToldSession, capture, check
from sluicegate_sidecar.sessions.session import CapturedSession, Item

NOW = 1_767_312_000.0
KEY = b"k" * 32
ATTRIBUTION = Attribution(
    experiment="greeting",
    run_id="run-1",
    variant="warm",
    control="control",
    reason="SPLIT",
    step=1,
    weight=0.5,
    assigned_at=1.0,
)


def told(**changes: Any) -> ToldSession:
    defaults: dict[str, Any] = {
        "session_id": "s-1",
        "caller_id": "+15550001",
        "items": (user("Hello?"), agent("Hello.")),
        "started_at": 0.0,
        "ended_at": 0.0,
        "end_reason": "COMPLETED",
    }
    return ToldSession(**{**defaults, **changes})


def captured(session: ToldSession, snapshot: Snapshot, attribution: Attribution | None) -> tuple[CapturedSession, bool]:
    return capture(session, snapshot, attribution, KEY, NOW)


LIMITS = Limits()
ITEM = LIMITS.item_bytes
FULL = tuple(user("x" * ITEM) for _ in range(LIMITS.session_bytes // ITEM))


@pytest.mark.parametrize(
    ("changes", "kind", "field"),
    [
        ({"session_id": ""}, InvalidRequest, "session.session_id"),
        ({"session_id": "x" * 257}, InvalidRequest, "session.session_id"),
        ({"session_id": "ä" * 129}, InvalidRequest, "session.session_id"),
        ({"caller_id": "x" * 257}, InvalidRequest, "session.caller_id"),
        ({"items": ()}, InvalidRequest, "session.items"),
        ({"items": (user("x"),) * 2001}, TooLarge, "session.items"),
        ({"items": (user("x"), user("x" * (ITEM + 1)))}, TooLarge, "session.items[1]"),
        ({"items": (user("ä" * (ITEM // 2 + 1)),)}, TooLarge, "session.items[0]"),
        ({"items": (call("n" * 100, "x" * (ITEM - 100)),)}, TooLarge, "session.items[0]"),
        ({"items": (*FULL, user("x"))}, TooLarge, "session.items"),
        ({"started_at": NOW, "ended_at": NOW - 1}, InvalidRequest, "session.ended_at"),
        ({"started_at": -1.0}, InvalidRequest, "session.started_at"),
        ({"ended_at": -1.0}, InvalidRequest, "session.ended_at"),
    ],
)
def test_what_is_over_a_limit_is_refused_by_name(changes: dict[str, Any], kind: type[Exception], field: str) -> None:
    """The field that is wrong is named, and what can be retried with less is told from what cannot."""
    with pytest.raises(InvalidRequest) as refused:
        check(told(**changes), LIMITS)
    assert type(refused.value) is kind
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")


@pytest.mark.parametrize(
    "changes",
    [
        {"session_id": "x" * 256, "caller_id": "ä" * 128},
        {"caller_id": ""},
        {"items": (user(""),) * 2000},
        {"items": FULL},
        {"started_at": NOW, "ended_at": NOW},
        {"started_at": NOW},
        {"ended_at": 1.0},
    ],
)
def test_what_is_at_a_limit_is_taken(changes: dict[str, Any]) -> None:
    """A limit is what is still allowed."""
    check(told(**changes), LIMITS)


def test_what_is_kept_of_a_session() -> None:
    """Items, times, end and attribution as told; the caller as a hash; the day of the recording in UTC."""
    items = (Item(kind="message", role="user", text="Hi", at=NOW - 30), agent("Hello"))
    session, sampled = captured(told(items=items, ended_at=NOW - 5), Snapshot(policy=Policy(sampling_rate=1)), None)
    assert session == CapturedSession(
        session_id="s-1",
        caller_hash=hash_caller(KEY, "+15550001"),
        attribution=None,
        sampling_rate=1,
        items=items,
        started_at=NOW - 30,
        ended_at=NOW - 5,
        end_reason="COMPLETED",
        recorded_day="2026-01-02",
    )
    assert sampled


@pytest.mark.parametrize(
    ("started_at", "ended_at", "expected"),
    [
        (0.0, 0.0, (NOW, NOW)),
        (5.0, 0.0, (5.0, NOW)),
        (0.0, 7.0, (7.0, 7.0)),
        (5.0, 7.0, (5.0, 7.0)),
        (5.0, NOW + 9, (5.0, NOW)),
    ],
)
def test_times_that_were_not_told(started_at: float, ended_at: float, expected: tuple[float, float]) -> None:
    """An end that was not told is now, and none lies in the future, where no window would ever leave it behind."""
    session, _ = captured(told(started_at=started_at, ended_at=ended_at), Snapshot(), None)
    assert (session.started_at, session.ended_at) == expected


@pytest.mark.parametrize(
    ("now", "day"), [(NOW, "2026-01-02"), (1_767_311_999.9, "2026-01-01"), (1_767_398_400, "2026-01-03")]
)
def test_the_day_of_the_recording_is_that_of_utc(now: float, day: str) -> None:
    """Midnight in UTC, wherever the sidecar runs, and whenever the session is said to have ended."""
    assert capture(told(ended_at=5.0), Snapshot(), None, KEY, now)[0].recorded_day == day


@given(st.builds("☎{}".format, st.text(st.characters(codec="utf-8"), max_size=40)))
def test_the_caller_is_never_in_what_is_kept(caller: str) -> None:
    """The id that the agent told is nowhere in the bytes that go to Redis; the same caller has the same hash."""
    one, _ = captured(told(caller_id=caller), Snapshot(), ATTRIBUTION)
    other, _ = captured(told(caller_id=caller, session_id="s-2"), Snapshot(), None)
    assert caller.encode() not in msgspec.msgpack.encode(one)
    assert one.caller_hash == other.caller_hash
    assert capture(told(caller_id=caller), Snapshot(), None, b"other key", NOW)[0].caller_hash != one.caller_hash


def test_nobody_has_no_hash() -> None:
    """A session without a caller is not the session of a caller called nothing."""
    assert captured(told(caller_id=""), Snapshot(), None)[0].caller_hash == ""


EXPERIMENT = an_experiment(sampling_rate=0.4)
RUNNING = Snapshot(policy=Policy(sampling_rate=0.7), experiment=EXPERIMENT)


def sampled(snapshot: Snapshot, attribution: Attribution | None, caller_id: str, session_id: str) -> bool:
    return captured(told(caller_id=caller_id, session_id=session_id), snapshot, attribution)[1]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_in_an_experiment_callers_are_sampled(caller: str) -> None:
    """All sessions of a caller are judged, or none, at the experiment's rate: who calls often does not count more."""
    answers = {sampled(RUNNING, ATTRIBUTION, caller, f"s-{i}") for i in range(20)}
    assert answers == {in_sample("salt", caller, 0.4)}
    assert captured(told(caller_id=caller), RUNNING, ATTRIBUTION)[0].sampling_rate == 0.4


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_a_nameless_caller_of_an_experiment_is_sampled_by_session(session_id: str) -> None:
    """Without a caller the session stands for it, at the experiment's rate."""
    assert sampled(RUNNING, ATTRIBUTION, "", session_id) == in_sample("salt", session_id, 0.4)


@pytest.mark.parametrize(
    ("snapshot", "attribution"),
    [
        (replace(RUNNING, experiment=None), None),
        (replace(RUNNING, experiment=None), ATTRIBUTION),
        (RUNNING, None),
        (replace(RUNNING, experiment=replace(EXPERIMENT, name="farewell")), ATTRIBUTION),
    ],
)
def test_outside_an_experiment_sessions_are_sampled(snapshot: Snapshot, attribution: Attribution | None) -> None:
    """By session and at the policy's rate, where nobody asked for a variant or the experiment is another by now."""
    for i in range(50):
        assert sampled(snapshot, attribution, "ann", f"s-{i}") == in_sample("", f"s-{i}", 0.7)
    assert captured(told(), snapshot, attribution)[0].sampling_rate == 0.7


def test_both_variants_are_sampled_alike() -> None:
    """The choice of who is judged does not know the variant."""
    of_control = msgspec.structs.replace(ATTRIBUTION, variant="control")
    for i in range(100):
        assert sampled(RUNNING, ATTRIBUTION, f"c-{i}", "s") == sampled(RUNNING, of_control, f"c-{i}", "s")


def test_what_is_told_of_a_session() -> None:
    """Turns are how often the caller spoke; tools are used when one is called, not when somebody speaks of one."""
    session, _ = captured(told(items=(user("a"), agent("b"), user("c"))), Snapshot(), None)
    assert (session.turn_count, session.used_tools) == (2, False)
    with_call, _ = captured(told(items=(call("book"),)), Snapshot(), None)
    assert (with_call.turn_count, with_call.used_tools) == (0, True)
