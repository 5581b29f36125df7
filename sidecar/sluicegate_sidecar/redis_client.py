"""A client of Redis from a URL: one server, or the node of a cluster that has the agent's keys.

All keys of an agent are in one slot, so its cluster is one node at a time, and a plain client of that node does all
there is to do, transactions, scripts, blocking reads and subscriptions. Only its connections know of the cluster.
"""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis.asyncio import BlockingConnectionPool, Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, ConnectionError, MovedError, RedisError, TimeoutError

from sluicegate.keys import Keys
from sluicegate_sidecar.credentials import FromFolder
from sluicegate_sidecar.errors import ConfigError

TIMEOUT_SECONDS = 5.0
"""For a connection, for one that is free where all are in use, and for each answer."""
MOST_CONNECTIONS = 100
"""In use at once; whoever comes then waits for one."""
HEALTH_CHECK_SECONDS = 30
MOST_NODES_ASKED = 3
"""For one connection; each may take all of the timeout to say nothing."""

Address = tuple[str, int]


@asynccontextmanager
async def connected(url: str, keys: Keys, credentials: str = "") -> AsyncIterator[Redis]:
    """A client for the keys of one agent, connected when it is first used. ConfigError if the URL cannot be used.

    `credentials`: a folder that says who we are, read at each connect; empty: the URL does, or nothing.
    """
    redis = Redis.from_pool(_pool(url, keys, credentials))
    try:
        yield redis
    finally:
        await redis.aclose()


def check(url: str) -> None:
    """ConfigError if no client can be made of a URL. Nothing is connected."""
    _pool(url, Keys("", ""))


def _pool(url: str, keys: Keys, credentials: str = "") -> ConnectionPool:
    try:
        plain, is_cluster = _cluster_option(url)
        options = {
            "socket_timeout": TIMEOUT_SECONDS,
            "socket_connect_timeout": TIMEOUT_SECONDS,
            "retry": Retry(NoBackoff(), 1),
            "health_check_interval": HEALTH_CHECK_SECONDS,
            **parse_url(plain),
        }
        options["connection_class"] = _CLASSES[options.get("connection_class", Connection)]
        if credentials:
            options = _as_the_folder_says(options, credentials)
        if is_cluster:
            options = _to_owner(options, keys)
        pool = BlockingConnectionPool(**{"max_connections": MOST_CONNECTIONS, "timeout": TIMEOUT_SECONDS, **options})
        # An option that nobody knows would otherwise be met at the first use, as a bug.
        pool.make_connection()
    except (ValueError, TypeError, RedisError):
        # Not chained: the error quotes what it takes for the port, which may be a part of the password.
        raise ConfigError(
            "SLUICEGATE_REDIS_URL: cannot be read; give redis://user:password@host:port/database, percent-encode "
            "what is special in a password, and check the options after the question mark"
        ) from None
    return pool


def _as_the_folder_says(options: dict[str, Any], credentials: str) -> dict[str, Any]:
    if options.get("username") or options.get("password"):
        raise ConfigError(
            "SLUICEGATE_REDIS_CREDENTIALS: SLUICEGATE_REDIS_URL has a user or a password already; leave out one of them"
        )
    return {**options, "credential_provider": FromFolder(Path(credentials))}


def _cluster_option(url: str) -> tuple[str, bool]:
    """The URL without `cluster=…`, and whether that said true. ValueError if it says neither true nor false."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    said = [value for name, value in query if name == "cluster"]
    if not said:
        return url, False
    if said not in (["true"], ["false"]):
        raise ValueError("cluster: neither true nor false")
    rest = urlencode([(name, value) for name, value in query if name != "cluster"])
    return urlunsplit(parts._replace(query=rest)), said == ["true"]


def _to_owner(options: dict[str, Any], keys: Keys) -> dict[str, Any]:
    to_owner = {_Plain: _ToOwner, _OverTLS: _ToOwnerOverTLS}.get(options["connection_class"])
    if to_owner is None or options.get("db"):
        raise ConfigError(
            "SLUICEGATE_REDIS_URL: a cluster has neither unix sockets nor databases; give "
            "redis://user:password@host:port?cluster=true with any of its nodes"
        )
    seed = (options.get("host", "localhost"), options.get("port", 6379))
    return {**options, "connection_class": to_owner, "route": _Route(seed, key_slot(keys.queue.encode()))}


class _Route:
    """The way to the node that has a slot, as the cluster told it last."""

    def __init__(self, seed: Address, slot: int) -> None:
        self._seed = seed
        self._slot = slot
        self._owner = seed
        self._others: set[Address] = set()

    def nodes(self) -> list[Address]:
        """Whom to ask, the likeliest first: the owner may be gone, and then any other knows the new one."""
        others = list((self._others | {self._seed}) - {self._owner})
        return [self._owner, *random.sample(others, min(len(others), MOST_NODES_ASKED - 1))]

    def learn(self, slots: Sequence[Any], asked: Address) -> Address:
        """The owner, out of a reply to CLUSTER SLOTS of the node `asked`."""
        owner, nodes = None, set()
        for first, last, *holders in slots:
            # Without a host it means the one that was asked.
            addresses = [(bytes(host or b"").decode() or asked[0], int(port)) for host, port, *_ in holders]
            nodes.update(addresses)
            if first <= self._slot <= last:
                owner = addresses[0]
        if owner is None:
            raise ClusterDownError(f"no node of the cluster has slot {self._slot}")
        self._owner, self._others = owner, nodes - {owner}
        return owner


class _Sending(AbstractConnection):  # type: ignore[misc]  # redis is not followed
    """A connection that may be closed at any time, on any event loop."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            # What uvloop says of a socket that was closed since it was looked at. Opened again, as for any other error.
            raise ConnectionError(f"the connection was closed: {error}") from error


class _Plain(_Sending, Connection):  # type: ignore[misc]  # redis is not followed
    """Over TCP."""


class _OverTLS(_Sending, SSLConnection):  # type: ignore[misc]  # redis is not followed
    """The same, encrypted."""


class _OverSocket(_Sending, UnixDomainSocketConnection):  # type: ignore[misc]  # redis is not followed
    """Over a unix socket."""


_CLASSES = {Connection: _Plain, SSLConnection: _OverTLS, UnixDomainSocketConnection: _OverSocket}


class _Elsewhere(ConnectionError):  # type: ignore[misc]  # redis is not followed
    """The node that was reached does not have the slot."""

    def __init__(self, owner: Address) -> None:
        super().__init__(f"the slot is at {owner[0]}:{owner[1]}")
        self.owner = owner


class _ToOwner(_Plain):
    """A connection that always leads to the owner of a slot: it asks for the way each time it is opened."""

    def __init__(self, *, route: _Route, **options: Any) -> None:
        super().__init__(**options)
        self._route = route

    async def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        if self.is_connected:
            return
        silent: dict[Address, Exception] = {}
        for node in self._route.nodes():
            try:
                await self._connect_to(node, check_health, retry_socket_connect)
                return
            except _Elsewhere as elsewhere:
                owner = elsewhere.owner
            except (ConnectionError, TimeoutError, OSError) as error:
                silent[node] = error
                continue
            if owner in silent:
                raise silent[owner]
            await self._connect_to(owner, check_health, retry_socket_connect)
            return
        raise next(iter(silent.values()))

    async def _connect_to(self, node: Address, check_health: bool, retry_socket_connect: bool) -> None:
        self.host, self.port = node
        await super().connect_check_health(check_health, retry_socket_connect)

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Before anything else is sent, a subscription above all: a node that has not the slot is left."""
        await super().on_connect_check_health(check_health)
        await self.send_command("CLUSTER", "SLOTS", check_health=False)
        here = (self.host, self.port)
        owner = self._route.learn(await self.read_response(), here)
        if owner != here:
            raise _Elsewhere(owner)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except MovedError as error:
            # To whoever called, a lost connection: it is opened again, to the new owner, and the call repeated.
            await self.disconnect()
            raise ConnectionError(f"the slot has moved: {error}") from error


class _ToOwnerOverTLS(_ToOwner, _OverTLS):
    """The same, encrypted."""
