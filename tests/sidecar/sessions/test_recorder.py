"""The recorder: what was told goes on the stream with the variant that it was assigned."""

import pytest
from captured import WARM_SERIES, agent, an_experiment, user
from redis.asyncio import Redis

from sluicegate.caller import hash_caller
from sluicegate.keys import Keys
from sluicegate.policy import Capture, Policy
from sluicegate.snapshot import Snapshot
from sluicegate_sidecar.errors import InvalidRequest, QueueFull, RedisAway
from sluicegate_sidecar.limits import Limits
from sluicegate_sidecar.routing.in_force import InForce
from sluicegate_sidecar.routing.pins import Pins
from sluicegate_sidecar.routing.router import Router
from sluicegate_sidecar.sessions import recorder as recorder_module
from sluicegate_sidecar.sessions.capture import ToldSession
from sluicegate_sidecar.sessions.keeper import Keeper
from sluicegate_sidecar.sessions.recorder import Recorder
from sluicegate_sidecar.sessions.redaction import Redactor
from sluicegate_sidecar.sessions.session import CapturedSession
from sluicegate_sidecar.sessions.stream import SessionStream, decode

KEYS = Keys("default", "receptionist")
KEY = b"k" * 32
NOW = 1_767_312_000.0


def told(session_id: str = "s-1", caller_id: str = "ann", token: str = "") -> ToldSession:
    return ToldSession(
        session_id=session_id,
        caller_id=caller_id,
        items=(user("Hello?"), agent("Hello.")),
        started_at=NOW - 60,
        ended_at=NOW - 5,
        end_reason="COMPLETED",
        assignment_token=token,
    )


class Desk:
    """A router and a recorder that share their pins, as in a sidecar. Everything is sampled."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.in_force = InForce()
        self.in_force.take_key(KEY)
        policy = Policy(sampling_rate=1.0, capture=Capture(content="full"))
        self.in_force.replace(Snapshot(policy=policy, experiment=an_experiment(weight=1.0)))
        self.pins = Pins()
        self.router = Router(self.in_force, self.pins)
        self.recorder = Recorder(self.in_force, self.pins, Keeper(SessionStream(redis, KEYS), None), lambda _: None)

    async def queued(self) -> list[CapturedSession]:
        return [decode(fields[b"d"]) for _, fields in await self.redis.xrange(KEYS.queue)]


@pytest.fixture
def desk(redis: Redis) -> Desk:
    return Desk(redis)


async def test_a_session_is_kept_with_its_variant(desk: Desk) -> None:
    """Experiment, run, variant, control, reason, step, weight and time of the assignment go with the session."""
    desk.router.assign("s-1", "ann", {}, "", NOW - 60)
    kept = await desk.recorder.record(told(), NOW)
    assert (kept.outcome, kept.sampled) == ("accepted", True)
    (session,) = await desk.queued()
    attribution = session.attribution
    assert attribution is not None
    assert (attribution.experiment, attribution.run_id, attribution.variant) == ("greeting", "run-1", "warm")
    assert (attribution.control, attribution.reason, attribution.step) == ("control", "SPLIT", 1)
    assert (attribution.weight, attribution.assigned_at) == (1.0, NOW - 60)
    assert session.caller_hash == hash_caller(KEY, "ann")


async def test_a_session_is_kept_with_the_variant_that_it_had(desk: Desk) -> None:
    """A halt, and another run, since the assignment change nothing of what is recorded."""
    desk.router.assign("s-1", "ann", {}, "", NOW)
    desk.in_force.halted.add(WARM_SERIES)
    desk.router.assign("s-1", "ann", {}, "", NOW)
    desk.in_force.replace(Snapshot(policy=Policy(sampling_rate=1.0), experiment=an_experiment(run_id="run-2")))
    await desk.recorder.record(told(), NOW)
    ((session),) = await desk.queued()
    assert session.attribution is not None
    assert (session.attribution.run_id, session.attribution.reason) == ("run-1", "SPLIT")


async def test_a_session_that_nobody_assigned_is_kept_without_a_variant(desk: Desk) -> None:
    """It is judged, and stays out of the comparison."""
    await desk.recorder.record(told(), NOW)
    (session,) = await desk.queued()
    assert session.attribution is None


async def test_a_token_stands_in_for_a_pin_that_is_gone(desk: Desk) -> None:
    """The session keeps its variant over a restart of the sidecar; a forged or foreign token is worth nothing."""
    assignment = desk.router.assign("s-1", "ann", {}, "", NOW)
    assert assignment is not None
    token = desk.router.token("s-1", assignment)
    restarted = Desk(desk.redis)
    for session_id, given in (
        ("s-1", token),
        ("s-2", token),
        ("s-3", token[:-2]),
        ("s-4", "x"),
        ("s-5", f"00{token[2:]}"),
    ):
        await restarted.recorder.record(told(session_id, token=given), NOW)
    attributed = {session.session_id: session.attribution is not None for session in await desk.queued()}
    assert attributed == {"s-1": True, **dict.fromkeys(("s-2", "s-3", "s-4", "s-5"), False)}


async def test_a_session_that_is_kept_is_forgotten(desk: Desk) -> None:
    """Its pin is released; told again it is a duplicate, and the record is the first one."""
    desk.router.assign("s-1", "ann", {}, "", NOW)
    await desk.recorder.record(told(), NOW)
    assert desk.pins.get("s-1") is None
    assert (await desk.recorder.record(told(), NOW)).outcome == "duplicate"
    (session,) = await desk.queued()
    assert session.attribution is not None


async def test_a_session_that_is_not_kept_keeps_its_pin(desk: Desk, redis: Redis) -> None:
    """The agent tells it again later, and then it still has its variant."""
    desk.router.assign("s-1", "ann", {}, "", NOW)
    full = Keeper(SessionStream(redis, KEYS, Limits(waiting_sessions=0)), None)
    with pytest.raises(QueueFull):
        await Recorder(desk.in_force, desk.pins, full, lambda _: None).record(told(), NOW)
    await desk.recorder.record(told(), NOW)
    (session,) = await desk.queued()
    assert session.attribution is not None


async def test_a_redactor_is_made_when_what_it_does_changes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another snapshot with the same rules of capture, new in all else, compiles nothing again; another rule does."""
    made: list[Capture] = []

    def redactor(rule: Capture) -> Redactor:
        made.append(rule)
        return Redactor(rule)

    monkeypatch.setattr(recorder_module, "Redactor", redactor)
    for number, capture in enumerate((Capture(content="full"), Capture(redact=("email",)), Capture(redact=("email",)))):
        desk.in_force.replace(Snapshot(policy=Policy(sampling_rate=number / 10, capture=capture)))
        await desk.recorder.record(told(f"s-{number}"), NOW)
    assert made == [Capture(redact=("email",))]


async def test_without_a_key_for_callers_nothing_is_taken(desk: Desk) -> None:
    """A session is not kept under a hash that no other sidecar would come to."""
    desk.in_force.caller_key = b""
    with pytest.raises(RedisAway, match="not known yet"):
        await desk.recorder.record(told(), NOW)
    assert await desk.redis.dbsize() == 0


async def test_what_is_over_a_limit_reaches_nobody(desk: Desk) -> None:
    """An invalid session is refused before Redis is asked."""
    with pytest.raises(InvalidRequest, match=r"^session\.session_id: "):
        await desk.recorder.record(told(session_id=""), NOW)
    assert await desk.redis.dbsize() == 0


async def test_the_caller_is_in_redis_only_as_a_hash(desk: Desk) -> None:
    """Nothing that is written contains the id of the caller."""
    await desk.recorder.record(told(caller_id="+15550001"), NOW)
    (session,) = await desk.queued()
    assert "+15550001" not in repr(session)
    for key in await desk.redis.keys("*"):
        assert b"+15550001" not in key
        assert b"+15550001" not in (await desk.redis.dump(key) or b"")
