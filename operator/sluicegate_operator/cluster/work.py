"""The workers: they take agents off the queue and look at them, and look again, later each time, where that failed."""

import asyncio
import logging
import random
import time

from sluicegate_operator.cluster.desk import Desk
from sluicegate_operator.cluster.known import KnownResources
from sluicegate_operator.cluster.lease import Lease
from sluicegate_operator.cluster.queue import AgentKey, AgentQueue
from sluicegate_operator.cluster.redis_access import RedisAccess
from sluicegate_operator.cluster.redis_sight import RedisSight
from sluicegate_operator.errors import ApiAway, ControlError, Outrun, RedisAway

WORKERS = 8
LEAST_SECONDS = 1.0
"""Between two looks at one agent that its scores ask for."""
RETRY_SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Waits after the first, second … failure in a row; the last one repeats, for ever."""
STANDBY_SECONDS = 5.0
"""While another operator acts."""
SILENT_SECONDS = 10.0
"""Redis may be away for so long before statuses tell of it: a restart is no news."""

log = logging.getLogger(__name__)


class Work:
    """Everything that happens to agents."""

    def __init__(
        self,
        queue: AgentQueue,
        desk: Desk,
        known: KnownResources,
        lease: Lease,
        sight: RedisSight,
        access: RedisAccess | None,
    ) -> None:
        self._queue = queue
        self._desk = desk
        self._known = known
        self._lease = lease
        self._sight = sight
        self._access = access
        self._failures: dict[AgentKey, int] = {}
        self._looked_at: dict[AgentKey, float] = {}
        self.looks = 0
        self.beat = time.monotonic()
        """When the queue was last served."""

    def wake(self, key: AgentKey) -> None:
        """Something happened at the agent: looks soon, but not at every score of a busy one."""
        since = time.monotonic() - self._looked_at.get(key, 0.0)
        self._queue.add(key, max(0.0, LEAST_SECONDS - since))

    def wake_all(self) -> None:
        for key in self._known.agents():
            self._queue.add(key)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._forever())

    async def _forever(self) -> None:
        while True:
            key = await self._queue.take()
            self.beat = time.monotonic()
            try:
                self._queue.add(key, await self._look(key) if self._lease.is_held() else STANDBY_SECONDS)
            finally:
                self._queue.done(key)

    async def _look(self, key: AgentKey) -> float:
        """One look, and in how many seconds the next one is due."""
        self._looked_at[key] = time.monotonic()
        self.looks += 1
        try:
            if self._access:
                await self._access.ensure(key.namespace)
            await self._sight.remember(key)
            seconds = await self._desk.look(key)
            await self._forget_if_gone(key)
        except Outrun as error:
            log.info("%s/%s: %s; looking again", *key, error)
        except RedisAway as error:
            await self._tell_redis_away(key, error)
        except ControlError as error:
            log.log(self._level(key, error), "%s/%s: %s; trying again", *key, error)
        except Exception:
            log.exception("%s/%s: the look failed; trying again", *key)
        else:
            self._failures.pop(key, None)
            return seconds
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1] * random.uniform(0.7, 1.0)

    def _level(self, key: AgentKey, error: ControlError) -> int:
        """The first failure is told aloud, those that follow are not."""
        return logging.DEBUG if isinstance(error, ApiAway) and key in self._failures else logging.WARNING

    async def _tell_redis_away(self, key: AgentKey, error: RedisAway) -> None:
        log.log(logging.DEBUG if key in self._failures else logging.WARNING, "%s/%s: %s; trying again", *key, error)
        if self._sight.away_seconds() < SILENT_SECONDS:
            return
        message = "Redis does not answer: the ramp stands still, assignments go on, sessions are spooled"
        try:
            await self._desk.tell_unready(key, "RedisAway", message)
        except ControlError as refused:
            log.debug("%s/%s: the status could not say that Redis is away: %s", *key, refused)

    async def _forget_if_gone(self, key: AgentKey) -> None:
        """What no resource names any more was just ended; should one come back, it is news."""
        if not self._known.has(key):
            await self._sight.forget(key)
            self._desk.forget(key)
            self._looked_at.pop(key, None)
