"""Sessions that could not be judged, set aside with the reason: listed, tried again or dropped by a person."""

from dataclasses import dataclass
from importlib.resources import files

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluicegate.keys import Keys
from sluicegate_sidecar.errors import RedisAway

LONGEST_LIST = 10_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One session set aside."""

    entry_id: str
    session_id: str
    """Empty where the payload could not even be read."""
    reason: str
    payload: bytes
    day: str
    """The UTC day of its recording; empty where it is not known."""

    @property
    def at(self) -> float:
        """When it was set aside, Unix seconds."""
        return int(self.entry_id.partition("-")[0]) / 1000


class DeadLetters:
    """The dead letters of one agent."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._resolve = redis.register_script(files(__package__).joinpath("resolve.lua").read_text())

    async def list(self, session_id: str = "") -> list[DeadLetter]:
        """The oldest first, at most 10,000; of one session, if it is named."""
        try:
            entries = await self._redis.xrange(self._keys.dead, count=LONGEST_LIST)
        except (RedisError, OSError) as error:
            raise RedisAway(f"the dead letters cannot be read: {error}") from error
        letters = [_letter(entry_id, fields) for entry_id, fields in entries]
        return [letter for letter in letters if session_id in ("", letter.session_id)]

    async def retry(self, letter: DeadLetter) -> bool:
        """Puts it back into the queue; False if it has no content to be judged, or somebody else resolved it."""
        if not letter.payload:
            return False
        return await self._end(letter, "retry")

    async def drop(self, letter: DeadLetter) -> bool:
        """Throws it away, counted as erased; False if somebody else resolved it meanwhile."""
        return await self._end(letter, "drop")

    async def _end(self, letter: DeadLetter, how: str) -> bool:
        keys = [self._keys.dead, self._keys.queue, self._keys.seen(letter.day), self._keys.account]
        try:
            resolved = await self._resolve(keys=keys, args=[how, letter.entry_id, letter.session_id])
        except (RedisError, OSError) as error:
            raise RedisAway(f"the dead letter cannot be resolved: {error}") from error
        return bool(resolved)


def _letter(entry_id: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    def text(name: bytes) -> str:
        return fields.get(name, b"").decode(errors="replace")

    return DeadLetter(entry_id.decode(), text(b"session"), text(b"reason"), fields.get(b"d", b""), text(b"day"))
