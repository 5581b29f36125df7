"""A client from a URL: what cannot be read, whom TLS trusts, and the way to the owner of a slot."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from captured import eventually
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import ConnectionError, RedisError
from redis_servers import Running, Server, serving

from sluicegate.keys import Keys
from sluicegate_sidecar import redis_client
from sluicegate_sidecar.errors import ConfigError
from sluicegate_sidecar.redis_client import check, connected

KEYS = Keys("default", "receptionist")
SLOT = key_slot(KEYS.queue.encode())


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2/hunter2@redis:6379",
        "redis://:hunter2@redis:hunter2",
        "redis://:hunter2#hunter2@redis",
        "redis://:hunter2@redis:99999",
        "redis://:hunter2@redis?db=hunter2",
        "redis://:hunter2@[::1",
        "redis://:hunter2@redis?clutser=true",
        "redis://:hunter2@redis?cluster=hunter2",
        "redis://:hunter2@redis?cluster=true&cluster=false",
        "redis://:hunter2@redis/1?cluster=true",
        "unix:///run/redis.sock?cluster=true&password=hunter2",
        "http://:hunter2@redis",
    ],
)
async def test_a_redis_url_that_cannot_be_used_is_a_bad_setting(url: str) -> None:
    """It is told as an error of the variable, and no part of a password with it, nor with its cause."""
    with pytest.raises(ConfigError, match=r"^SLUICEGATE_REDIS_URL: ") as refused:
        async with connected(url, KEYS):
            raise AssertionError("connected")
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:pass%2Fword@redis:6379/2",
        "rediss://redis?ssl_ca_certs=/etc/ca.pem",
        "rediss://redis:6380?cluster=true&ssl_ca_certs=/etc/ca.pem",
        "redis://redis/0?cluster=true",
        "redis://redis?cluster=false",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_a_redis_url_that_can_be_used_is_taken(url: str) -> None:
    """Each form that the README has, without anything being connected."""
    check(url)


async def test_a_unix_socket_is_a_redis(tmp_path: Path, valkey_url: str) -> None:
    """A path works where a host would."""
    async with (
        serving("valkey-9", tmp_path / "redis", unixsocket=str(tmp_path / "s")),
        connected(f"unix://{tmp_path}/s", KEYS) as redis,
    ):
        assert await redis.ping()


async def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    """TLS without the authority's certificate never gets as far as a command; with it, it does."""
    async with serving("redis-7-tls", tmp_path / "redis") as running:
        async with connected(running.url.partition("?")[0], KEYS) as redis:
            with pytest.raises(ConnectionError, match=r"(?i)certificate"):
                await redis.ping()
        async with connected(running.url, KEYS) as redis:
            assert await redis.ping()


async def test_whoever_finds_all_connections_in_use_waits(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More calls at once than there are connections: each is answered, once one is free."""
    monkeypatch.setattr(redis_client, "MOST_CONNECTIONS", 2)
    async with connected(valkey_url, KEYS) as redis:
        assert await asyncio.gather(*(redis.echo(str(number)) for number in range(20))) == [
            str(number).encode() for number in range(20)
        ]


async def test_the_wait_for_a_connection_has_an_end(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All connections stay in use: an error of Redis that says so, and when one is free again, an answer."""
    monkeypatch.setattr(redis_client, "MOST_CONNECTIONS", 1)
    monkeypatch.setattr(redis_client, "TIMEOUT_SECONDS", 0.1)
    async with connected(valkey_url, KEYS) as redis:
        async with redis.pubsub() as subscription:
            await subscription.subscribe(KEYS.notices)
            with pytest.raises(ConnectionError, match="No connection available"):
                await redis.ping()
        assert await redis.ping()


def test_a_socket_that_closes_while_it_is_written_to_is_opened_again(valkey_url: str) -> None:
    """On the sidecar's own loop a closed socket is a RuntimeError: to whoever calls, it is answered all the same."""

    async def answered() -> bool:
        async with connected(valkey_url, KEYS) as redis:
            connection = await redis.connection_pool.get_connection()
            connection._writer.transport.abort()
            with pytest.raises(ConnectionError):
                await _keeps_sending(connection)
            await redis.connection_pool.release(connection)
            return bool(await redis.ping())

    assert uvloop.run(answered())


async def _keeps_sending(connection: Any) -> None:
    """The loop takes a turn or two to close a socket."""
    for _ in range(10):
        await connection.send_command("PING")
        await asyncio.sleep(0)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Running]:
    async with serving("valkey-9-cluster", tmp_path / "redis") as running:
        yield running


async def _give(cluster: Running, to: Server) -> None:
    """Gives the agent's slot, which is empty, to another node."""
    async with Redis.from_url(to.url) as redis:
        name = await redis.execute_command("CLUSTER", "MYID")
    for server in cluster.servers:
        async with Redis.from_url(server.url) as redis:
            await redis.execute_command("CLUSTER", "SETSLOT", SLOT, "NODE", name)


def _seeded(server: Server) -> str:
    return f"{server.url}?cluster=true"


async def test_any_node_of_a_cluster_leads_to_the_agents_keys(cluster: Running) -> None:
    """Commands, transactions, scripts and subscriptions work alike, whichever node the URL names."""
    for server in cluster.servers:
        async with connected(_seeded(server), KEYS) as redis:
            await _uses_everything(redis)


async def _uses_everything(redis: Redis) -> None:
    await redis.hset(KEYS.halts, "a", "b")
    pipe = redis.pipeline(transaction=True)
    assert await pipe.hgetall(KEYS.halts).delete(KEYS.halts).execute() == [{b"a": b"b"}, 1]
    script = redis.register_script("redis.call('PUBLISH', ARGV[1], 'told') return redis.call('EXISTS', KEYS[1])")
    async with redis.pubsub(ignore_subscribe_messages=True) as subscription:
        await subscription.subscribe(KEYS.notices)
        await subscription.get_message(timeout=5)
        assert await script(keys=[KEYS.halts], args=[KEYS.notices]) == 0
        message = await subscription.get_message(timeout=5)
    assert message is not None
    assert message["data"] == b"told"


@pytest.mark.parametrize("use", ["command", "transaction", "batch", "script"])
async def test_a_slot_that_moves_is_followed(cluster: Running, use: str) -> None:
    """The node says MOVED to a connection that is open; the same call goes to the new owner, and nobody sees it."""
    others = [server for server in cluster.servers if server is not await cluster.owner(SLOT)]
    async with connected(cluster.url, KEYS) as redis:
        script = redis.register_script("return redis.call('EXISTS', KEYS[1])")
        calls: dict[str, Any] = {
            "command": lambda: redis.exists(KEYS.halts),
            "transaction": lambda: redis.pipeline(transaction=True).exists(KEYS.halts).execute(),
            "batch": lambda: redis.pipeline(transaction=False).exists(KEYS.halts).execute(),
            "script": lambda: script(keys=[KEYS.halts]),
        }
        before = await calls[use]()
        for other in others:
            await _give(cluster, other)
            assert await calls[use]() == before


async def test_a_dead_owner_is_asked_for_elsewhere(cluster: Running) -> None:
    """Another node says that the dead one has the slot; the failure is an error of Redis, and the next use heals."""
    owner = await cluster.owner(SLOT)
    async with connected(_seeded(owner), KEYS) as redis:
        assert await redis.ping()
        await owner.kill()
        with pytest.raises(RedisError):
            await redis.hlen(KEYS.halts)
        await owner.start()
        await eventually(lambda: _answers(redis))


async def _answers(redis: Redis) -> bool:
    try:
        return bool(await redis.hlen(KEYS.halts) == 0)
    except RedisError:
        return False


async def test_a_server_that_is_no_cluster_says_so(valkey_url: str) -> None:
    """`?cluster=true` for a single server is an error of Redis that names the matter, not a crash."""
    async with connected(f"{valkey_url}?cluster=true", KEYS) as redis:
        with pytest.raises(RedisError, match="cluster support disabled"):
            await redis.ping()
