"""Snapshots and halts from Redis: a subscription for speed, a poll on another connection for certainty."""

import asyncio
import logging
import math
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluicegate.keys import Keys
from sluicegate.records import Notice
from sluicegate.snapshot import Snapshot, VersionedExperiment, VersionedPolicy
from sluicegate_sidecar.ending import ending
from sluicegate_sidecar.routing.in_force import InForce
from sluicegate_sidecar.routing.last_good import LastGood, Remembered

POLL_SECONDS = 0.5
KEPT_SECONDS = 60.0
"""How old the disk's note of when Redis was last heard may be: a sidecar that starts while it is away goes by that."""
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Waits after the first, second … failure in a row; the last one repeats."""

Hints = tuple[bytes | None, int, bytes | None]
"""The snapshot's count of writes, the number of halts, and the key for callers."""

UNREADABLE = (ValueError, RecursionError)
"""What msgspec raises for bytes that are not what they should be: ValueError for what is no UTF-8, too."""

log = logging.getLogger(__name__)


class RedisSource:
    """Keeps an `InForce` at what Redis says.

    A half-open connection loses messages without a word, so the poll looks for what the subscription should have
    told, and has the subscription rebuilt when it finds something.
    """

    def __init__(
        self, redis: Redis, keys: Keys, in_force: InForce, *, snapshots: bool, last_good: LastGood | None = None
    ) -> None:
        """`snapshots`: False where the snapshot comes from somewhere else, and only halts are followed.

        `last_good`: where the last good snapshot is kept, and started from.
        """
        self._redis = redis
        self._keys = keys
        self._in_force = in_force
        self._snapshots = snapshots
        self._policy = VersionedPolicy(version=0, policy=in_force.snapshot.policy)
        self._experiment = VersionedExperiment(version=0, experiment=None)
        self._hints: Hints | None = None
        self._subscription_late = asyncio.Event()
        self._last_good = last_good
        self._kept_at = -math.inf
        remembered = last_good.load() if last_good else None
        if remembered:
            self._start_from(remembered)

    def _start_from(self, remembered: Remembered) -> None:
        self._in_force.take_key(remembered.caller_key)
        self._in_force.halted.update(remembered.halted)
        if self._snapshots:
            self._policy, self._experiment = remembered.policy, remembered.experiment
            self._in_force.heard_at = self._in_force.clock.from_host(remembered.heard_at)
            self._put_in_force()

    async def follow(self) -> None:
        """Runs until cancelled. A failure is logged when Redis goes away, and tried again for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._forever("subscription", self._subscribe))
            tasks.create_task(self._forever("poll", self._poll))

    async def _forever(self, what: str, attempt: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while not ending():
            try:
                await attempt()
                failures = 0
            except (RedisError, OSError) as error:
                if failures == 0:
                    log.warning("redis %s failed (%s); going on with the last snapshot, trying again", what, error)
                wait = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                failures += 1
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))

    async def _subscribe(self) -> None:
        """One subscription, until it is late: everything is read again on each confirmation."""
        self._subscription_late.clear()
        async with self._redis.pubsub() as subscription:
            await subscription.subscribe(self._keys.notices)
            while not self._subscription_late.is_set() and not ending():
                message = await subscription.get_message(timeout=POLL_SECONDS)
                if message is None:
                    continue
                halt = _halt(message["data"]) if message["type"] == "message" else None
                if halt:
                    self._halt(halt)
                else:
                    await self.refresh()

    async def _poll(self) -> None:
        if await self._hinted() != self._hints:
            await self.refresh()
            self._subscription_late.set()
        elif self._in_force.clock.monotonic() - self._kept_at > KEPT_SECONDS:
            await self._keep()
        await asyncio.sleep(POLL_SECONDS)

    async def _hinted(self) -> Hints:
        """Cheap signs of news. Not versions: they go back when Redis loses data, and any change is news."""
        pipe, clock = self._redis.pipeline(transaction=False), self._in_force.clock
        pipe.hget(self._keys.snapshot, "revision").hlen(self._keys.halts).get(self._keys.caller_key).time()
        asked_at = clock.monotonic()
        revision, halts, caller_key, (seconds, micros) = await pipe.execute()
        clock.hear(seconds + micros / 1e6, asked_at, clock.monotonic())
        if self._snapshots:
            self._in_force.heard_at = clock.now()
        return revision, halts, caller_key

    async def refresh(self) -> None:
        """Reads everything once; what cannot be read is reported, and the last good one stays."""
        # No transaction: a full Redis 6.2 refuses whatever is in one, reads too. Nothing here needs it.
        pipe = self._redis.pipeline(transaction=False)
        pipe.get(self._keys.caller_key).hgetall(self._keys.snapshot).hkeys(self._keys.halts)
        caller_key, fields, halts = await pipe.execute()
        for series in halts:
            self._halt(series.decode())
        if self._snapshots:
            self._take(fields)
        # By itself and last: a full Redis refuses a write, and what is there is to be obeyed all the same.
        self._in_force.take_key(caller_key or await self._agree_on_caller_key())
        self._hints = (fields.get(b"revision"), len(halts), self._in_force.caller_key)
        await self._keep()

    async def _keep(self) -> None:
        """Puts on disk what a start without Redis needs."""
        self._kept_at = self._in_force.clock.monotonic()
        if self._last_good:
            await asyncio.to_thread(self._last_good.save, self._remembered())

    async def _agree_on_caller_key(self) -> bytes:
        """The key that all use from now on: ours, unless another was faster."""
        ours = self._in_force.caller_key or secrets.token_bytes(32)
        await self._redis.set(self._keys.caller_key, ours, nx=True)
        agreed: bytes = await self._redis.get(self._keys.caller_key) or ours
        return agreed

    def _halt(self, series: str) -> None:
        if series not in self._in_force.halted:
            log.warning("halted: %s gets no new sessions", series)
            self._in_force.halted.add(series)

    def _take(self, fields: Mapping[bytes, bytes]) -> None:
        try:
            policy = msgspec.msgpack.decode(fields[b"policy"], type=VersionedPolicy) if b"policy" in fields else None
            experiment = (
                msgspec.msgpack.decode(fields[b"experiment"], type=VersionedExperiment)
                if b"experiment" in fields
                else None
            )
        except UNREADABLE as error:
            log.error("the snapshot of %s cannot be read (%s); the last good one stays", self._keys.snapshot, error)
            return
        if policy and policy.version > self._policy.version:
            self._policy = policy
        if experiment and experiment.version > self._experiment.version:
            self._experiment = experiment
        if policy:
            self._put_in_force()

    def _put_in_force(self) -> None:
        self._in_force.replace(Snapshot(policy=self._policy.policy, experiment=self._experiment.experiment))

    def _remembered(self) -> Remembered:
        clock = self._in_force.clock
        return Remembered(
            policy=self._policy,
            experiment=self._experiment,
            halted=tuple(sorted(self._in_force.halted)),
            caller_key=self._in_force.caller_key,
            heard_at=clock.to_host(min(self._in_force.heard_at, clock.now())),
        )


def _halt(data: bytes) -> str:
    """The series that a notice halts; empty for a notice of a new snapshot, or one that cannot be read."""
    try:
        notice = msgspec.msgpack.decode(data, type=Notice)
    except UNREADABLE:
        return ""
    return notice.halt.series if notice.halt else ""
