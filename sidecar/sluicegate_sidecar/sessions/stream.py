"""Sessions in Redis: open ones item by item, whole ones on the stream to the judge. Here they are acknowledged."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, Literal

import msgspec
import zstandard
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from sluicegate.keys import Keys
from sluicegate_sidecar.errors import OutOfOrder, QueueFull, RedisAway, TooLarge
from sluicegate_sidecar.limits import Limits
from sluicegate_sidecar.sessions.operations import Append, Close, Operation, Record
from sluicegate_sidecar.sessions.session import CapturedSession, Item

MOST_LATE = 10_000
REMEMBER_SECONDS = 8 * 24 * 3600
"""How long a session id is known as a duplicate, at least: looked for on three days, kept for as long as a
session may wait for its judge."""
SCRIPTS = {"record": ("finish", "record"), "append": ("append",), "close": ("finish", "close")}
"""Each with its parts, in their order."""
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
_COMPRESSOR = zstandard.ZstdCompressor(level=3)
"""To make one for each session would cost as much as to use it. For one thread: that of the event loop."""
CLOSE_ATTEMPTS = 5
"""Readings of an open session that others write to while it is being closed."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of what was told to us."""

    outcome: Literal["accepted", "duplicate", "late"]
    sampled: bool
    sequence: int = 0
    """Of the last item that is kept, for an open session."""
    closed: bool = False


class SessionStream:
    """Applies operations to Redis, each once however often it is called."""

    def __init__(self, redis: Redis, keys: Keys, limits: Limits = Limits()) -> None:
        self._redis = redis
        self._keys = keys
        self._limits = limits
        self._scripts = {name: _script(redis, *parts) for name, parts in SCRIPTS.items()}

    async def apply(self, operation: Operation, now: float, *, gaps: bool = False) -> Kept:
        """Acknowledges an operation. Raises RedisAway or QueueFull, and then nothing was kept.

        `gaps`: take items although earlier ones are missing; for what was acknowledged before, and lost since.
        """
        match operation:
            case Record():
                return await self.record(operation.session, sampled=operation.sampled)
            case Append():
                return await self._append(operation, gaps=gaps)
            case Close():
                return await self._close(operation, now)

    async def record(self, session: CapturedSession, *, sampled: bool) -> Kept:
        """A whole session, once."""
        keys = [
            *self._seen(session.recorded_day),
            *(self._keys.queue, self._keys.account, self._keys.open, self._keys.open_session(session.session_id)),
        ]
        payload = encode(session) if sampled else b""
        answer = await self._call(
            "record", keys, [session.session_id, payload, self._limits.waiting_sessions, REMEMBER_SECONDS]
        )
        match answer.decode():
            case "accepted":
                return Kept("accepted", sampled, closed=True)
            case "full":
                raise self._queue_full()
            case duplicate:
                return Kept("duplicate", duplicate == "duplicate-sampled", closed=True)

    async def _append(self, operation: Append, *, gaps: bool) -> Kept:
        session = operation.session
        keys = [
            *self._seen(_day(operation.at)),
            *(self._keys.account, self._keys.open, self._keys.open_session(session.session_id), self._keys.late),
        ]
        limits = [self._limits.open_sessions, self._limits.session_items, self._limits.session_bytes, MOST_LATE]
        start = [session.session_id, msgspec.msgpack.encode(session)]
        items = [msgspec.msgpack.encode(item) for item in operation.items]
        flags = [int(operation.sampled), int(gaps)]
        answer = await self._call("append", keys, [*start, *flags, *limits, operation.sequence, *items])
        match answer:
            case [b"kept", int(last), int(sampled)]:
                return Kept("accepted", bool(sampled), sequence=last)
            case [b"closed", int(sampled)]:
                return Kept("late" if items else "duplicate", bool(sampled), closed=True)
            case [b"gap", int(last)]:
                raise OutOfOrder("sequence", f"{operation.sequence}, but the last item that is kept is {last}")
            case [b"full"]:
                raise QueueFull(f"{self._limits.open_sessions} sessions are open already; are they ever ended?")
            case _:
                limit = f"{self._limits.session_items} items and {self._limits.session_bytes} bytes"
                raise TooLarge("item", f"the session is over its limit of {limit}")

    async def _close(self, operation: Close, now: float) -> Kept:
        """Reads the session and closes it as it was read; once more if somebody wrote to it meanwhile."""
        for _ in range(CLOSE_ATTEMPTS):
            opened = await self.open_session(operation.session_id)
            if opened is None:
                return Kept("duplicate", sampled=False, closed=True)
            if operation.sequence > opened.sequence:
                raise OutOfOrder("sequence", f"the end has {operation.sequence + 1}, the last item {opened.sequence}")
            if 0 <= operation.sequence < opened.sequence:
                # Its number is an item's: it was told before that item, and came late. The session went on.
                return Kept("duplicate", opened.sampled, sequence=opened.sequence)
            session = replace(
                opened.session, end_reason=operation.end_reason, ended_at=operation.ended_at, recorded_day=_day(now)
            )
            answer = await self._close_as_read(operation, session, opened)
            if answer == "full":
                raise self._queue_full()
            if answer != "moved":
                return Kept("accepted", opened.sampled, sequence=opened.sequence, closed=answer != "active")
        raise RedisAway(f"session {operation.session_id} is written to faster than it can be closed")

    async def _close_as_read(self, operation: Close, session: CapturedSession, opened: "OpenSession") -> str:
        session_id = operation.session_id
        keys = [self._keys.seen(session.recorded_day), self._keys.queue, self._keys.account]
        keys += [self._keys.open, self._keys.open_session(session_id)]
        payload = encode(session) if opened.sampled and session.items else b""
        idle_since = int(operation.idle_since * 1000) if operation.idle_since else ""
        answer: bytes = await self._call(
            "close",
            keys,
            [session_id, opened.last_entry, payload, self._limits.waiting_sessions, REMEMBER_SECONDS, idle_since],
        )
        return answer.decode()

    async def open_session(self, session_id: str) -> "OpenSession | None":
        """An open session with all its items; None if it is not open."""
        entries = await _answer(self._redis.xrange(self._keys.open_session(session_id)))
        if not entries:
            return None
        (_, start), *rest = entries
        items = tuple(msgspec.msgpack.decode(fields[b"d"], type=Item) for _, fields in rest)
        session = msgspec.msgpack.decode(start[b"d"], type=CapturedSession)
        last_entry: bytes = entries[-1][0]
        return OpenSession(replace(session, items=items), start[b"sampled"] == b"1", last_entry)

    async def time(self) -> float:
        """Unix seconds by Redis's clock, which open sessions go by."""
        seconds, micros = await _answer(self._redis.time())
        return float(seconds + micros / 1e6)

    async def idle_sessions(self, idle_since: float, most: int) -> list[str]:
        """Open sessions without an event since this time (Unix seconds by Redis's clock), the longest idle first."""
        found = await _answer(
            self._redis.zrange(self._keys.open, "-inf", int(idle_since * 1000), byscore=True, offset=0, num=most)
        )
        return [session_id.decode() for session_id in found]

    def _queue_full(self) -> QueueFull:
        return QueueFull(f"{self._limits.waiting_sessions} sessions wait for the judge already; is one running?")

    async def _call(self, name: str, keys: list[str], args: list[Any]) -> Any:
        return await _answer(self._scripts[name](keys=keys, args=args))

    def _seen(self, day: str) -> list[str]:
        """Where its id may be remembered: on its day, the one before, and the one after, which another sidecar's clock
        has reached before ours, or ours while this session lay in the spool."""
        own = datetime.fromisoformat(day).replace(tzinfo=UTC)
        return [self._keys.seen((own + timedelta(days=days)).date().isoformat()) for days in (0, -1, 1)]


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that has not ended, as far as it is kept."""

    session: CapturedSession
    sampled: bool
    last_entry: bytes

    @property
    def sequence(self) -> int:
        """Of the last item that is kept; 0 before the first."""
        return int(self.last_entry.rpartition(b"-")[2]) - 1


def _script(redis: Redis, *parts: str) -> Any:
    return redis.register_script("\n".join(files(__package__).joinpath(f"{part}.lua").read_text() for part in parts))


async def _answer(reply: Awaitable[Any]) -> Any:
    """Redis's reply; RedisAway or QueueFull if there is none."""
    try:
        return await reply
    except (RedisError, OSError) as error:
        # Before 7.0 a script that is refused memory fails with an error of its own, which quotes the real one.
        if isinstance(error, OutOfMemoryError) or " -OOM " in str(error):
            raise QueueFull(f"Redis is out of memory: {error}") from error
        raise RedisAway(f"Redis did not take the session: {error}") from error


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def encode(session: CapturedSession) -> bytes:
    """MessagePack behind zstd: a quarter of the bytes for 60 µs."""
    return _COMPRESSOR.compress(msgspec.msgpack.encode(session))


def decode(payload: bytes) -> CapturedSession:
    """The session in a payload; ValueError if it is not one."""
    try:
        # What the frame says of its size is believed by the library, whatever `max_output_size` says.
        if zstandard.frame_content_size(payload) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"more than {MAX_PAYLOAD_BYTES} bytes")
        raw = zstandard.ZstdDecompressor().decompress(payload, max_output_size=MAX_PAYLOAD_BYTES)
        return msgspec.msgpack.decode(raw, type=CapturedSession)
    except (zstandard.ZstdError, ValueError, RecursionError) as error:
        raise ValueError(f"not a session: {error}") from error
