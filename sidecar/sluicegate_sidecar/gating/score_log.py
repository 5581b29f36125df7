"""Scored sessions, read back from the score log."""

from dataclasses import dataclass

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluicegate.keys import Keys
from sluicegate.records import ScoreRecord
from sluicegate_sidecar.errors import InvalidRequest, RedisAway

SCAN_LIMIT = 1_000
"""Entries read for one page at most; where few of them match, the page is short and the next one goes on."""


@dataclass(frozen=True, slots=True)
class Page:
    """Scored sessions, newest first, each with the time of its score (Unix milliseconds)."""

    results: tuple[tuple[int, ScoreRecord], ...]
    next_token: str
    """Empty on the last page."""


class ScoreLog:
    """Reads the score log of one agent."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def page(self, experiment: str, size: int, token: str) -> Page:
        """Up to `size` results before `token`, of `experiment` or, if that is empty, of all."""
        if token and not _is_entry_id(token):
            raise InvalidRequest("page_token", f"{token[:40]!r} is not a token of an earlier page")
        limit = SCAN_LIMIT if experiment else size
        try:
            entries = await self._redis.xrevrange(self._keys.log, max=f"({token}" if token else "+", count=limit)
        except (RedisError, OSError) as error:
            raise RedisAway(f"the score log cannot be read: {error}") from error
        results: list[tuple[int, ScoreRecord]] = []
        for index, (entry_id, fields) in enumerate(entries, start=1):
            record = msgspec.msgpack.decode(fields[b"d"], type=ScoreRecord)
            if not experiment or record.experiment == experiment:
                results.append((int(entry_id.split(b"-")[0]), record))
            if len(results) == size:
                more = index < len(entries) or len(entries) == limit
                return Page(tuple(results), entry_id.decode() if more else "")
        return Page(tuple(results), entries[-1][0].decode() if len(entries) == limit else "")


def _is_entry_id(token: str) -> bool:
    halves = token.split("-")
    numbers = [int(half) for half in halves if half.isascii() and half.isdigit() and len(half) <= 20]
    return len(halves) == len(numbers) == 2 and 0 < max(numbers) < 2**64
