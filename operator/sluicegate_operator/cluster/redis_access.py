"""A Redis user for each namespace, that sees the namespace's keys and no others, and the Secret with its password."""

import base64
import hashlib
import logging
import secrets
import time

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from sluicegate.keys import VERSION
from sluicegate_operator.cluster.api import Api
from sluicegate_operator.errors import ApiRefused, NotThere, RedisAway, Stale

SECRET = "sluicegate-redis"
KEEP_SECONDS = 300.0
"""A Secret that somebody removed or changed is seen so much later."""

COMMANDS = (
    "+ping +auth +hello +select +cluster|slots +info "
    "+get +set +del +expire +pexpire +ttl +time "
    "+hget +hgetall +hkeys +hlen +hmget +hset +hsetnx +hincrby +hexists +hdel "
    "+xadd +xlen +xrange +xrevrange +xdel +xtrim "
    "+zadd +zrem +zrange +zrangebyscore +zscore +zcard "
    "+publish +subscribe +unsubscribe +multi +exec +discard +eval +evalsha +script|load"
)
"""What assigning, capturing and reading take."""
JUDGING = "+xreadgroup +xack +xclaim +xpending +xgroup|create"
"""What judging takes beside that."""
WRITTEN = ("queue", "seen:*", "open", "open:*", "late", "feedback", "account", "caller-key")
READ = ("snapshot", "halts", "gates", "log", "dead", "report", "report:*")
"""Where others judge, a sidecar appends to the first, and only reads the second."""

log = logging.getLogger(__name__)


def rules(namespace: str, judges: bool) -> list[str]:
    """What the user of a namespace may do: `{` stands for itself in a pattern of Redis."""
    keys = f"{VERSION}:{{{namespace}/*"
    patterns = [f"~{keys}"]
    if not judges:
        patterns = [f"~{keys}}}:{name}" for name in WRITTEN] + [f"%R~{keys}}}:{name}" for name in READ]
    commands = f"{COMMANDS} {JUDGING}" if judges else COMMANDS
    return ["resetkeys", *patterns, "resetchannels", f"&{keys}", "-@all", *commands.split()]


class RedisAccess:
    """Makes users and Secrets where they are not there yet. What is there is kept."""

    def __init__(self, api: Api, redis: Redis, *, judges: bool) -> None:
        """`judges`: whether the sidecars of a namespace judge."""
        self._api = api
        self._redis = redis
        self._judges = judges
        self._sure_until: dict[str, float] = {}

    def forget(self) -> None:
        """Redis may have lost its users."""
        self._sure_until.clear()

    async def ensure(self, namespace: str) -> None:
        """The namespace has its user and its Secret. RedisAway and ApiAway: try again."""
        if time.monotonic() < self._sure_until.get(namespace, 0.0):
            return
        try:
            password = await self._password(namespace)
        except ApiRefused as error:
            # A namespace that is being deleted takes no new objects, and needs none.
            log.warning("namespace %s gets no Secret %s: %s", namespace, SECRET, error)
            self._sure_until[namespace] = time.monotonic() + KEEP_SECONDS
            return
        digest = hashlib.sha256(password.encode()).hexdigest()
        user = ("ACL", "SETUSER", user_name(namespace), "reset", "on", f"#{digest}")
        try:
            await self._redis.execute_command(*user, *rules(namespace, self._judges))
        except ResponseError as error:
            # Redis 6.2 cannot tell reading from writing by key: better one that may score than none at all.
            log.warning("this Redis limits %s to its namespace only, not to reading: %s", user_name(namespace), error)
            await self._limited_to_namespace(user, namespace)
        except (RedisError, OSError) as error:
            raise RedisAway(f"the user {user_name(namespace)} cannot be made: {error}") from error
        await self._saved()
        self._sure_until[namespace] = time.monotonic() + KEEP_SECONDS

    async def _saved(self) -> None:
        """A Redis that starts again while we are away knows its users, if it keeps them in a file."""
        try:
            await self._redis.execute_command("ACL", "SAVE")
        except ResponseError as error:
            log.debug("this Redis forgets its users when it ends; they will be made again: %s", error)
        except (RedisError, OSError) as error:
            raise RedisAway(f"the users cannot be saved: {error}") from error

    async def _limited_to_namespace(self, user: tuple[str, ...], namespace: str) -> None:
        try:
            await self._redis.execute_command(*user, *rules(namespace, True))
        except (RedisError, OSError) as error:
            raise RedisAway(f"the user {user_name(namespace)} cannot be made: {error}") from error

    async def _password(self, namespace: str) -> str:
        """That of the Secret, which is made if it is not there."""
        path = f"/api/v1/namespaces/{namespace}/secrets"
        try:
            return _password_in(await self._api.get(f"{path}/{SECRET}"))
        except NotThere:
            password = secrets.token_urlsafe(32)
        data = {"username": user_name(namespace), "password": password}
        secret = {"metadata": {"name": SECRET}, "type": "Opaque", "stringData": data}
        try:
            await self._api.request("POST", path, secret)
        except Stale:
            return _password_in(await self._api.get(f"{path}/{SECRET}"))
        return password


def user_name(namespace: str) -> str:
    return f"sg-{namespace}"


def _password_in(secret: dict[str, object]) -> str:
    data = secret.get("data")
    encoded = data.get("password") if isinstance(data, dict) else None
    if not isinstance(encoded, str):
        raise ApiRefused(422, f"the Secret {SECRET} has no password: remove it, and it is made anew")
    return base64.b64decode(encoded).decode()
