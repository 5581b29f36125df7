"""The score script call by call: what it refuses, what it does once, what it leaves behind, what it survives."""

import asyncio
import random
from dataclasses import fields, replace
from itertools import count
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, ResponseError

from sluicegate.keys import AGENT_SERIES, JUDGES, Keys
from sluicegate.policy import OVERALL, JudgeSettings, Policy, Window
from sluicegate.reading import StoredGate, StoredGates
from sluicegate.records import GateEvent, GateReading, Halt, Notice, ScoreRecord
from sluicegate.snapshot import gate_table, pack, pack_table
from sluicegate_sidecar.errors import RedisAway, ScoreRefused
from sluicegate_sidecar.gating.window import Outcome, Windows, script
from sluicegate_sidecar.redis_client import connected

KEYS = Keys("default", "concierge")
START_MS = 1_767_225_600_000
DAY = "2026-01-01"
TABLE = gate_table(Policy())
RUBRICS = TABLE.metrics[1:]
WARM = "greeting/1/warm"

numbers = count()


@pytest.fixture
def windows(redis: Redis) -> Windows:
    return Windows(redis, KEYS, JUDGES)


def a_record(
    score: int | dict[str, int | None] = 5, at: int = 0, *, variant: str = "warm", **other: Any
) -> ScoreRecord:
    """A session that ended `at` seconds after the start, with one score for all metrics, or a score for each."""
    told: dict[str, Any] = {
        "session_id": f"session-{next(numbers)}",
        "caller_hash": "",
        "experiment": "greeting" if variant else "",
        "run_id": "1" if variant else "",
        "variant": variant,
        "control": "control" if variant else "",
        "sampling_rate": 1.0,
        "ended_at": START_MS / 1000 + at,
        "end_reason": "COMPLETED",
        "turn_count": 1,
        "truncated": False,
        "scores": score if isinstance(score, dict) else dict.fromkeys(RUBRICS, score),
        "reasons": {},
        "judge_revision": TABLE.revision,
        "judge_model": "test",
    }
    return ScoreRecord(**{**told, **other})


async def waiting(redis: Redis) -> str:
    """A session that waits to be judged."""
    entry_id: bytes = await redis.xadd(KEYS.queue, {"d": b"transcript"})
    return entry_id.decode()


async def score(redis: Redis, windows: Windows, record: ScoreRecord, at: int = 0) -> Outcome:
    """Scores a session `at` seconds after the start."""
    log_id = f"{START_MS + at * 1000}-{next(numbers) + 1}"
    return await windows.score(await waiting(redis), DAY, record, TABLE, log_id=log_id)


async def score_raw(redis: Redis, entry_id: str, packed: bytes) -> Any:
    """The script itself, with a record that `Windows` would not have sent."""
    run = redis.register_script(script())
    window = KEYS.window(TABLE.revision, TABLE.window_seconds)
    keys = [KEYS.queue, KEYS.log, KEYS.events, KEYS.gates, KEYS.sums, KEYS.halts, KEYS.snapshot, window, KEYS.seen(DAY)]
    return await run(keys=keys, args=["score", "*", KEYS.notices, pack_table(TABLE), JUDGES, entry_id, packed])


async def everything(redis: Redis) -> dict[bytes, bytes]:
    return {key: await redis.dump(key) for key in await redis.keys("*")}


async def events(redis: Redis, series: str = WARM, gate: str = "task_completion") -> list[GateEvent]:
    told = [msgspec.msgpack.decode(entry[b"d"], type=GateEvent) for _, entry in await redis.xrange(KEYS.events)]
    return [event for event in told if (event.series, event.gate) == (series, gate)]


async def reading(windows: Windows, gate: str = "task_completion") -> GateReading:
    return (await windows.readings())[WARM].gates[gate]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scores": {"tone": "4"}}, "scores.tone"),
        ({"scores": {"tone": True}}, "scores.tone"),
        ({"scores": {"tone": 3.5}}, "scores.tone"),
        ({"scores": {"tone": 0}}, "scores.tone"),
        ({"scores": {"tone": 6}}, "scores.tone"),
        ({"scores": {"tone": [4]}}, "scores.tone"),
        ({"scores": {"charm": 4}}, "scores.charm"),
        ({"scores": {OVERALL: 4}}, f"scores.{OVERALL}"),
        ({"scores": 4}, "scores"),
        ({"ended_at": "yesterday"}, "ended_at"),
        ({"ended_at": float("nan")}, "ended_at"),
        ({"ended_at": float("inf")}, "ended_at"),
        ({"ended_at": -1}, "ended_at"),
        ({"judge_revision": 7}, "judge_revision"),
        ({"session_id": None}, "session_id"),
        ({"variant": ["warm"]}, "variant"),
    ],
)
async def test_the_script_names_the_field_that_is_wrong(redis: Redis, change: dict[str, object], field: str) -> None:
    """Whoever calls: an invalid record is refused by name, and not a byte in Redis is another one."""
    entry_id = await waiting(redis)
    before = await everything(redis)
    record = {**_as_map(a_record()), **change}
    with pytest.raises(ResponseError, match=rf"^REFUSED {field}: "):
        await score_raw(redis, entry_id, msgspec.msgpack.encode(record))
    assert await everything(redis) == before


def _as_map(record: ScoreRecord) -> dict[str, object]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


@pytest.mark.parametrize("packed", [b"", b"\xc1", b"\x93\x01", msgspec.msgpack.encode("a text")])
async def test_what_is_not_a_record_is_refused(redis: Redis, packed: bytes) -> None:
    """Bytes that are no MessagePack map change nothing either."""
    entry_id = await waiting(redis)
    before = await everything(redis)
    with pytest.raises(ResponseError, match=r"^REFUSED record: "):
        await score_raw(redis, entry_id, packed)
    assert await everything(redis) == before


@pytest.mark.parametrize("told", [4.0, 3.5, True, "4"])
async def test_a_score_that_readers_of_the_log_could_not_read_is_refused(
    redis: Redis, windows: Windows, told: Any
) -> None:
    """4.0 and True would be numbers to Lua; in the log they would stop every reader."""
    entry_id = await waiting(redis)
    before = await everything(redis)
    with pytest.raises(ScoreRefused, match=r"\$\.scores"):
        await windows.score(entry_id, DAY, a_record({"tone": told}), TABLE)
    assert await everything(redis) == before


async def test_a_score_is_logged_as_it_is_and_acknowledged(redis: Redis, windows: Windows) -> None:
    """In the log verbatim, remembered under its day, and neither waiting nor pending any more."""
    await redis.xgroup_create(KEYS.queue, JUDGES, id="0", mkstream=True)
    entry_id, record = await waiting(redis), a_record(4)
    await redis.xreadgroup(JUDGES, "worker", {KEYS.queue: ">"})
    outcome = await windows.score(entry_id, DAY, record, TABLE)
    assert (outcome.kind, outcome.in_window) == ("scored", False)  # it ended long before today
    assert await redis.xrange(KEYS.log) == [(outcome.log_id.encode(), {b"d": pack(record)})]
    assert await redis.hget(KEYS.seen(DAY), record.session_id) == outcome.log_id.encode()
    assert await redis.xlen(KEYS.queue) == 0
    assert (await redis.xpending(KEYS.queue, JUDGES))["pending"] == 0


async def test_a_worker_that_lost_the_answer_gets_it_again(redis: Redis, windows: Windows) -> None:
    """The same session under another queue entry: the first log id, the entry cleared away, nothing counted twice."""
    record = a_record(1)
    first = await score(redis, windows, record)
    before = await everything(redis)
    again = await score(redis, windows, record)
    assert (again.kind, again.log_id) == ("duplicate", first.log_id)
    assert {**await everything(redis), KEYS.queue.encode(): b""} == {**before, KEYS.queue.encode(): b""}
    assert await redis.xlen(KEYS.queue) == 0


@pytest.mark.parametrize("mark", ["q", "n", "d"])
async def test_a_session_that_somebody_set_aside_is_gone(redis: Redis, windows: Windows, mark: str) -> None:
    """Without its queue entry a session is not scored, and nothing is written."""
    record = a_record()
    await redis.hset(KEYS.seen(DAY), record.session_id, mark)
    entry_id = await waiting(redis)
    await redis.xdel(KEYS.queue, entry_id)
    before = await everything(redis)
    assert await windows.score(entry_id, DAY, record, TABLE) == Outcome(kind="gone")
    assert await everything(redis) == before


async def test_what_is_seen_is_forgotten_in_the_end(redis: Redis, windows: Windows) -> None:
    """A day that was forgotten already comes back with a time to live; a longer one is left alone."""
    await score(redis, windows, a_record())
    assert 0 < await redis.ttl(KEYS.seen(DAY)) <= 8 * 24 * 3600
    await redis.expire(KEYS.seen(DAY), 5_000)
    await score(redis, windows, a_record())
    assert 4_990 < await redis.ttl(KEYS.seen(DAY)) <= 5_000


async def test_many_calls_at_once_count_once_each(redis: Redis, windows: Windows) -> None:
    """30 sessions, each scored by three workers at the same time: 30 in the log, 30 in the window."""
    records = [a_record(number % 5 + 1, variant=("warm", "control")[number % 2]) for number in range(30)]
    now = await redis.time()
    records = [replace(record, ended_at=now[0]) for record in records]
    entries = [await waiting(redis) for _ in records]
    outcomes = await asyncio.gather(
        *(windows.score(e, DAY, r, TABLE) for e, r in zip(entries, records, strict=True) for _ in range(3))
    )
    assert [outcome.kind for outcome in outcomes].count("scored") == 30
    assert await redis.xlen(KEYS.log) == 30
    assert (await windows.readings())[AGENT_SERIES].sessions == 30


async def test_under_min_sessions_a_gate_is_unknown(redis: Redis, windows: Windows) -> None:
    """Nine of ten sessions: unknown, however bad. The tenth breaks it. A metric that never applies stays unknown."""
    never: dict[str, int | None] = {**dict.fromkeys(RUBRICS, 1), "tool_accuracy": None}
    for _ in range(9):
        await score(redis, windows, a_record(never))
    assert (await reading(windows)).reason == "TooFewSessions"
    assert not await redis.exists(KEYS.events)
    await score(redis, windows, a_record(never))
    assert (await reading(windows)).state == "Broken"
    silent = await reading(windows, "tool_accuracy")
    assert (silent.state, silent.count, silent.mean, silent.upper) == ("Unknown", 0, None, None)


async def test_a_session_without_any_score_is_a_session_without_an_average(redis: Redis, windows: Windows) -> None:
    """Nothing applied: it counts as a session of the series, and in no mean."""
    await score(redis, windows, a_record(4))
    await score(redis, windows, a_record(dict.fromkeys(RUBRICS)))
    series = (await windows.readings())[WARM]
    assert series.sessions == 2
    assert (series.gates[OVERALL].count, series.gates[OVERALL].mean) == (1, 4.0)


async def test_a_broken_gate_recovers_past_its_floor_only(redis: Redis, windows: Windows) -> None:
    """Floor 3.0, recovery 3.2: at a mean of 3.0 and of 3.15 it is still broken, at 3.2 it is not."""
    for told in [1] * 10 + [5] * 10:
        await score(redis, windows, a_record(told))
    assert ((await reading(windows)).mean, (await reading(windows)).state) == (3.0, "Broken")
    for told in [4] * 4:
        await score(redis, windows, a_record(told))
    assert ((await reading(windows)).mean, (await reading(windows)).state) == (76 / 24, "Broken")
    await score(redis, windows, a_record(4))
    assert ((await reading(windows)).mean, (await reading(windows)).state) == (3.2, "OK")
    assert [(event.before, event.after) for event in await events(redis)] == [
        ("Unknown", "Broken"),
        ("Broken", "OK"),
    ]


async def test_an_action_that_waits_for_the_upper_bound_comes_later(redis: Redis, windows: Windows) -> None:
    """Broken by its mean first, confirmed by its upper bound later: two events, the second one with the halt."""
    for told in [3] * 9 + [2]:
        await score(redis, windows, a_record({**dict.fromkeys(RUBRICS, 5), "task_completion": told}))
    assert not await windows.halts()
    while not await windows.halts():
        await score(redis, windows, a_record({**dict.fromkeys(RUBRICS, 5), "task_completion": 2}))
    broken, halted = await events(redis)
    assert (broken.before, broken.after, broken.action, broken.halted) == ("Unknown", "Broken", "Alert", False)
    assert (halted.before, halted.after, halted.action, halted.halted) == ("Broken", "Broken", "Rollback", True)
    assert halted.reading.since == broken.reading.since
    assert halted.reading.upper is not None
    assert halted.reading.upper < 3.0


async def test_control_and_those_without_an_experiment_are_never_halted(redis: Redis, windows: Windows) -> None:
    """Only a variant beside a known control can be shut out."""
    for told in [a_record(1, variant="control"), a_record(1, variant=""), a_record(1, control="")] * 20:
        await score(redis, windows, replace(told, session_id=f"session-{next(numbers)}"))
    assert {series.gates[OVERALL].state for series in (await windows.readings()).values()} == {"Broken"}
    assert not await windows.halts()


async def test_a_halt_outlives_its_window(redis: Redis, windows: Windows) -> None:
    """The window runs empty, the gates are closed: their events say so, and the halt stays."""
    for _ in range(10):
        await score(redis, windows, a_record(1))
    halts = await windows.halts()
    assert set(halts) == {WARM}
    await windows.tick(TABLE, log_id=f"{START_MS + 3_700_000}-0")
    assert await windows.readings() == {}
    assert not await redis.exists(KEYS.gates, KEYS.sums)
    last = (await events(redis))[-1]
    assert (last.before, last.after, last.reading.count, last.reading.latched) == ("Broken", "Unknown", 0, False)
    assert await windows.halts() == halts


async def test_a_control_that_is_learned_of_late_counts_at_a_tick(redis: Redis, windows: Windows) -> None:
    """The gates were OK before a session named its control, and after; then the good sessions leave the window."""
    for _ in range(60):
        await score(redis, windows, a_record(5, control=""))
    for _ in range(10):
        await score(redis, windows, a_record(1, 1_800), 1_800)
    assert (await reading(windows)).state == "OK"
    await windows.tick(TABLE, log_id=f"{START_MS + 3_700_000}-0")
    assert set(await windows.halts()) == {WARM}


async def test_the_judge_lags_from_one_moment_to_the_next(redis: Redis, windows: Windows) -> None:
    """A session that has waited for ten minutes is not late yet; a millisecond later it is, and the gates say so."""
    await redis.xadd(KEYS.queue, {"d": b""}, id=f"{START_MS}-1")
    for _ in range(10):
        await score(redis, windows, a_record(5))
    states = []
    for later in (TABLE.max_lag_ms, TABLE.max_lag_ms + 1):
        await windows.tick(TABLE, log_id=f"{START_MS + later}-0")
        states.append(((await reading(windows)).state, (await reading(windows)).reason))
    assert states == [("OK", ""), ("Unknown", "JudgeLag")]


async def test_a_replay_may_begin_at_the_beginning_of_time(redis: Redis, windows: Windows) -> None:
    """The ids of a log need not be of our days: nobody waits since before the first of them."""
    outcome = await windows.score(await waiting(redis), DAY, a_record(5, ended_at=0.0), TABLE, log_id="1-1")
    assert (outcome.kind, outcome.in_window) == ("scored", True)


async def test_a_tick_never_runs_behind_the_log(redis: Redis, windows: Windows) -> None:
    """A clock that was set back does not bring old sessions back: the tick takes the time of the last score."""
    for at in (0, 4_000):
        await score(redis, windows, a_record(5, at), at)
    await windows.tick(TABLE, log_id=f"{START_MS}-0")
    series = (await windows.readings())[WARM]
    assert (series.sessions, series.at) == (1, START_MS + 4_000_000)


async def test_a_window_never_moves_back(redis: Redis, windows: Windows) -> None:
    """A tick on a clock that ran ahead, then a score on one set right: it is too late for the window, and logged."""
    await score(redis, windows, a_record(5))
    await windows.tick(TABLE, log_id=f"{START_MS + 3_700_000}-0")
    assert not (await score(redis, windows, a_record(5, 1), 1)).in_window
    assert await windows.readings() == {}


async def test_a_tick_with_another_table_than_the_one_in_force_does_nothing(redis: Redis, windows: Windows) -> None:
    """A sidecar with an old snapshot neither moves the window nor closes a gate."""
    await redis.hset(KEYS.snapshot, "gates", pack_table(TABLE))
    await score(redis, windows, a_record())
    before = await everything(redis)
    for other in (gate_table(Policy(window=Window(seconds=60))), replace(TABLE, revision="older")):
        await windows.tick(other, log_id=f"{START_MS + 9_000_000}-0")
    assert await everything(redis) == before


async def test_each_judge_revision_has_a_window_of_its_own(redis: Redis, windows: Windows) -> None:
    """A new judge starts from nothing; whoever was told that a gate is broken is told of its end."""
    for _ in range(10):
        await score(redis, windows, a_record(1))
    stricter = gate_table(Policy(judge=JudgeSettings(model="another")))
    await redis.hset(KEYS.snapshot, "gates", pack_table(stricter))
    record = a_record(5, judge_revision=stricter.revision)
    await windows.score(await waiting(redis), DAY, record, stricter, log_id=f"{START_MS + 1000}-9999999")
    series = (await windows.readings())[WARM]
    assert (series.revision, series.sessions, series.gates["tone"].latched) == (stricter.revision, 1, False)
    assert [(event.before, event.after) for event in await events(redis)] == [
        ("Unknown", "Broken"),
        ("Broken", "Unknown"),
    ]


async def test_gates_that_say_the_same_under_another_judge_say_whose_they_are(redis: Redis, windows: Windows) -> None:
    """Too few sessions before, too few after: no gate changed, but the revision is the new one's."""
    await score(redis, windows, a_record(5))
    other = gate_table(Policy(judge=JudgeSettings(model="another")))
    await redis.hset(KEYS.snapshot, "gates", pack_table(other))
    record = a_record(5, judge_revision=other.revision)
    await windows.score(await waiting(redis), DAY, record, other, log_id=f"{START_MS + 1000}-9999999")
    assert (await windows.readings())[WARM].revision == other.revision


async def test_a_score_after_its_window_is_logged_and_not_counted(redis: Redis, windows: Windows) -> None:
    """Judged an hour too late: in the log only. From the future: counted now."""
    assert not (await score(redis, windows, a_record(1, -3_600))).in_window
    assert (await score(redis, windows, a_record(1, 86_400))).in_window
    assert await redis.xlen(KEYS.log) == 2
    assert (await windows.readings())[WARM].sessions == 1


async def test_what_was_added_is_subtracted_without_a_trace(redis: Redis, windows: Windows) -> None:
    """Thousands of random scores over several windows: at the end the sums are those of the last window, exactly."""
    rng, table = random.Random(7), replace(TABLE, window_seconds=60)
    scores = [{metric: rng.choice([None, 1, 2, 3, 4, 5]) for metric in RUBRICS} for _ in range(3_000)]
    for number, told in enumerate(scores):
        record, log_id = a_record(told, 0), f"{START_MS + number * 100}-0"
        record = replace(record, ended_at=START_MS / 1000 + number / 10)
        await windows.score(await waiting(redis), DAY, record, table, log_id=log_id)
    series = (await windows.readings())[AGENT_SERIES]
    recent = scores[-series.sessions :]
    assert 598 <= series.sessions <= 600
    for metric in RUBRICS:
        known = [told[metric] for told in recent if told[metric] is not None]
        assert series.gates[metric].count == len(known)
        assert series.gates[metric].mean == sum(filter(None, known)) / len(known)
    window = await redis.hgetall(KEYS.window(TABLE.revision, 60))
    assert len(window) <= 360 + len({b"epoch", WARM, AGENT_SERIES})


async def test_the_script_is_loaded_again(redis: Redis, windows: Windows) -> None:
    """A Redis that restarted, or flushed its scripts, costs one more round trip and nothing else."""
    await score(redis, windows, a_record())
    await redis.script_flush()
    assert (await score(redis, windows, a_record())).kind == "scored"


async def test_a_full_redis_still_takes_scores(redis: Redis, windows: Windows) -> None:
    """A queue that fills the memory must not keep the scores out that would empty it."""
    entries = [await waiting(redis) for _ in range(12)]
    await score(redis, windows, a_record(1))
    used = (await redis.info("memory"))["used_memory"]
    await redis.config_set("maxmemory", used // 2)
    try:
        with pytest.raises(OutOfMemoryError):
            await waiting(redis)
        for number, entry_id in enumerate(entries):
            log_id = f"{START_MS + 1}-{next(numbers) + number + 1}"
            outcome = await windows.score(entry_id, DAY, a_record(1), TABLE, log_id=log_id)
            assert outcome.kind == "scored"
        await windows.tick(TABLE, log_id=f"{START_MS + 2000}-0")
    finally:
        await redis.config_set("maxmemory", 0)
    assert set(await windows.halts()) == {WARM}


async def test_a_halt_that_cannot_be_published_is_a_halt(redis: Redis, windows: Windows, valkey_url: str) -> None:
    """No right to publish: the score and the halt stand, and the poll will find them."""
    await redis.execute_command("ACL", "SETUSER", "mute", "on", ">x", "~*", "+@all", "-publish", "&*")
    try:
        async with connected(valkey_url, KEYS) as own, own.client() as mute:
            await mute.execute_command("AUTH", "mute", "x")
            for _ in range(10):
                await score(redis, Windows(mute, KEYS, JUDGES), a_record(1))
    finally:
        await redis.execute_command("ACL", "DELUSER", "mute")
    assert set(await windows.halts()) == {WARM}


async def test_what_is_written_is_what_is_read(redis: Redis, windows: Windows) -> None:
    """Gates, events, halts and notices have the fields of their records, no more."""
    async with redis.pubsub() as subscription:
        await subscription.subscribe(KEYS.notices)
        for _ in range(10):
            await score(redis, windows, a_record({**dict.fromkeys(RUBRICS, 1), "tone": None}))
        messages = [await subscription.get_message(timeout=1) for _ in range(2)]
    notice = msgspec.msgpack.decode(messages[1]["data"], type=Notice)
    assert notice.halt == (await windows.halts())[WARM]
    packed = {
        Halt: await redis.hget(KEYS.halts, WARM),
        GateEvent: (await redis.xrange(KEYS.events))[0][1][b"d"],
    }
    raw = {kind: msgspec.msgpack.decode(told) for kind, told in packed.items()}
    for kind, told in raw.items():
        assert set(told) == {field.name for field in fields(kind)}
    names = {field.name for field in fields(GateReading)}
    assert set(raw[GateEvent]["reading"]) == names
    stored = msgspec.msgpack.decode(await redis.hget(KEYS.gates, WARM))
    assert len(stored) == len(StoredGates.__struct_fields__)
    assert {len(gate) for gate in stored[-1].values()} == {len(StoredGate.__struct_fields__)}
    assert ((await reading(windows, "tone")).count, (await reading(windows, "tone")).mean) == (0, None)


async def test_redis_away_is_said_as_such(redis: Redis) -> None:
    """Nobody listens: RedisAway, with the cause, for every call."""
    async with Redis(port=1, retry=Retry(NoBackoff(), 0)) as nowhere:
        away = Windows(nowhere, KEYS, JUDGES)
        for call in (away.score("1-1", DAY, a_record(), TABLE), away.tick(TABLE), away.readings(), away.halts()):
            with pytest.raises(RedisAway) as raised:
                await call
            assert raised.value.__cause__
