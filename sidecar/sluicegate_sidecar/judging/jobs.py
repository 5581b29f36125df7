"""The judge's side of the stream: a consumer group, sessions claimed from dead workers, and the dead letters."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluicegate.keys import JUDGES, Keys
from sluicegate_sidecar.errors import RedisAway

TAKEN_OVER_AFTER_MS = 10_000
"""A session whose worker gave no sign for so long goes to another worker."""
BLOCK_MS = 1_000
MAX_REASON_CHARS = 1_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A session to judge, as it came off the stream."""

    entry_id: str
    payload: bytes
    deliveries: int
    """How often it was taken up, this time included."""


class Jobs:
    """Jobs of one worker. `consumer` is unique to its process, so that nobody else touches its pending jobs."""

    def __init__(self, redis: Redis, keys: Keys, consumer: str) -> None:
        self._redis = redis
        self._keys = keys
        self._consumer = consumer
        self._bury = redis.register_script(files(__package__).joinpath("bury.lua").read_text())
        self._keep = redis.register_script(files(__package__).joinpath("keep.lua").read_text())
        self._leave = redis.register_script(files(__package__).joinpath("leave.lua").read_text())

    async def take(self, count: int) -> list[Job]:
        """Up to `count` jobs, those of dead workers first; waits up to a second if there is none."""
        try:
            return await self._claim(count) or await self._read(count)
        except (RedisError, OSError) as error:
            if not str(error).startswith("NOGROUP"):
                raise RedisAway(f"no jobs from Redis: {error}") from error
        await self._create_group()
        return []

    async def _read(self, count: int) -> list[Job]:
        answer = await self._redis.xreadgroup(
            JUDGES, self._consumer, {self._keys.queue: ">"}, count=count, block=BLOCK_MS
        )
        entries: list[tuple[bytes, dict[bytes, bytes]]] = next(iter(dict(answer).values()), []) if answer else []
        return [Job(entry_id.decode(), fields.get(b"d", b""), 1) for entry_id, fields in entries]

    async def _create_group(self) -> None:
        try:
            await self._redis.xgroup_create(self._keys.queue, JUDGES, id="0", mkstream=True)
        except (RedisError, OSError) as error:
            if not str(error).startswith("BUSYGROUP"):
                raise RedisAway(f"no consumer group in Redis: {error}") from error

    async def _claim(self, count: int) -> list[Job]:
        """Jobs whose worker is silent. XPENDING first: it tells how often each was delivered."""
        waiting = await self._redis.xpending_range(
            self._keys.queue, JUDGES, min="-", max="+", count=count, idle=TAKEN_OVER_AFTER_MS
        )
        if not waiting:
            return []
        deliveries = {entry["message_id"]: entry["times_delivered"] + 1 for entry in waiting}
        entries = await self._redis.xclaim(
            self._keys.queue, JUDGES, self._consumer, TAKEN_OVER_AFTER_MS, list(deliveries)
        )
        return [
            Job(entry_id.decode(), fields.get(b"d", b""), deliveries[entry_id])
            for entry_id, fields in entries
            if fields
        ]

    async def keep(self, entry_ids: Sequence[str]) -> None:
        """A sign of life for jobs in hand, so that nobody takes them over. Never takes one that another has by now."""
        if not entry_ids:
            return
        try:
            await self._keep(keys=[self._keys.queue], args=[JUDGES, self._consumer, *entry_ids])
        except (RedisError, OSError) as error:
            raise RedisAway(f"Redis took no sign of life: {error}") from error

    async def bury(
        self,
        entry_id: str,
        session_id: str,
        recorded_day: str,
        reason: str,
        failed: bytes = b"",
        *,
        content: bool = True,
    ) -> None:
        """Sets a job aside among the dead letters, with the reason and, if it may stay, its content, atomically.

        `failed`: the packed FailedJudgement, for the comparison; empty for a session that cannot be read.
        """
        keys = [self._keys.queue, self._keys.dead, self._keys.seen(recorded_day)]
        try:
            await self._bury(
                keys=keys, args=[JUDGES, entry_id, session_id, _bounded(reason), recorded_day, int(content), failed]
            )
        except (RedisError, OSError) as error:
            raise RedisAway(f"Redis took no dead letter: {error}") from error

    async def leave(self) -> None:
        """Deletes this consumer if it has nothing pending; what it has, others will claim."""
        try:
            await self._leave(keys=[self._keys.queue], args=[JUDGES, self._consumer])
        except (RedisError, OSError) as error:
            log.warning("the consumer %s stays in the group: %s", self._consumer, error)


def _bounded(reason: str) -> bytes:
    """A reason may quote an endpoint, at any length, and with half a character in it."""
    return reason[:MAX_REASON_CHARS].encode(errors="replace")
