"""The report of an experiment, as the controller wrote it."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluicegate.keys import Keys
from sluicegate_sidecar.errors import NoReport, RedisAway


class Reports:
    """Reads the reports of one agent."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def document(self, experiment: str) -> str:
        """The JSON document; NoReport if there is none."""
        try:
            document: bytes | None = await self._redis.hget(self._keys.reports, experiment)
        except (RedisError, OSError) as error:
            raise RedisAway(f"the report cannot be read: {error}") from error
        if document is None:
            raise NoReport(
                f"there is no report of {experiment[:256]!r}: is that its name, and is a controller at work? It writes "
                "one within seconds, and again after sessions were erased"
            )
        return document.decode()
