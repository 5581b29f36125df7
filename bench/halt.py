"""From the breaking score to everybody obeying: 20 sidecars and 200 plain subscribers, and no controller.

A sidecar obeys when it logs that it does, which it does in the same step; its log has milliseconds, so that one is
added. Afterwards each is asked for an assignment, and has to answer HALTED. A plain subscriber obeys when the halt is
in its hands: in a message, or, after it had to connect again, in what it then reads.

    python bench/halt.py
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from redis.asyncio import Redis

import workload
from figures import Figure, milliseconds, percentile, report
from load import ASSIGN, caller_of
from parts import Part, connected, data_plane, sidecar, valkey
from silence import Silence, silence_before
from sluicegate.keys import JUDGES, series
from sluicegate.records import ScoreRecord
from sluicegate.revision import judge_revision
from sluicegate.snapshot import gate_table
from sluicegate.v1 import assignment_pb2
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_sidecar.gating.window import Windows

SIDECARS, SUBSCRIBERS = 20, 200
ROUNDS, SILENT_ROUNDS = 10, 3
WAIT_SECONDS = 20.0
FLOOR_CHANNEL = "floor"
KEYS, POLICY = workload.KEYS, workload.POLICY
TREATMENT = workload.experiment().treatment.name

Sidecar = tuple[Part, str]


@dataclass(slots=True)
class Delays:
    """Seconds from the breaking score to obedience, over all rounds."""

    sidecars: list[float] = field(default_factory=list)
    subscribers: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    """From a plain PUBLISH of as many bytes to the same subscribers."""


class Subscribers:
    """Plain subscribers, each with a connection of its own, that look for one series."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._series = ""
        self._heard: dict[int, float] = {}
        self.ready = 0

    def look_for(self, series_name: str) -> None:
        self._series, self._heard = series_name, {}

    async def all_heard(self) -> list[float]:
        """When each heard of the series, once all have."""
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self._heard) < SUBSCRIBERS:  # noqa: ASYNC110 – what is measured sets no event
                await asyncio.sleep(0.005)
        return list(self._heard.values())

    async def subscribe(self, number: int) -> None:
        """Runs until cancelled; connects again at once, and then reads the halt that it may have missed."""
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(*self._address)
                # The third version of the protocol takes commands on a connection that has subscribed.
                asked = ("HELLO", "3"), ("SUBSCRIBE", KEYS.notices, FLOOR_CHANNEL), ("HGET", KEYS.halts, self._series)
                writer.write(b"".join(packed(*command) for command in asked))
                while told := await reader.read(65_536):
                    self._take(number, told)
                writer.close()

    def _take(self, number: int, told: bytes) -> None:
        """The name of the series is in a notice of its halt as it is in the halt that was read."""
        self.ready += b"$9\r\nsubscribe\r\n$5\r\nfloor\r\n" in told
        if self._series and self._series.encode() in told:
            self._heard.setdefault(number, time.time())


def packed(*command: str) -> bytes:
    """A command as Redis reads it."""
    return b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%b\r\n" % (len(w.encode()), w.encode()) for w in command)


class Breaking:
    """Brings one run after another to the point where one more score halts it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._windows = Windows(redis, KEYS, JUDGES)
        self._run = 1
        self._scored = 0

    @property
    def series(self) -> str:
        return series("shorter-greeting", str(self._run), TREATMENT)

    async def next_run(self, sidecars: Sequence[Sidecar]) -> None:
        """Puts a new run in force, waits until every sidecar has it, and scores all but the last session of it."""
        self._run += 1
        await Delivery(self._redis, KEYS).put_experiment(
            workload.experiment(str(self._run), weight=1.0), None, self._run - 1, self._run
        )
        await everywhere(sidecars, lambda told: told.run_id == str(self._run), f"run-{self._run}")
        for _ in range(POLICY.window.min_sessions):
            await self.score(workload.experiment().control.name, 5)
        for _ in range(POLICY.window.min_sessions - 1):
            await self.score(TREATMENT, 1)

    async def score(self, variant: str, score: int) -> None:
        self._scored += 1
        entry: bytes = await self._redis.xadd(KEYS.queue, {"d": b""})
        now = time.time()
        record = ScoreRecord(
            session_id=f"session-{self._scored}",
            caller_hash="0" * 32,
            experiment="shorter-greeting",
            run_id=str(self._run),
            variant=variant,
            control=workload.experiment().control.name,
            reason="SPLIT",
            weight=1.0,
            sampling_rate=1.0,
            assigned_at=now,
            ended_at=now,
            end_reason="COMPLETED",
            turn_count=4,
            truncated=False,
            scores={rubric.name: score for rubric in POLICY.rubrics},
            reasons={},
            judge_revision=judge_revision(POLICY),
            judge_model="none",
        )
        await self._windows.score(entry.decode(), "2026-01-01", record, gate_table(POLICY))


async def everywhere(
    sidecars: Sequence[Sidecar], holds: Callable[[assignment_pb2.Assignment], bool], label: str
) -> None:
    """Waits until every sidecar gives a new session an assignment for which `holds` is true."""

    async def one(target: str) -> None:
        async with caller_of(target, ASSIGN) as call, asyncio.timeout(WAIT_SECONDS):
            attempt = 0
            while True:
                attempt += 1
                request = assignment_pb2.AssignRequest(session_id=f"{label}-{attempt}", caller_id="+1555")
                answer = assignment_pb2.AssignResponse.FromString(await call(request.SerializeToString()))
                if answer.assignments and holds(answer.assignments[0]):
                    return
                await asyncio.sleep(0.05)

    await asyncio.gather(*(one(target) for _, target in sidecars))


async def one_round(
    breaking: Breaking,
    sidecars: Sequence[Sidecar],
    subscribers: Subscribers,
    delays: Delays,
    before: Callable[[], Awaitable[object]],
) -> None:
    """One halt. `before`: what happens just before the breaking score."""
    await breaking.next_run(sidecars)
    logged = [len(part.log) for part, _ in sidecars]
    subscribers.look_for(breaking.series)
    await before()
    began = time.time()
    await breaking.score(TREATMENT, 1)
    obeyed = [
        await part.logs(rf"^(\S+ \S+) WARNING .*halted: {breaking.series} ", since)
        for (part, _), since in zip(sidecars, logged, strict=True)
    ]
    delays.sidecars += [logged_at(match[1]) + 0.001 - began for match in obeyed]
    delays.subscribers += [at - began for at in await subscribers.all_heard()]
    await everywhere(
        sidecars, lambda told: told.reason == assignment_pb2.ASSIGNMENT_REASON_HALTED, f"halted-{breaking.series}"
    )


def logged_at(stamp: str) -> float:
    """The Unix time of a log line's first two words."""
    return datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f").timestamp()


async def floor(redis: Redis, subscribers: Subscribers) -> list[float]:
    """Seconds from a plain PUBLISH to each subscriber, while the sidecars have nothing to do."""
    marker = f"floor-{time.time()}"
    subscribers.look_for(marker)
    began = time.time()
    await redis.publish(FLOOR_CHANNEL, marker.ljust(200))
    return [at - began for at in await subscribers.all_heard()]


@asynccontextmanager
async def subscribed(host: str, port: int) -> AsyncIterator[Subscribers]:
    subscribers = Subscribers(host, port)
    tasks = [asyncio.create_task(subscribers.subscribe(number)) for number in range(SUBSCRIBERS)]
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while subscribers.ready < SUBSCRIBERS:  # noqa: ASYNC110 – what is measured sets no event
                await asyncio.sleep(0.01)
        yield subscribers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def sidecars_on(url: str) -> AsyncIterator[list[Sidecar]]:
    async with AsyncExitStack() as stack:
        yield list(
            await asyncio.gather(*(stack.enter_async_context(sidecar(data_plane(url))) for _ in range(SIDECARS)))
        )


async def measure() -> None:
    connected_delays, dropped, silent = Delays(), Delays(), Delays()

    async def nothing() -> None:
        """They stay connected."""

    async def drop() -> None:
        await redis.execute_command("CLIENT KILL TYPE pubsub")

    async with AsyncExitStack() as stack:
        server = stack.enter_context(valkey())
        redis = await stack.enter_async_context(connected(server))
        await workload.deliver(redis)
        breaking = Breaking(redis)
        subscribers = await stack.enter_async_context(subscribed(server.host, server.port))
        async with sidecars_on(server.connection_url) as sidecars:
            await floor(redis, subscribers)  # Warms up.
            for _ in range(ROUNDS):
                connected_delays.floor += await floor(redis, subscribers)
                await one_round(breaking, sidecars, subscribers, connected_delays, nothing)
                await one_round(
                    breaking, sidecars, subscribers, dropped, lambda: redis.execute_command("CLIENT KILL TYPE pubsub")
                )
        way, url = await stack.enter_async_context(silence_before(server.host, server.port))
        async with sidecars_on(url) as sidecars:
            await silent_rounds(breaking, sidecars, subscribers, silent, way)
    report(
        f"{SIDECARS} sidecar processes with the judge off, {SUBSCRIBERS} plain subscribers, no controller, append-only "
        f"file; {ROUNDS} halts connected, {ROUNDS} dropped, {SILENT_ROUNDS} half-open",
        "a plain PUBLISH of as many bytes to the same subscribers, in the same rounds",
        told(connected_delays, dropped, silent),
    )


async def silent_rounds(
    breaking: Breaking, sidecars: Sequence[Sidecar], subscribers: Subscribers, delays: Delays, way: Silence
) -> None:
    """Halts that come when every sidecar's subscription has been silenced. Plain subscribers, which look at nothing
    else, go another way and stay connected."""
    silenced: list[int] = []

    async def fall_silent() -> None:
        silenced.append(way.fall())

    for _ in range(SILENT_ROUNDS):
        await one_round(breaking, sidecars, subscribers, delays, fall_silent)
    if min(silenced) < SIDECARS:
        print(f"note: of {SIDECARS} subscriptions only {min(silenced)} were silenced in a round")


def told(connected_delays: Delays, dropped: Delays, silent: Delays) -> list[Figure]:
    least = percentile(connected_delays.floor, 0.99)
    rows = (
        ("connected: sidecars", connected_delays.sidecars, 30.0),
        ("connected: subscribers", connected_delays.subscribers, 30.0),
        ("dropped just before: sidecars", dropped.sidecars, 100.0),
        ("dropped just before: subscribers", dropped.subscribers, 100.0),
        ("half-open: sidecars", silent.sidecars, 2_000.0),
    )
    return [
        Figure(
            what=f"p99, {what}",
            measured=f"{milliseconds(percentile(delays, 0.99))} (median {milliseconds(percentile(delays, 0.5))})",
            floor=milliseconds(least),
            figure=percentile(delays, 0.99) * 1000,
            unit="ms",
            at_most=target,
        )
        for what, delays, target in rows
    ]


def main() -> None:
    asyncio.run(measure())


if __name__ == "__main__":
    main()
