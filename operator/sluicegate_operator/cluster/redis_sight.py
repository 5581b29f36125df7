"""What the operator sees of Redis as a whole: that it is there, that it lost everything, and whose scores are news.

One blocking read over the logs of all agents costs nothing while nothing happens. In a cluster, where their keys are on
different nodes, agents are looked at by time alone.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluicegate.keys import Keys
from sluicegate_operator.cluster.queue import AgentKey
from sluicegate_operator.errors import RedisAway

CHECK_SECONDS = 1.0
BLOCK_MS = 3_000
PAUSE_SECONDS = 0.5
"""Between two reads of the logs: a busy agent must not make a busy operator."""
OPERATOR = "sg1:{/operator}:"
"""A namespace has a name, so that this is no agent's."""
EPOCH, AGENTS = OPERATOR + "epoch", OPERATOR + "agents"

log = logging.getLogger(__name__)


class RedisSight:
    """One view of one Redis."""

    def __init__(self, redis: Redis, *, is_cluster: bool) -> None:
        self._redis = redis
        self._is_cluster = is_cluster
        self._epoch = b""
        self._answered_at = time.monotonic()
        self._remembered: set[AgentKey] = set()
        self._read_up_to: dict[str, bytes] = {}

    def away_seconds(self) -> float:
        """For how long Redis has not answered; up to a second or so while it does."""
        return time.monotonic() - self._answered_at

    async def remember(self, key: AgentKey) -> None:
        """Keeps the agent's name in Redis, so that a later operator finds what was deleted while it was not there."""
        if key in self._remembered:
            return
        try:
            await self._redis.sadd(AGENTS, f"{key.namespace}/{key.agent}")
        except (RedisError, OSError) as error:
            raise RedisAway(f"the agent cannot be remembered: {error}") from error
        self._remembered.add(key)

    async def forget(self, key: AgentKey) -> None:
        """There is nothing of the agent left to end."""
        try:
            await self._redis.srem(AGENTS, f"{key.namespace}/{key.agent}")
        except (RedisError, OSError) as error:
            raise RedisAway(f"the agent cannot be forgotten: {error}") from error
        self._remembered.discard(key)

    async def remembered(self) -> set[AgentKey]:
        """Every agent that an operator ever looked at."""
        try:
            names = await self._redis.smembers(AGENTS)
        except (RedisError, OSError) as error:
            raise RedisAway(f"the agents cannot be read: {error}") from error
        return {AgentKey(*name.decode().split("/", 1)) for name in names if b"/" in name}

    async def follow_epoch(self, lost: Callable[[], None]) -> None:
        """Until cancelled: calls `lost` whenever Redis is back, or is another one, or an empty one."""
        was_away = False
        while True:
            try:
                epoch = await self._agreed_epoch()
            except (RedisError, OSError) as error:
                log.debug("redis does not answer: %s", error)
                was_away = True
            else:
                self._answered_at = time.monotonic()
                if epoch != self._epoch or was_away:
                    if self._epoch and epoch != self._epoch:
                        log.warning("redis has lost its data: everything is published again")
                    self._epoch = epoch
                    self._remembered.clear()
                    lost()
                was_away = False
            await asyncio.sleep(CHECK_SECONDS)

    async def _agreed_epoch(self) -> bytes:
        epoch: bytes | None = await self._redis.get(EPOCH)
        if epoch is None:
            await self._redis.set(EPOCH, secrets.token_hex(8), nx=True)
            epoch = await self._redis.get(EPOCH)
        return epoch or b"none"

    async def follow_logs(self, agents: Callable[[], Iterable[AgentKey]], wake: Callable[[AgentKey], None]) -> None:
        """Until cancelled: calls `wake` for every agent with new scores or gate events."""
        while True:
            streams = {} if self._is_cluster else {name: key for key in agents() for name in _streams(key)}
            if not streams:
                await asyncio.sleep(CHECK_SECONDS)
                continue
            # What is new since now: an agent is looked at anyhow when it becomes known.
            self._read_up_to = {name: self._read_up_to.get(name, b"$") for name in streams}
            try:
                await self._fix_newest()
                answer = dict(await self._redis.xread(self._read_up_to, count=1, block=BLOCK_MS) or {})
                news = {name.decode() for name, entries in answer.items() if entries}
                # First where to read on from, then the look: what comes in between is not missed.
                self._read_up_to.update(dict.fromkeys(news, b"$"))
                await self._fix_newest()
            except (RedisError, OSError) as error:
                log.debug("the logs cannot be followed: %s", error)
                self._read_up_to.clear()
                await asyncio.sleep(CHECK_SECONDS)
                continue
            for key in {streams[name] for name in news}:
                wake(key)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _fix_newest(self) -> None:
        """Turns "from now on" into ids, so that nothing is missed between two reads."""
        unknown = [name for name, last in self._read_up_to.items() if last == b"$"]
        pipe = self._redis.pipeline(transaction=False)
        for name in unknown:
            pipe.xrevrange(name, count=1)
        for name, entries in zip(unknown, await pipe.execute() if unknown else [], strict=True):
            self._read_up_to[name] = entries[0][0] if entries else b"0-0"


def _streams(key: AgentKey) -> tuple[str, str]:
    keys = Keys(key.namespace, key.agent)
    return keys.log, keys.events
