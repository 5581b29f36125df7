"""Keeps the last report of each experiment in Redis, where the sidecars serve it from."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluicegate.keys import Keys
from sluicegate_operator.errors import RedisAway

KEPT_SECONDS = 30 * 86_400
"""After the last report of the agent was written."""
MOST_REPORTS = 20
"""Of an agent; one more, and all but the new one go. Those that are still looked at are written again."""


class Reports:
    """The reports of one agent."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self.keys = keys

    async def put(self, experiment: str, document: bytes) -> None:
        """Writes the report of an experiment over the one before. RedisAway: it may or may not be written."""
        key = self.keys.reports
        try:
            if await self._redis.hlen(key) >= MOST_REPORTS and not await self._redis.hexists(key, experiment):
                await self._redis.delete(key)
            await self._redis.pipeline().hset(key, experiment, document).expire(key, KEPT_SECONDS).execute()
        except (RedisError, OSError) as error:
            raise RedisAway(f"the report of {experiment} cannot be written: {error}") from error

    async def get(self, experiment: str) -> bytes | None:
        """The report as it was written; None if there is none."""
        try:
            document: bytes | None = await self._redis.hget(self.keys.reports, experiment)
        except (RedisError, OSError) as error:
            raise RedisAway(f"the report of {experiment} cannot be read: {error}") from error
        return document

    async def has(self, experiment: str) -> bool:
        """Whether there is one. Redis may have lost it, and erasing a session deletes it."""
        try:
            return bool(await self._redis.hexists(self.keys.reports, experiment))
        except (RedisError, OSError) as error:
            raise RedisAway(f"the report of {experiment} cannot be looked for: {error}") from error
