"""What judging cost of late, read from the logs of scores and of dead letters, and the limit that it reached."""

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluicegate.keys import Keys
from sluicegate.policy import Budget
from sluicegate.records import Bill
from sluicegate.spending import DAY, Spending
from sluicegate_sidecar.errors import RedisAway

BATCH = 1_000


class Ledger:
    """The bills of one agent. Time is Redis's, which is that of the entries.

    A judgement in hand is not on the bill yet: a limit is overrun by what the workers have in hand as it is reached.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._logs = {keys.log: b"d", keys.dead: b"failed"}
        """Stream → the field of its entries that has the bill."""
        self._read_up_to: dict[str, bytes] = {}
        self._spending = Spending()

    async def reached(self, budget: Budget) -> str:
        """The limit of the budget that is reached, as a person reads it; empty if none is. RedisAway: unknown."""
        if budget == Budget():
            return ""
        try:
            now = await self._now()
            for stream, field in self._logs.items():
                await self._read(stream, field, now)
        except (RedisError, OSError) as error:
            raise RedisAway(f"what was spent cannot be read: {error}") from error
        return self._spending.exhausted(budget, now)

    async def _now(self) -> float:
        seconds, micros = await self._redis.time()
        return float(seconds + micros / 1_000_000)

    async def _read(self, stream: str, field: bytes, now: float) -> None:
        oldest = str(max(0, int((now - DAY) * 1000))).encode()
        while True:
            after = self._read_up_to.get(stream)
            start = b"(" + after if after else oldest
            entries = await self._redis.xrange(stream, min=start, count=BATCH)
            for entry_id, fields in entries:
                at = int(entry_id.partition(b"-")[0]) / 1000
                if fields.get(field):
                    self._spending.add(at, msgspec.msgpack.decode(fields[field], type=Bill))
                self._read_up_to[stream] = entry_id
            if len(entries) < BATCH:
                return
