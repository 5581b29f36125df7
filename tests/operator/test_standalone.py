"""The controller on a real Redis: what it publishes, what it tells, and what it does when it is not alone."""

import itertools
from dataclasses import replace

import pytest
from ramps import BROKEN, KEYS, NOW, a_halt, a_reading, a_record, an_experiment, edited, stored_gates, stored_sums
from redis.asyncio import Redis

from sluicegate.experiment import ExperimentInForce
from sluicegate.policy import Budget, Policy
from sluicegate.records import GateEvent
from sluicegate.snapshot import pack
from sluicegate_operator.analysis.scores import Scores
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_operator.errors import Outrun, RedisAway
from sluicegate_operator.rollout.transitions import Transition, gate_sentence
from sluicegate_operator.standalone import Controller
from sluicegate_sidecar.routing.in_force import InForce
from sluicegate_sidecar.routing.redis_source import RedisSource

RESOURCE = an_experiment()
POLICY = Policy()
WARM = "warmer-greeting/1/warm"
SECONDS = itertools.count(1_700_000_000)


class Desk:
    """A controller and what it told."""

    def __init__(self, redis: Redis) -> None:
        self.told: list[Transition] = []
        self.controller = Controller(Delivery(redis, KEYS), Scores(redis, KEYS), self.told.append)
        self.look = self.controller.look

    @property
    def kinds(self) -> list[str]:
        return [transition.kind for transition in self.told]


@pytest.fixture
def desk(redis: Redis) -> Desk:
    return Desk(redis)


async def scored(redis: Redis, count: int, step: int, name: str = "") -> None:
    """So many sessions of each variant were scored in a step, the treatment's better; and its gates pass.

    Each is of a caller of its own, and assigned at the time of its score, long before now.
    """
    pipe = redis.pipeline(transaction=False)
    for n in range(count):
        for variant, score in (("warm", 5), ("control", 3)):
            at, session_id = next(SECONDS), f"{name}{step}-{n}-{variant}"
            told = {"caller_hash": session_id, "assigned_at": float(at), "weight": 0.5}
            record = a_record(session_id, variant, step, scores={"task_completion": score}, **told)
            pipe.xadd(KEYS.log, {"d": pack(record)}, id=f"{at * 1000}-0")
    pipe.hset(KEYS.gates, WARM, stored_gates()).hset(KEYS.sums, WARM, stored_sums())
    await pipe.execute()


async def in_force(redis: Redis) -> tuple[int, ExperimentInForce | None]:
    """The version and the experiment that the sidecars have."""
    _, experiment, _ = await Delivery(redis, KEYS).read()
    assert experiment is not None
    return experiment.version, experiment.experiment


async def published(redis: Redis) -> ExperimentInForce:
    experiment = (await in_force(redis))[1]
    assert experiment is not None
    return experiment


async def test_a_ramp_from_start_to_end(redis: Redis, desk: Desk) -> None:
    """Start, two advances and the end, each published and each told once, however often it looks."""
    weights = []
    for step, needed in enumerate((20, 30, 40)):
        await desk.look(RESOURCE, POLICY, NOW)
        await scored(redis, needed - 1, step)
        await desk.look(RESOURCE, POLICY, NOW)
        weights.append((await published(redis)).weight)
        await scored(redis, 1, step, "last-")
        await desk.look(RESOURCE, POLICY, NOW)
    state = await desk.look(RESOURCE, POLICY, NOW)
    assert state is not None
    assert state.phase == "Complete"
    assert weights == [0.1, 0.2, 0.95]
    assert (await published(redis)).winner == "warm"
    assert desk.kinds == ["Started", "Advanced", "Advanced", "Complete"]
    assert "10%" in desk.told[0].message


async def test_a_look_without_news_writes_nothing(redis: Redis, desk: Desk) -> None:
    """The count of writes stands still, though the message changes with the sessions."""
    await desk.look(RESOURCE, POLICY, NOW)
    written = await redis.hget(KEYS.snapshot, "revision")
    for n in range(1, 4):
        await scored(redis, n, 0, f"{n}-")
        state = await desk.look(RESOURCE, POLICY, NOW + n)
        assert state is not None
        assert f"{n * (n + 1) // 2} of 20" in state.message
    assert await redis.hget(KEYS.snapshot, "revision") == written
    assert desk.kinds == ["Started"]


async def test_a_budget_lowers_the_rate_of_the_run(redis: Redis, desk: Desk) -> None:
    """For both variants, for the rest of the run, and told in numbers; without money troubles again, so it stays."""
    frugal = replace(POLICY, budget=Budget(sessions_per_hour=100))
    await desk.look(RESOURCE, frugal, NOW)
    assert (await published(redis)).sampling_rate == 1.0
    pipe = redis.pipeline(transaction=False)
    for n in range(400):
        record = a_record(f"s-{n}", scores={"tone": 4}, assigned_at=NOW)
        pipe.xadd(KEYS.log, {"d": pack(record)}, id=f"{int(NOW - 3600 + n * 9) * 1000}-0")
    await pipe.execute()
    for _ in range(3):
        await desk.look(RESOURCE, frugal, NOW + 1)
    assert (await published(redis)).sampling_rate == pytest.approx(0.225, abs=0.01)
    (told,) = [told for told in desk.told if told.kind == "Budget"]
    assert "the judge's budget of 100 sessions an hour is enough for 25." in told.message
    await desk.look(RESOURCE, frugal, NOW + 10_000)
    assert (await published(redis)).sampling_rate == pytest.approx(0.225, abs=0.01)


async def test_a_budget_lowers_the_rate_of_the_policy_and_lets_it_rise_again(redis: Redis, desk: Desk) -> None:
    """Without an experiment the rate follows what is affordable."""
    frugal = replace(POLICY, sampling_rate=0.5, budget=Budget(money_per_day=10.0))
    pipe = redis.pipeline(transaction=False)
    for n in range(100):
        record = a_record(f"s-{n}", scores={"tone": 4}, sampling_rate=0.5, cost=0.4)
        pipe.xadd(KEYS.log, {"d": pack(record)}, id=f"{int(NOW - 86_400 + n * 864) * 1000}-0")
    await pipe.execute()
    for at in (NOW, NOW + 1, NOW + 200_000, NOW + 200_001):
        await desk.look(None, frugal, at)
    policy, _, _ = await Delivery(redis, KEYS).read()
    assert policy is not None
    assert policy.policy == frugal
    assert [told.message.rpartition(": ")[2] for told in desk.told] == [
        "11.0% are sampled now",
        "50.0% are sampled, as the policy says",
    ]


async def test_a_halt_rolls_back(redis: Redis, desk: Desk) -> None:
    """The halt is recorded: weight nothing, told once with its numbers, and so it stays."""
    await desk.look(RESOURCE, POLICY, NOW)
    await redis.hset(KEYS.halts, WARM, pack(a_halt()))
    await desk.look(RESOURCE, POLICY, NOW)
    await redis.delete(KEYS.halts)
    await scored(redis, 100, 0)
    await desk.look(RESOURCE, POLICY, NOW)
    assert (await published(redis)).weight == 0
    assert desk.kinds == ["Started", "RolledBack"]
    assert "task_completion is 2.12 over 17 sessions" in desk.told[1].message


async def test_a_halt_of_another_run_is_not_this_ones(redis: Redis, desk: Desk) -> None:
    """A new run of a halted experiment starts with a clean record."""
    await redis.hset(KEYS.halts, WARM, pack(a_halt()))
    await desk.look(RESOURCE, POLICY, NOW)
    state = await desk.look(an_experiment(run_id="2"), POLICY, NOW)
    assert state is not None
    assert (state.phase, state.run_id) == ("Ramping", "2")
    assert desk.kinds == ["Started", "RolledBack", "Started"]


async def test_a_new_run_does_not_inherit_scores(redis: Redis, desk: Desk) -> None:
    """Sessions of the earlier run do not count for the new one."""
    await desk.look(RESOURCE, POLICY, NOW)
    await scored(redis, 30, 0)
    second = an_experiment(run_id="2")
    await redis.hset(KEYS.gates, "warmer-greeting/2/warm", stored_gates())
    await redis.hset(KEYS.sums, "warmer-greeting/2/warm", stored_sums())
    for _ in range(2):
        state = await desk.look(second, POLICY, NOW)
    assert state is not None
    assert (state.step, state.run_id) == (0, "2")
    assert "0 of 20" in state.message


async def test_a_controller_that_starts_again_goes_on(redis: Redis, desk: Desk) -> None:
    """Its state is in Redis: another process finds the step and the count of sessions, and tells nothing again."""
    await desk.look(RESOURCE, POLICY, NOW)
    await scored(redis, 20, 0)
    await desk.look(RESOURCE, POLICY, NOW)
    await scored(redis, 29, 1)
    later = Desk(redis)
    state = await later.look(RESOURCE, POLICY, NOW)
    assert state is not None
    assert state.step == 1
    assert "29 of 30" in state.message
    assert later.told == []


async def test_a_deletion_is_published_and_told_once(redis: Redis, desk: Desk) -> None:
    """Without its resource an experiment ends for everybody, under a higher version."""
    await desk.look(RESOURCE, POLICY, NOW)
    before, _ = await in_force(redis)
    for _ in range(2):
        assert await desk.look(None, POLICY, NOW) is None
    version, experiment = await in_force(redis)
    assert experiment is None
    assert version > before
    assert desk.kinds == ["Started", "Deleted"]


async def test_a_rollback_outlives_the_deletion(redis: Redis, desk: Desk) -> None:
    """Created again under the same runId, a rolled back experiment gets no traffic."""
    await desk.look(RESOURCE, POLICY, NOW)
    await redis.hset(KEYS.halts, WARM, pack(a_halt()))
    await desk.look(RESOURCE, POLICY, NOW)
    await desk.look(None, POLICY, NOW)
    await redis.delete(KEYS.halts)
    state = await desk.look(RESOURCE, POLICY, NOW)
    assert state is not None
    assert (state.phase, (await published(redis)).weight) == ("RolledBack", 0)


async def test_a_policy_alone_is_a_snapshot(redis: Redis, desk: Desk) -> None:
    """Where there never was an experiment, the sidecars hear so at once instead of waiting for one."""
    await desk.look(None, POLICY, NOW)
    known = InForce()
    await RedisSource(redis, KEYS, known, snapshots=True).refresh()
    assert known.loaded.is_set()
    assert known.snapshot.experiment is None
    await desk.look(None, POLICY, NOW)
    assert await redis.hget(KEYS.snapshot, "revision") == b"2"
    assert desk.told == []


async def test_a_changed_policy_is_published(redis: Redis, desk: Desk) -> None:
    """The policy has a version of its own, and is written only when it changes."""
    changed = Policy(sampling_rate=0.5)
    versions = []
    for policy in (POLICY, POLICY, changed, changed):
        await desk.look(RESOURCE, policy, NOW)
        stored, _, _ = await Delivery(redis, KEYS).read()
        assert stored is not None
        assert stored.policy == policy
        versions.append(stored.version)
    assert versions[0] == versions[1] < versions[2] == versions[3]


async def test_an_edit_within_a_run_is_refused_once(redis: Redis, desk: Desk) -> None:
    """Told once for each edit, not at every look; what the sidecars have stays."""
    await desk.look(RESOURCE, POLICY, NOW)
    before = await in_force(redis)
    for resource in (edited(RESOURCE), edited(RESOURCE), RESOURCE, edited(RESOURCE)):
        await desk.look(resource, POLICY, NOW)
        assert await in_force(redis) == before
    assert desk.kinds == ["Started", "Refused", "Refused"]


async def test_fewer_steps_count_the_sessions_of_the_last_one(redis: Redis, desk: Desk) -> None:
    """A run beyond the end of a shortened list goes on at its last step, and nothing is told of going back."""
    for step, needed in enumerate((20, 30)):
        await desk.look(RESOURCE, POLICY, NOW)
        await scored(redis, needed, step)
    await desk.look(RESOURCE, POLICY, NOW)
    shorter = replace(RESOURCE, steps=(replace(RESOURCE.steps[0], min_sessions=25), RESOURCE.steps[1]))
    shorter = replace(shorter, steps=(shorter.steps[0],))
    state = await desk.look(shorter, POLICY, NOW)
    assert state is not None
    assert (state.step, state.phase) == (0, "Ramping")
    assert "20 of 25" in state.message
    await scored(redis, 5, 0, "more-")
    state = await desk.look(shorter, POLICY, NOW)
    assert state is not None
    assert state.phase == "Complete"
    assert desk.kinds == ["Started", "Advanced", "Advanced", "Complete"]


class Interrupted(Delivery):
    """A delivery whose next write comes after somebody else's."""

    def __init__(self, redis: Redis, other: Desk) -> None:
        super().__init__(redis, KEYS)
        self._other = other
        self.interrupted = False

    async def _write(self, args: list[str | int | bytes]) -> None:
        if not self.interrupted:
            self.interrupted = True
            await self._other.look(RESOURCE, POLICY, NOW)
        await super()._write(args)


@pytest.mark.parametrize("at", ["start", "advance"])
async def test_of_two_controllers_one_wins(redis: Redis, desk: Desk, at: str) -> None:
    """The one that was outrun raises, tells nothing, and at its next look goes on from what the other decided."""
    if at == "advance":
        await desk.look(RESOURCE, POLICY, NOW)
        await scored(redis, 20, 0)
    told: list[Transition] = []
    late = Controller(Interrupted(redis, desk), Scores(redis, KEYS), told.append)
    with pytest.raises(Outrun):
        await late.look(RESOURCE, POLICY, NOW)
    winner = await published(redis)
    state = await late.look(RESOURCE, POLICY, NOW)
    assert state is not None
    assert state.step == (1 if at == "advance" else 0)
    assert await published(redis) == winner
    assert told == []
    assert desk.kinds == (["Started", "Advanced"] if at == "advance" else ["Started"])


async def test_a_redis_that_lost_its_data_is_filled_again(redis: Redis, desk: Desk) -> None:
    """Published again under a higher version, at the step where it was; it holds, and tells of it once."""
    await desk.look(RESOURCE, POLICY, NOW)
    await scored(redis, 20, 0)
    await desk.look(RESOURCE, POLICY, NOW)
    before, _ = await in_force(redis)
    await redis.flushall()
    for later in range(1, 3):
        state = await desk.look(RESOURCE, POLICY, NOW + later)
    assert state is not None
    assert (state.phase, state.step, state.reason, state.lost) == ("Ramping", 1, "EvidenceLost", 40)
    version, experiment = await in_force(redis)
    assert version > before
    assert experiment == RESOURCE.in_force(1)
    assert desk.kinds == ["Started", "Advanced", "Held"]
    await scored(redis, 30, 1, "again-")
    state = await desk.look(RESOURCE, POLICY, NOW + 3)
    assert state is not None
    assert (state.step, state.reason) == (1, "EvidenceLost")


async def test_a_rollback_outlives_a_redis_that_lost_it(redis: Redis, desk: Desk) -> None:
    """The controller that saw it writes it again: a harmful variant does not come back with an empty Redis."""
    await desk.look(RESOURCE, POLICY, NOW)
    await redis.hset(KEYS.halts, WARM, pack(a_halt()))
    await desk.look(RESOURCE, POLICY, NOW)
    await redis.flushall()
    state = await desk.look(RESOURCE, POLICY, NOW + 1)
    assert state is not None
    assert (state.phase, (await published(redis)).weight) == ("RolledBack", 0)
    assert desk.kinds == ["Started", "RolledBack"]


async def test_an_erased_session_is_not_a_lost_one(redis: Redis, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """The log is shorter and the account says why: the run goes on, with a controller that starts anew, too."""
    await desk.look(RESOURCE, POLICY, NOW)
    await scored(redis, 10, 0)
    await desk.look(RESOURCE, POLICY, NOW)
    for entry, _ in await redis.xrange(KEYS.log, count=8):
        await redis.pipeline().xdel(KEYS.log, entry).hincrby(KEYS.account, "erased", 1).execute()
    for looks in (desk, Desk(redis)):
        state = await looks.look(RESOURCE, POLICY, NOW + 1)
        assert state is not None
        assert (state.reason, state.lost) == ("TooFewSessions", 0)
    assert "Redis lost" not in caplog.text


async def test_an_older_redis_does_not_bring_an_older_state_back(redis: Redis, desk: Desk) -> None:
    """Restored from a copy of an earlier time, its state is behind that of the controller, which writes its own."""
    await desk.look(RESOURCE, POLICY, NOW)
    kept = {key: await redis.dump(key) for key in (KEYS.snapshot, KEYS.rollout)}
    await redis.hset(KEYS.halts, WARM, pack(a_halt()))
    await desk.look(RESOURCE, POLICY, NOW + 1)
    await redis.delete(KEYS.halts)
    for key, dumped in kept.items():
        await redis.restore(key, 0, dumped, replace=True)
    state = await desk.look(RESOURCE, POLICY, NOW + 2)
    assert state is not None
    assert state.phase == "RolledBack"
    assert (await published(redis)).weight == 0
    assert desk.kinds == ["Started", "RolledBack"]


async def test_a_sidecar_follows_over_a_loss(redis: Redis, desk: Desk) -> None:
    """The version after the loss is higher than the one that a sidecar remembers: it takes what is published."""
    known = InForce()
    source = RedisSource(redis, KEYS, known, snapshots=True)
    await desk.look(RESOURCE, POLICY, NOW)
    await scored(redis, 20, 0)
    await desk.look(RESOURCE, POLICY, NOW)
    await source.refresh()
    assert known.snapshot.experiment == RESOURCE.in_force(1)
    await redis.flushall()
    await desk.look(RESOURCE, POLICY, NOW + 1)
    await source.refresh()
    assert known.snapshot.experiment == RESOURCE.in_force(1)


async def test_redis_away_decides_nothing() -> None:
    """The error says so; nothing is told."""
    async with Redis.from_url("redis://127.0.0.1:1/0") as away:
        desk = Desk(away)
        with pytest.raises(RedisAway):
            await desk.look(RESOURCE, POLICY, NOW)
        assert desk.told == []


def an_event(**changes: object) -> GateEvent:
    event = GateEvent(
        series=WARM,
        gate="tone",
        before="OK",
        after="Broken",
        action="Alert",
        halted=False,
        shared_cause=False,
        reading=BROKEN,
        at=int(NOW * 1000),
    )
    return replace(event, **changes)  # type: ignore[arg-type]


async def test_gate_events_are_told_once(redis: Redis, desk: Desk) -> None:
    """A gate that broke or recovered is news; one that came to be known is not."""
    await desk.controller.wait(0.001)
    unknown = an_event(before="Unknown", after="OK", reading=a_reading())
    for event in (unknown, an_event(), an_event(before="Broken", after="OK", reading=a_reading())):
        await redis.xadd(KEYS.events, {"d": pack(event)})
    await desk.controller.wait(30)
    await desk.controller.wait(0.001)
    assert [(told.kind, told.experiment) for told in desk.told] == [("Gate", "warmer-greeting")] * 2


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (an_event(), ["tone of warm: OK → Broken", "mean 2.25", "15 scored sessions", "floor 3.5"]),
        (an_event(halted=True, action="Rollback"), ["warm is halted"]),
        (an_event(shared_cause=True), ["control's gate is broken too"]),
        (an_event(series="*"), ["tone of the agent"]),
        (an_event(series="//"), ["sessions without an experiment"]),
        (an_event(after="Unknown", before="Broken", reading=a_reading(mean=None, count=0)), ["no mean of 0"]),
    ],
)
def test_a_gate_event_in_words(event: GateEvent, words: list[str]) -> None:
    """The sentence has the gate, whose it is, the numbers, and what was done."""
    assert [word for word in words if word not in gate_sentence(event)] == []
