"""Sends bytes to every RPC of a running sidecar, several calls in flight, and counts what comes back."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from mutation import RPCS, Rpc, message, stream
from redis.asyncio import Redis

from sluicegate.keys import Keys

CALL_SECONDS = 20.0
"""A call that takes longer hangs."""
SAMPLES = 5
PROPER = frozenset(
    code.name
    for code in (
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
    )
)


@dataclass(slots=True)
class Tally:
    """What came back."""

    statuses: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of each call; of a stream, for each of its answers."""
    improper: list[str] = field(default_factory=list)
    """The first calls with a status that the protocol does not promise, each with the bytes that it takes."""
    away: list[str] = field(default_factory=list)
    """The first calls that were told that Redis is away."""

    @property
    def answered(self) -> int:
        return sum(counts.total() for counts in self.statuses.values())

    @property
    def failures(self) -> int:
        return sum(count for counts in self.statuses.values() for name, count in counts.items() if name not in PROPER)

    def p99(self, rpc: str) -> float:
        """Seconds."""
        ordered = sorted(self.seconds[rpc])
        return ordered[int(len(ordered) * 0.99)] if ordered else 0.0

    def add(self, rpc: Rpc, status: str, took: float, told: str, sent: list[bytes]) -> None:
        self.statuses[rpc.name][status] += 1
        self.seconds[rpc.name].append(took)
        samples = self.away if status == "UNAVAILABLE" else self.improper
        if (status == "UNAVAILABLE" or status not in PROPER) and len(samples) < SAMPLES:
            samples.append(f"{rpc.name} {status} {told[:300]!r}: {' '.join(one.hex() for one in sent)[:2_000]}")


async def fuzz(target: str, seed: int, tally: Tally, goes_on: Callable[[], bool], in_flight: int = 16) -> None:
    """Sends messages for as long as `goes_on`; the same seed sends the same ones, in each of its `in_flight` rows."""
    async with grpc.aio.insecure_channel(target) as channel, asyncio.TaskGroup() as group:
        for row in range(in_flight):
            group.create_task(_row(channel, random.Random(f"{seed}/{row}"), tally, goes_on))


async def _row(channel: grpc.aio.Channel, rng: random.Random, tally: Tally, goes_on: Callable[[], bool]) -> None:
    while goes_on():
        rpc = rng.choice(RPCS)
        if rpc.streams:
            await _streamed(channel, rpc, stream(rpc, rng), tally)
        else:
            await _called(channel, rpc, message(rpc, rng), tally)


async def _called(channel: grpc.aio.Channel, rpc: Rpc, sent: bytes, tally: Tally) -> None:
    began = time.perf_counter()
    try:
        call: Any = channel.unary_unary(rpc.path)
        await call(sent, timeout=CALL_SECONDS)
        status, told = "OK", ""
    except grpc.aio.AioRpcError as error:
        status, told = error.code().name, error.details() or ""
    tally.add(rpc, status, time.perf_counter() - began, told, [sent])


async def _streamed(channel: grpc.aio.Channel, rpc: Rpc, sent: list[bytes], tally: Tally) -> None:
    """Each event waits for the answer to the one before it; those after a refusal are not sent, and not counted.

    To write on a stream that is being refused makes this client, not the sidecar, say INTERNAL.
    """
    call: Any = channel.stream_stream(rpc.path)(timeout=CALL_SECONDS)
    began = time.perf_counter()
    try:
        for event in sent:
            began = time.perf_counter()
            await call.write(event)
            if await call.read() is grpc.aio.EOF:
                tally.add(rpc, "ENDED", time.perf_counter() - began, "no answer to an event", sent)
                return
            tally.add(rpc, "OK", time.perf_counter() - began, "", sent)
        await call.done_writing()
        await call.code()
    except grpc.aio.AioRpcError as error:
        tally.add(rpc, error.code().name, time.perf_counter() - began, error.details() or "", sent)
    except asyncio.InvalidStateError as error:
        tally.add(rpc, "BROKEN", time.perf_counter() - began, str(error), sent)


async def empty_of_sessions(redis: Redis, keys: Keys) -> None:
    """Removes everything that was captured, so that its limits are not all that is met; the caller key stays."""
    of_sessions = [keys.queue, keys.open, keys.late, keys.feedback, keys.account]
    opened = [keys.open_session(packed.decode()) for packed in await redis.zrange(keys.open, 0, -1)]
    today = keys.seen(datetime.now(UTC).date().isoformat())
    await redis.unlink(*of_sessions, *opened, today)
