"""Keeps operations: in Redis, or, while Redis is away, in the spool, and in Redis later and in the same order."""

import asyncio
import logging
import random
import time
from collections.abc import Callable

from sluicegate_sidecar.ending import ending
from sluicegate_sidecar.errors import InvalidRequest, QueueFull, RedisAway
from sluicegate_sidecar.sessions.operations import Append, Close, Operation, decode, encode
from sluicegate_sidecar.sessions.spool import Spool
from sluicegate_sidecar.sessions.stream import Kept, SessionStream

REDIS_SECONDS = 1.0
"""How long an agent waits for Redis before the spool takes its session: less than its own deadline, one hopes."""
RETRY_SECONDS = 0.5
LOOK_SECONDS = 0.2

log = logging.getLogger(__name__)


class Keeper:
    """The one way in which a session is kept."""

    def __init__(self, stream: SessionStream, spool: Spool | None, clock: Callable[[], float] = time.time) -> None:
        """`spool`: None where there is no disk to keep one on; then nothing is taken while Redis is away."""
        self._stream = stream
        self._spool = spool
        self._clock = clock

    async def keep(self, operation: Operation, now: float) -> Kept:
        """Acknowledges an operation. RedisAway, QueueFull or SpoolFull: nothing was kept."""
        if self._spool is None:
            return await self._stream.apply(operation, now)
        if not len(self._spool):
            try:
                async with asyncio.timeout(REDIS_SECONDS):
                    return await self._stream.apply(operation, now)
            except (RedisAway, TimeoutError) as error:
                log.warning("Redis is away (%s); sessions go to the spool", error)
        await self._spool.put(encode(operation))
        return _spooled(operation)

    @property
    def spooled(self) -> int:
        """Operations that are on disk and not in Redis yet."""
        return len(self._spool) if self._spool else 0

    async def drain(self) -> None:
        """Moves the spool to Redis, whenever there is something in it. Runs until cancelled."""
        while not ending():
            if not self.spooled:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            try:
                await self._drain_head()
            except (RedisAway, QueueFull) as error:
                log.warning("%s; %d operations wait in the spool", error, self.spooled)
                await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.5))

    async def drain_within(self, seconds: float) -> int:
        """At the end: drains what so many seconds allow; how many operations are left for the next start."""
        try:
            async with asyncio.timeout(seconds):
                while self.spooled:
                    await self._drain_head()
        except (TimeoutError, RedisAway, QueueFull) as error:
            log.warning("the spool is not drained: %d operations wait for the next start (%s)", self.spooled, error)
        return self.spooled

    async def _drain_head(self) -> None:
        assert self._spool is not None
        for packed in await self._spool.head():
            try:
                await self._stream.apply(decode(packed), self._clock(), gaps=True)
            except (InvalidRequest, ValueError) as error:
                # Acknowledged, and yet impossible: told, never silent.
                log.error("an operation from the spool cannot be kept: %s", error)
        await self._spool.forget_head()


def _spooled(operation: Operation) -> Kept:
    """What is told of an operation that Redis has not seen: that it is kept; whether it is a duplicate shows later."""
    match operation:
        case Append():
            return Kept("accepted", operation.sampled, sequence=operation.sequence + len(operation.items) - 1)
        case Close():
            return Kept("accepted", sampled=False, sequence=operation.sequence, closed=True)
        case _:
            return Kept("accepted", operation.sampled, closed=True)
