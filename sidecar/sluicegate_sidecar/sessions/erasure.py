"""Erasure: every trace of a session that names somebody, wherever it is kept."""

from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluicegate.keys import Keys
from sluicegate.records import ScoreRecord
from sluicegate_sidecar.errors import RedisAway
from sluicegate_sidecar.sessions.session import CapturedSession
from sluicegate_sidecar.sessions.stream import decode

BATCH = 500
ROUNDS = 5
"""A session can move from the queue to the log while it is looked for; then it is looked for again."""

Trace = tuple[str, bytes, str]
"""A stream's key, an entry's id, and the session it is of."""


class Erasure:
    """Erases sessions of one agent."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._script = redis.register_script(files(__package__).joinpath("erase.lua").read_text())

    async def erase(self, session_id: str, caller_hash: str) -> int:
        """Erases the session, or the caller's sessions, whichever is not empty; how many there were."""

        def meant(other_id: str, other_hash: str) -> bool:
            return other_id == session_id if session_id else other_hash == caller_hash

        erased: set[str] = set()
        try:
            for _ in range(ROUNDS):
                found = [trace async for trace in self._traces(meant, erased)]
                if not found:
                    break
                for key, entry_id, of in found:
                    if await self._script(keys=[key, self._keys.account], args=[entry_id, self._counts(key)]):
                        erased.add(of)
            await self._forget_open(meant, erased)
            if erased:  # They may quote what the judge said of a session; the controller writes them again without.
                await self._redis.delete(self._keys.reports)
        except (RedisError, OSError) as error:
            raise RedisAway(f"not all is erased, erase again: {error}") from error
        return len(erased)

    def _counts(self, key: str) -> int:
        """Whether an entry of this stream is where the account finds its session."""
        return int(key in (self._keys.queue, self._keys.dead, self._keys.log))

    async def _traces(self, meant: Callable[[str, str], bool], erased: set[str]) -> AsyncIterator[Trace]:
        for key in (self._keys.queue, self._keys.dead, self._keys.log, self._keys.late, self._keys.feedback):
            async for entry_id, fields in self._entries(key):
                of = self._who(key, fields)
                if of and (meant(*of) or of[0] in erased):
                    yield key, entry_id, of[0]

    def _who(self, key: str, fields: dict[bytes, bytes]) -> tuple[str, str] | None:
        """The session and the hashed caller of an entry; None where it cannot be read."""
        payload = fields.get(b"d", b"")
        if key == self._keys.late:
            return fields[b"session"].decode(), ""
        if key == self._keys.feedback:
            return str(msgspec.msgpack.decode(payload)["session_id"]), ""
        try:
            of = msgspec.msgpack.decode(payload, type=ScoreRecord) if key == self._keys.log else decode(payload)
        except (msgspec.MsgspecError, ValueError):
            return None
        return of.session_id, of.caller_hash

    async def _entries(self, key: str) -> AsyncIterator[tuple[bytes, dict[bytes, bytes]]]:
        last: bytes = b"-"
        while entries := await self._redis.xrange(key, min=last, count=BATCH):
            for entry in entries:
                yield entry
            last = b"(" + entries[-1][0]

    async def _forget_open(self, meant: Callable[[str, str], bool], erased: set[str]) -> None:
        for packed_id in await self._redis.zrange(self._keys.open, 0, -1):
            session_id = packed_id.decode()
            key = self._keys.open_session(session_id)
            start: Any = await self._redis.xrange(key, count=1)
            if start and meant(session_id, msgspec.msgpack.decode(start[0][1][b"d"], type=CapturedSession).caller_hash):
                pipe = self._redis.pipeline(transaction=True)
                pipe.zrem(self._keys.open, session_id).delete(key).hincrby(self._keys.account, "erased", 1)
                await pipe.execute()
                erased.add(session_id)
