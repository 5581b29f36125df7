"""Reads the logs of scores and of failed judgements, from where the last reading ended."""

from collections.abc import Iterator, Sequence
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
    height: int = 0
    """Scores in the log, of whichever run, and sessions erased so far: falls only where Redis lost some."""
    erased: int = 0
    """Sessions erased so far."""


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
            pipe.xlen(self._keys.log).hget(self._keys.account, "erased")
            try:
                (seconds, micros), scores, failures, length, erased = await pipe.execute()
            except (RedisError, OSError) as error:
                raise RedisAway(f"the score log cannot be read: {error}") from error
            arrivals += _scored(scores)
            arrivals += _failed(failures)
            after = Cursor(
                scores=scores[-1][0] if scores else after.scores,
                failures=failures[-1][0] if failures else after.failures,
                now=max(after.now, seconds + micros // 1000 / 1000),
                height=length + int(erased or 0),
                erased=int(erased or 0),
            )
            if len(scores) < BATCH and len(failures) < BATCH:
                return sorted(arrivals, key=_time), after

    async def entries(self, ids: Sequence[str]) -> dict[str, ScoreRecord]:
        """Those of the score log's entries that are still there: an erased session is not."""
        pipe = self._redis.pipeline(transaction=False)
        for entry in ids:
            pipe.xrange(self._keys.log, min=entry, max=entry)
        try:
            answers: list[Entries] = await pipe.execute()
        except (RedisError, OSError) as error:
            raise RedisAway(f"the score log cannot be read: {error}") from error
        found = [entry for answer in answers for entry in answer]
        return {entry.decode(): msgspec.msgpack.decode(fields[b"d"], type=ScoreRecord) for entry, fields in found}

    async def waiting(self) -> int:
        """Sessions that wait for the judge, of whichever run."""
        try:
            return int(await self._redis.xlen(self._keys.queue))
        except (RedisError, OSError) as error:
            raise RedisAway(f"the queue cannot be read: {error}") from error

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
        yield Arrival(_at(entry_id), msgspec.msgpack.decode(fields[b"d"], type=ScoreRecord), entry_id.decode())


def _failed(entries: Entries) -> Iterator[Arrival]:
    """Dead letters that tell of an experiment; an unreadable session has nothing to tell."""
    for entry_id, fields in entries:
        if fields.get(b"failed"):
            record = msgspec.msgpack.decode(fields[b"failed"], type=FailedJudgement)
            yield Arrival(_at(entry_id), record, entry_id.decode())
