"""The score script against a reference that keeps every score: readings, halts and events, equal to the last bit."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field, replace

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from sluicegate.gate import OVERALL_SCALE, GateState, GateStatus, Summary, confirmed, judge_gate, summarize
from sluicegate.keys import AGENT_SERIES, JUDGES, Keys, series
from sluicegate.policy import DEFAULT_GATES, OVERALL, Action, GateRule, JudgeSettings, Policy, Window
from sluicegate.records import GateEvent, GateReading, Halt, ScoreRecord, SeriesGates
from sluicegate.snapshot import GateTable, gate_table, pack_table
from sluicegate_sidecar.gating.window import Windows
from sluicegate_sidecar.redis_client import connected

KEYS = Keys("default", "receptionist")
START_MS = 1_767_225_600_000
DAY = "2026-01-01"
BUCKETS = 360
TREATMENT, CONTROL, LONER = "warm", "control", "loner"
"""`loner` has an experiment, and a record that does not say which variant is its control."""

POLICY = Policy(window=Window(seconds=60, min_sessions=3))
EAGER = (
    GateRule(metric=OVERALL, min=4, severity="critical", action="Rollback", confirm="None", recover_by=0.5),
    GateRule(metric="tone", min=3.0, severity="warning", action="Pause", confirm="UpperBound"),
    GateRule(metric="response_relevance", min=3.5, severity="warning", action="Pause", confirm="None"),
)
TABLES = (
    gate_table(POLICY),
    gate_table(replace(POLICY, gates=EAGER)),
    gate_table(replace(POLICY, gates=DEFAULT_GATES[:2], window=Window(seconds=120, min_sessions=1))),
    gate_table(replace(POLICY, judge=JudgeSettings(model="another"))),
    gate_table(replace(POLICY, gates=())),
)
RUBRICS = TABLES[0].metrics[1:]


@dataclass(frozen=True)
class Entry:
    of: str
    epoch: int
    scores: dict[str, int | None]


@dataclass
class Reference:
    """What the windows of an agent must say. Keeps all entries, and adds them up anew for each answer."""

    table: GateTable = TABLES[0]
    entries: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    epochs: dict[str, int] = field(default_factory=dict)
    gates: dict[str, SeriesGates] = field(default_factory=dict)
    halts: dict[str, Halt] = field(default_factory=dict)
    events: list[GateEvent] = field(default_factory=list)
    waiting_since: int | None = None
    now: int = START_MS

    @property
    def window(self) -> str:
        return KEYS.window(self.table.revision, self.table.window_seconds)

    def epoch_of(self, ms: int) -> int:
        return ms * BUCKETS // (self.table.window_seconds * 1000)

    def slide(self) -> bool:
        before = self.epochs.get(self.window)
        after = self.epochs[self.window] = max(self.epoch_of(self.now), before or 0)
        self.entries[self.window] = [e for e in self.entries[self.window] if e.epoch > after - BUCKETS]
        return before != after

    def score(self, record: ScoreRecord, table: GateTable) -> bool:
        """Whether it counts in the window."""
        callers = KEYS.window(table.revision, table.window_seconds)
        if record.judge_revision != self.table.revision or callers != self.window:
            return False
        touched = set(self.gates) if self.slide() else set()
        current = self.epochs[self.window]
        epoch = min(self.epoch_of(int(record.ended_at * 1000)), current)
        inside = epoch > current - BUCKETS
        if inside:
            of = series(record.experiment, record.run_id, record.variant)
            self.entries[self.window].append(Entry(of, epoch, record.scores))
            touched |= {of, AGENT_SERIES}
        self.read(touched)
        return inside

    def tick(self) -> None:
        self.slide()
        self.read(set(self.gates))

    def read(self, touched: set[str]) -> None:
        for of in touched:
            self.read_series(of)

    def read_series(self, of: str) -> None:
        sessions = sum(of in (entry.of, AGENT_SERIES) for entry in self.entries[self.window])
        last = self.gates.pop(of, None)
        memory = last.gates if last else {}
        same = last is not None and last.revision == self.table.revision
        readings = {r.metric: self.read_gate(of, r, memory.get(r.metric), same) for r in self.table.gates if sessions}
        for metric, before in memory.items():
            if metric not in readings and before.state != "Unknown":
                self.tell(of, metric, before.state, unknown(before.threshold, before.severity, self.now))
        if sessions:
            self.gates[of] = SeriesGates(at=self.now, revision=self.table.revision, sessions=sessions, gates=readings)

    def read_gate(self, of: str, rule: GateRule, before: GateReading | None, same_revision: bool) -> GateReading:
        before = before or unknown(rule.min, rule.severity, self.now)
        summary, latched = self.summary(of, rule.metric), same_revision and before.latched
        status = judge_gate(rule, self.table.min_sessions, summary, GateStatus(latched=latched), self.is_lagging())
        action, halted, shared = self.act(of, rule, summary, status, before)
        reading = GateReading(
            state=status.state,
            reason=status.reason,
            latched=status.latched,
            since=before.since if status.state == before.state else self.now,
            count=summary.count if summary else 0,
            mean=summary.mean if summary else None,
            lower=summary.lower if summary else None,
            upper=summary.upper if summary else None,
            threshold=rule.min,
            severity=rule.severity,
            action=action,
        )
        if status.state != before.state or halted or (action == "Pause" and before.action == "Alert"):
            self.tell(of, rule.metric, before.state, reading, halted=halted, shared=shared)
        return reading

    def act(
        self, of: str, rule: GateRule, summary: Summary | None, status: GateStatus, before: GateReading
    ) -> tuple[Action, bool, bool]:
        """The action that is due, whether this step halts, whether the cause is shared."""
        if status.state != "Broken" or rule.action == "Alert":
            return "Alert", False, False
        if not confirmed(rule, summary, status):
            return (before.action if before.state == "Broken" else "Alert"), False, False
        if rule.action == "Pause":
            return "Pause", False, False
        if of != series("greeting", "1", TREATMENT):
            return "Alert", False, False
        if of in self.halts:
            return "Rollback", False, False
        if self.is_control_broken(rule):
            return "Pause", False, True
        assert summary
        self.halts[of] = Halt(
            series=of,
            gate=rule.metric,
            count=summary.count,
            mean=summary.mean,
            upper=summary.upper,
            threshold=rule.min,
            severity=rule.severity,
            at=self.now,
        )
        return "Rollback", True, False

    def is_control_broken(self, rule: GateRule) -> bool:
        control = series("greeting", "1", CONTROL)
        last = self.gates.get(control)
        before = last.gates.get(rule.metric) if last and last.revision == self.table.revision else None
        status = GateStatus(latched=bool(before and before.latched))
        summary = self.summary(control, rule.metric)
        return judge_gate(rule, self.table.min_sessions, summary, status, lagging=False).state == "Broken"

    def is_lagging(self) -> bool:
        return self.waiting_since is not None and self.now - self.waiting_since > self.table.max_lag_ms

    def summary(self, of: str, metric: str) -> Summary | None:
        values: list[int] = []
        for entry in self.entries[self.window]:
            known = [score for score in entry.scores.values() if score is not None]
            if of not in (entry.of, AGENT_SERIES):
                continue
            if metric == OVERALL and known:
                values.append(sum(known) * OVERALL_SCALE // len(known))
            elif (score := entry.scores.get(metric)) is not None:
                values.append(score)
        scale = OVERALL_SCALE if metric == OVERALL else 1
        return summarize(len(values), sum(values), sum(value * value for value in values), scale)

    def tell(
        self,
        of: str,
        metric: str,
        before: GateState,
        reading: GateReading,
        *,
        halted: bool = False,
        shared: bool = False,
    ) -> None:
        self.events.append(
            GateEvent(
                series=of,
                gate=metric,
                before=before,
                after=reading.state,
                action=reading.action,
                halted=halted,
                shared_cause=shared,
                reading=reading,
                at=self.now,
            )
        )


def unknown(threshold: float, severity: str, since: int) -> GateReading:
    return msgspec.convert(
        {
            "state": "Unknown",
            "reason": "TooFewSessions",
            "latched": False,
            "since": since,
            "count": 0,
            "threshold": threshold,
            "severity": severity,
        },
        GateReading,
    )


@dataclass(frozen=True)
class Score:
    variant: str
    scores: dict[str, int | None]
    ended: int
    """Against now, in ms."""
    callers_table: int | None
    """None: the one in force."""
    older: bool
    times: int
    """A burst of as many sessions, alike."""


@dataclass(frozen=True)
class Switch:
    table: int


@dataclass(frozen=True)
class Wait:
    """A session starts to wait for the judge, too long ago; or is done waiting."""

    begin: bool


@dataclass(frozen=True)
class Tick:
    pass


def alike(score: int) -> dict[str, int | None]:
    return dict.fromkeys(RUBRICS, score)


same_scores = st.sampled_from([1, 1, 2, 3, 5, 5]).map(
    lambda score: dict[str, int | None](dict.fromkeys(RUBRICS, score))
)
any_scores = st.fixed_dictionaries(dict.fromkeys(RUBRICS, st.one_of(st.none(), st.integers(1, 5))))
scores = st.builds(
    Score,
    variant=st.sampled_from([TREATMENT, TREATMENT, TREATMENT, CONTROL, CONTROL, LONER, ""]),
    scores=st.one_of(same_scores, same_scores, any_scores),
    ended=st.sampled_from([0, 0, 0, -170, -5_000, -59_900, -61_000, 5_000, 90_000]),
    callers_table=st.sampled_from([None] * 20 + list(range(len(TABLES)))),
    older=st.sampled_from([False] * 19 + [True]),
    times=st.sampled_from([1, 1, 4, 9]),
)
others = st.one_of(st.builds(Tick), st.builds(Switch, st.integers(0, len(TABLES) - 1)), st.builds(Wait, st.booleans()))
laters = st.sampled_from([0] * 8 + [1, 150, 170, 2_000, 7_000, 7_000, 20_000, 59_000, 61_000, 90_000, 500_000])
steps = st.lists(st.tuples(laters, st.one_of(*[scores] * 7, others)), min_size=15, max_size=40)


def burst(variant: str, score: int, times: int) -> tuple[int, Score]:
    return 200, Score(variant=variant, scores=alike(score), ended=0, callers_table=None, older=False, times=times)


shared_cause_then_halt = [
    burst(CONTROL, 1, 6),
    burst(TREATMENT, 1, 9),  # control is broken as well: to pause, once
    burst(TREATMENT, 1, 2),
    burst(CONTROL, 5, 90),  # control recovers, which is not yet a score of the treatment's
    (0, Tick()),
    burst(TREATMENT, 5, 400),  # recovered, but halted for good
    burst(TREATMENT, 1, 500),
]
control_broken_by_its_latch_alone = [
    burst(CONTROL, 1, 6),
    burst(CONTROL, 5, 10),  # a mean of 3.5: at the overall floor, and not yet recovered
    burst(TREATMENT, 1, 4),
]
broken_long_before_it_is_confirmed = [
    (0, Switch(1)),
    burst(TREATMENT, 3, 2),
    burst(TREATMENT, 2, 1),  # tone: its mean is below the floor, its upper bound is not
    burst(TREATMENT, 2, 30),
    burst(TREATMENT, 3, 400),  # not confirmed any more, still broken: the pause stays
    (0, Switch(4)),
    (170, Tick()),
    (0, Switch(3)),
    burst(CONTROL, 5, 4),
    (61_000, Tick()),
]


@settings(max_examples=60, deadline=None)
@given(steps=steps)
@example(steps=shared_cause_then_halt)
@example(steps=control_broken_by_its_latch_alone)
@example(steps=broken_long_before_it_is_confirmed)
def test_every_sequence_of_scores_and_ticks_gives_what_the_reference_gives(
    valkey_url: str, steps: list[tuple[int, Score | Switch | Wait | Tick]]
) -> None:
    """Late, early and unscored sessions, other revisions, policies that change, a judge that lags, shared causes:
    after each step all readings, halts and events are those of the reference, every double equal."""
    asyncio.run(_compare(valkey_url, steps))


async def _compare(valkey_url: str, steps: list[tuple[int, Score | Switch | Wait | Tick]]) -> None:
    reference = Reference()
    async with connected(valkey_url, KEYS) as redis:
        await redis.flushall()
        await redis.hset(KEYS.snapshot, "gates", pack_table(reference.table))
        windows = Windows(redis, KEYS, JUDGES)
        for number, (later, step) in enumerate(steps):
            reference.now += later
            reference.events.clear()
            await _take(redis, windows, reference, step, number)
            assert await windows.readings() == reference.gates
            assert await windows.halts() == reference.halts
            assert await _events(redis) == sorted(reference.events, key=lambda event: (event.series, event.gate))


async def _take(
    redis: Redis, windows: Windows, reference: Reference, step: Score | Switch | Wait | Tick, number: int
) -> None:
    match step:
        case Tick():
            await windows.tick(reference.table, log_id=f"{reference.now}-0")
            reference.tick()
        case Switch(table):
            reference.table = TABLES[table]
            await redis.hset(KEYS.snapshot, "gates", pack_table(reference.table))
        case Wait(begin):
            if reference.waiting_since is not None:
                await redis.xdel(KEYS.queue, f"{reference.waiting_since}-1")
            reference.waiting_since = START_MS - 3_600_000 + number if begin else None
            if begin:
                await redis.delete(KEYS.queue)  # a stream takes no id older than its last
                await redis.xadd(KEYS.queue, {"d": b""}, id=f"{reference.waiting_since}-1")
        case Score():
            for repeat in range(step.times):
                await _score(redis, windows, reference, step, 1_000 * number + repeat)


async def _score(redis: Redis, windows: Windows, reference: Reference, step: Score, number: int) -> None:
    table = reference.table if step.callers_table is None else TABLES[step.callers_table]
    record = ScoreRecord(
        session_id=f"s-{number}",
        caller_hash="",
        experiment="greeting" if step.variant else "",
        run_id="1" if step.variant else "",
        variant=step.variant,
        control=CONTROL if step.variant in (TREATMENT, CONTROL) else "",
        sampling_rate=1.0,
        ended_at=(reference.now + step.ended) / 1000,
        end_reason="COMPLETED",
        turn_count=1,
        truncated=False,
        scores=step.scores,
        reasons={},
        judge_revision="older" if step.older else table.revision,
        judge_model="test",
    )
    entry_id = (await redis.xadd(KEYS.queue, {"d": b""})).decode()
    outcome = await windows.score(entry_id, DAY, record, table, log_id=f"{reference.now}-{number}")
    assert outcome.kind == "scored"
    assert outcome.in_window == reference.score(record, table)


async def _events(redis: Redis) -> list[GateEvent]:
    """The events of the last step, in the reference's order."""
    entries = await redis.xrange(KEYS.events)
    await redis.delete(KEYS.events)
    events = [msgspec.msgpack.decode(fields[b"d"], type=GateEvent) for _, fields in entries]
    return sorted(events, key=lambda event: (event.series, event.gate))
