"""Reads the logs of scores and of failed judgements, from where the last reading ended."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluicegate.keys import Keys
from sluicegate.reading import series_gates
from sluicegate.records import FailedJudgement, GateEvent, Halt, ScoreRecord, SeriesGates
from sluicegate_operator.analysis.arrival import Arrival
from sluicegate_operator.errors import RedisAway

BATCH = 1_000

Entries = list[tuple[bytes, dict[bytes, bytes]]]


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the logs were read: the ids of the last entries, and Redis's clock then, in Unix seconds.

    Every entry that is read later has a time of at least `now`.
    """

    scores: bytes = b"0"
    failures: bytes = b"0"
    now: float = 0.0


class Scores:
    """One reader of an agent's scores, gates and gate events."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._last_event = b"$"

    async def since(self, after: Cursor = Cursor()) -> tuple[list[Arrival], Cursor]:
        """All entries after the cursor, oldest first, and the cursor to go on from."""
        arrivals: list[Arrival] = []
        while True:
            pipe = self._redis.pipeline(transaction=True)
            pipe.time()
            pipe.xrange(self._keys.log, min=b"(" + after.scores, count=BATCH)
            pipe.xrange(self._keys.dead, min=b"(" + after.failures, count=BATCH)
            try:
                (seconds, micros), scores, failures = await pipe.execute()
            except (RedisError, OSError) as error:
                raise RedisAway(f"the score log cannot be read: {error}") from error
            arrivals += _scored(scores)
            arrivals += _failed(failures)
            after = Cursor(
                scores=scores[-1][0] if scores else after.scores,
                failures=failures[-1][0] if failures else after.failures,
                now=max(after.now, seconds + micros // 1000 / 1000),
            )
            if len(scores) < BATCH and len(failures) < BATCH:
                return sorted(arrivals, key=_time), after

    async def gates(self) -> tuple[dict[str, SeriesGates], dict[str, Halt]]:
        """The gates and the halts, by series."""
        try:
            pipe = self._redis.pipeline().hgetall(self._keys.gates).hgetall(self._keys.sums)
            gates, sums, halts = await pipe.hgetall(self._keys.halts).execute()
        except (RedisError, OSError) as error:
            raise RedisAway(f"the gates cannot be read: {error}") from error
        return (
            series_gates(gates, sums),
            {series.decode(): msgspec.msgpack.decode(halt, type=Halt) for series, halt in halts.items()},
        )

    async def events(self, wait_seconds: float) -> list[GateEvent]:
        """Gate events since the last call, the first call's included from now on; waits for one if there is none."""
        try:
            if self._last_event == b"$":
                newest = await self._redis.xrevrange(self._keys.events, count=1)
                self._last_event = newest[0][0] if newest else b"0-0"
            answer = await self._redis.xread(
                {self._keys.events: self._last_event}, count=BATCH, block=max(1, int(wait_seconds * 1000))
            )
        except (RedisError, OSError) as error:
            raise RedisAway(f"gate events cannot be read: {error}") from error
        entries: Entries = next(iter(dict(answer).values()), []) if answer else []
        if entries:
            self._last_event = entries[-1][0]
        return [msgspec.msgpack.decode(fields[b"d"], type=GateEvent) for _, fields in entries]


def _time(arrival: Arrival) -> float:
    return arrival.at


def _at(entry_id: bytes) -> float:
    return int(entry_id.partition(b"-")[0]) / 1000


def _scored(entries: Entries) -> Iterator[Arrival]:
    for entry_id, fields in entries:
        yield Arrival(_at(entry_id), msgspec.msgpack.decode(fields[b"d"], type=ScoreRecord))


def _failed(entries: Entries) -> Iterator[Arrival]:
    """Dead letters that tell of an experiment; an unreadable session has nothing to tell."""
    for entry_id, fields in entries:
        if fields.get(b"failed"):
            yield Arrival(_at(entry_id), msgspec.msgpack.decode(fields[b"failed"], type=FailedJudgement))
