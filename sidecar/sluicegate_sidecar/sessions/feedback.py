"""Feedback: what a person or a program says of a session, kept beside the judge's scores."""

import re

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluicegate.keys import Keys
from sluicegate_sidecar.errors import InvalidRequest, RedisAway, TooLarge
from sluicegate_sidecar.sessions.capture import check_id

NAME = re.compile(r"[a-z0-9_]{1,63}")
MAX_COMMENT_BYTES = 4 * 1024
MOST_KEPT = 100_000


class Feedback:
    """Keeps feedback in the order in which it came; of the same session and name, the last one counts."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def record(self, session_id: str, name: str, value: float, comment: str) -> None:
        """InvalidRequest or TooLarge names the field; RedisAway: nothing was kept."""
        check_id("session_id", session_id, required=True)
        if not NAME.fullmatch(name):
            raise InvalidRequest("name", f"{name[:64]!r} is not 1 to 63 lower-case letters, digits or '_'")
        if not -1e9 <= value <= 1e9:
            raise InvalidRequest("value", f"{value} is not a number between -1e9 and 1e9")
        if len(comment.encode()) > MAX_COMMENT_BYTES:
            raise TooLarge("comment", f"{len(comment.encode())} bytes; a comment has at most {MAX_COMMENT_BYTES}")
        said = msgspec.msgpack.encode({"session_id": session_id, "name": name, "value": value, "comment": comment})
        try:
            await self._redis.xadd(self._keys.feedback, {"d": said}, maxlen=MOST_KEPT, approximate=True)
        except (RedisError, OSError) as error:
            raise RedisAway(f"Redis did not take the feedback: {error}") from error
