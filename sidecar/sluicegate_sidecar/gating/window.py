"""The score script seen from Python: one call scores a session, once, whatever was called before."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from sluicegate.keys import Keys
from sluicegate.reading import series_gates
from sluicegate.records import Halt, ScoreRecord, SeriesGates
from sluicegate.snapshot import GateTable, pack, pack_table
from sluicegate_sidecar.errors import RedisAway, ScoreRefused

PARTS = ("call", "window", "gates", "score")
"""Of the score script, in the order of their names for each other."""
SERVER_CLOCK = "*"
REFUSED = "REFUSED "
"""What the script's own error replies start with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a score.

    scored: it is in the log now. duplicate: it was in the log already. gone: the session no longer waits, somebody
    else scored it or set it aside. All three are final; none is an error.
    """

    kind: Literal["scored", "duplicate", "gone"]
    log_id: str = ""
    """The entry of the score log; empty if the session is gone. Its milliseconds are the time of the score."""
    in_window: bool = False
    """False also for a score that came after its window, or of a judge revision that is no longer in force."""


def script() -> str:
    """The source of the score script. Within a function Lua makes the others faster than at the top of a script."""
    call, *parts = (files(__package__).joinpath(f"{part}.lua").read_text() for part in PARTS)
    return "\n".join([call, "local function run()", *parts, "end", "return run()"])


class Windows:
    """The sliding windows of one agent, and the gates and halts that rest on them.

    Any number of calls may be in flight at once. `redis` must not decode responses.
    """

    def __init__(self, redis: Redis, keys: Keys, group: str) -> None:
        """`group`: the consumer group of the queue in which scored sessions are acknowledged."""
        self._redis = redis
        self._keys = keys
        self._group = group
        self._script = redis.register_script(script())

    async def score(
        self, entry_id: str, recorded_day: str, record: ScoreRecord, table: GateTable, *, log_id: str = SERVER_CLOCK
    ) -> Outcome:
        """Logs, counts and acknowledges a score in one atomic step. Safe to call again after any failure.

        `entry_id`: the session's entry in the queue. `recorded_day`: the UTC day of its recording, YYYY-MM-DD.
        `table`: used until the control plane has written one. `log_id`: a replay gives the entry's own.
        ScoreRefused: the record is invalid, and always will be. RedisAway: it may or may not be scored; call again.
        """
        packed = pack(record)
        try:
            # The log is read as ScoreRecords: a 4.0 or a True would be a score to Lua, and break every reader.
            msgspec.msgpack.decode(packed, type=ScoreRecord)
        except msgspec.ValidationError as error:
            raise ScoreRefused(f"session {record.session_id}: {error}") from error
        answer = await self._run(
            "score", table, log_id, [self._keys.seen(recorded_day)], [self._group, entry_id, packed]
        )
        match answer:
            case [b"scored", bytes(written), counted]:
                return Outcome(kind="scored", log_id=written.decode(), in_window=counted == 1)
            case [b"duplicate", bytes(written)]:
                return Outcome(kind="duplicate", log_id=written.decode())
            case _:
                return Outcome(kind="gone")

    async def tick(self, table: GateTable, *, log_id: str = SERVER_CLOCK) -> None:
        """Moves the window on where no scores come. Does nothing if another table than `table` is in force."""
        await self._run("tick", table, log_id, [], [])

    async def readings(self) -> dict[str, SeriesGates]:
        """Series → its gates, as of its last score or tick."""
        try:
            gates, sums = await self._redis.pipeline().hgetall(self._keys.gates).hgetall(self._keys.sums).execute()
        except (RedisError, OSError) as error:
            raise RedisAway(f"Redis did not give {self._keys.gates}: {error}") from error
        return series_gates(gates, sums)

    async def halts(self) -> dict[str, Halt]:
        """Series → why it is shut out."""
        try:
            fields = cast(dict[bytes, bytes], await self._redis.hgetall(self._keys.halts))
        except (RedisError, OSError) as error:
            raise RedisAway(f"Redis did not give {self._keys.halts}: {error}") from error
        return {series.decode(): msgspec.msgpack.decode(packed, type=Halt) for series, packed in fields.items()}

    async def _run(
        self, mode: str, table: GateTable, log_id: str, more_keys: list[str], more_args: list[str | bytes]
    ) -> list[bytes | int]:
        at = self._keys
        window = at.window(table.revision, table.window_seconds)
        keys = [at.queue, at.log, at.events, at.gates, at.sums, at.halts, at.snapshot, window, *more_keys]
        try:
            answer: list[bytes | int] = await self._script(
                keys=keys, args=[mode, log_id, at.notices, pack_table(table), *more_args]
            )
        except ResponseError as error:
            if str(error).startswith(REFUSED):
                raise ScoreRefused(f"the score script refused {str(error).removeprefix(REFUSED)}") from error
            raise RedisAway(f"Redis ran no score script on {at.log}: {error}") from error
        except (RedisError, OSError) as error:
            raise RedisAway(f"no answer from Redis to a {mode} on {at.log}: {error}") from error
        return answer
