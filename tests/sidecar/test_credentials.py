"""Credentials from a folder, against a real Valkey that lets nobody in without: late, rotated, unreadable."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from captured import eventually
from processes import sidecar
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, RedisError
from redis_servers import Running, serving

from sluicegate.keys import Keys
from sluicegate.v1 import session_pb2, session_pb2_grpc
from sluicegate_sidecar.credentials import MOST_BYTES, FromFolder
from sluicegate_sidecar.errors import ConfigError
from sluicegate_sidecar.redis_client import connected

KEYS = Keys("default", "receptionist")
USER = "sg-default"
RULES = ("~sg1:{default/*", "&sg1:{default/*", "+@all")


def write(folder: Path, **files: str) -> None:
    """What the kubelet does when a Secret changes: a new folder, and one link that is swapped."""
    revision = folder / f"..{len(list(folder.iterdir()))}"
    revision.mkdir()
    for name, content in files.items():
        (revision / name).write_text(content)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data") / name)
    (folder / "..next").symlink_to(revision.name)
    (folder / "..next").rename(folder / "..data")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A mounted Secret that is not there yet."""
    folder = tmp_path / "secret"
    folder.mkdir()
    return folder


@asynccontextmanager
async def locked(folder: Path) -> AsyncIterator[tuple[Running, Redis]]:
    """A Redis that knows nobody but the administrator, and the administrator's client."""
    async with serving("valkey-9", folder) as running, Redis.from_url(running.url) as redis:
        await redis.ping()
        await redis.execute_command("ACL", "SETUSER", "admin", "on", ">admin", "~*", "&*", "+@all")
        await redis.execute_command("AUTH", "admin", "admin")
        await redis.execute_command("ACL", "SETUSER", "default", "off")
        async with Redis.from_url(running.url.replace("//", "//admin:admin@")) as administrator:
            yield running, administrator


async def admit(administrator: Redis, password: str) -> None:
    await administrator.execute_command("ACL", "SETUSER", USER, "reset", "on", f">{password}", *RULES)


async def refused(redis: Redis) -> bool:
    try:
        await redis.hlen(KEYS.halts)
    except RedisError:
        return True
    return False


async def answers(redis: Redis) -> bool:
    return not await refused(redis)


async def test_a_secret_that_comes_late_is_taken(tmp_path: Path, secret: Path) -> None:
    """Without files Redis refuses, as an error of Redis; once they are there the same client is let in."""
    async with (
        locked(tmp_path / "redis") as (running, administrator),
        connected(running.url, KEYS, str(secret)) as redis,
    ):
        assert await refused(redis)
        await admit(administrator, "one")
        assert await refused(redis)
        write(secret, username=USER, password="one\n")
        assert await answers(redis)
        assert await redis.execute_command("ACL", "WHOAMI") == USER.encode()


async def test_a_client_from_before_the_lock_is_let_in(tmp_path: Path, secret: Path) -> None:
    """Where nobody asked for credentials none were needed; once Redis asks, each new connection says who we are."""
    async with (
        serving("valkey-9", tmp_path / "redis") as running,
        connected(running.url, KEYS, str(secret)) as redis,
        Redis.from_url(running.url) as administrator,
    ):
        assert await answers(redis)
        await admit(administrator, "one")
        write(secret, username=USER, password="one")
        await administrator.execute_command("ACL", "SETUSER", "default", "resetpass", ">closed")
        await administrator.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert await answers(redis)
        assert await redis.execute_command("ACL", "WHOAMI") == USER.encode()


async def test_a_rotated_password_is_taken(tmp_path: Path, secret: Path) -> None:
    """When Redis and the Secret change together the next connection has the new password; before, it is refused."""
    async with (
        locked(tmp_path / "redis") as (running, administrator),
        connected(running.url, KEYS, str(secret)) as redis,
    ):
        await admit(administrator, "one")
        write(secret, username=USER, password="one")
        assert await answers(redis)
        await administrator.execute_command("ACL", "DELUSER", USER)  # Its connections end with it.
        assert await refused(redis)
        await admit(administrator, "two")
        assert await refused(redis)
        write(secret, username=USER, password="two")
        assert await answers(redis)


async def test_a_cluster_takes_them_too(tmp_path: Path, secret: Path) -> None:
    """Whichever node the connection leads to, it says who we are."""
    async with serving("valkey-9-cluster", tmp_path / "redis") as running:
        for server in running.servers:
            async with Redis.from_url(server.url) as administrator:
                await admit(administrator, "one")
                await administrator.execute_command("ACL", "SETUSER", "default", "resetpass", ">closed")
        write(secret, username=USER, password="one")
        for server in running.servers:
            async with connected(f"{server.url}?cluster=true", KEYS, str(secret)) as redis:
                assert await answers(redis)
                assert await redis.execute_command("ACL", "WHOAMI") == USER.encode()


async def test_a_password_alone_is_of_the_default_user(secret: Path) -> None:
    """Without a user name it is what `requirepass` asks for; without a password there is nothing to say."""
    credentials = FromFolder(secret)
    assert await credentials.get_credentials_async() == ()
    write(secret, username=USER)
    assert await credentials.get_credentials_async() == ()
    write(secret, password="p\u00e4ss \r\n")
    assert await credentials.get_credentials_async() == ("p\u00e4ss ",)
    write(secret, username="u\n", password="p")
    assert await credentials.get_credentials_async() == ("u", "p")


async def test_files_without_the_kubelets_links_are_read(tmp_path: Path) -> None:
    """Any folder with the two files will do."""
    (tmp_path / "username").write_text("u")
    (tmp_path / "password").write_text("p")
    assert await FromFolder(tmp_path).get_credentials_async() == ("u", "p")


@pytest.mark.parametrize("content", [b"hunter2\xff", b"hunter2" * MOST_BYTES])
async def test_a_file_that_cannot_be_used_is_an_error_of_redis(tmp_path: Path, content: bytes) -> None:
    """It is named, so that it can be mended while the sidecar runs; nothing of what is in it is told."""
    (tmp_path / "password").write_bytes(content)
    async with connected("redis://127.0.0.1:1/0", KEYS, str(tmp_path)) as redis:
        with pytest.raises(ConnectionError) as told:
            await redis.ping()
    assert "hunter2" not in f"{told.value!r} {told.value.__cause__!r}"
    with pytest.raises(ConnectionError, match=f"SLUICEGATE_REDIS_CREDENTIALS: {tmp_path}/password cannot be used"):
        await FromFolder(tmp_path).get_credentials_async()


@pytest.mark.parametrize("url", ["redis://u:p@redis", "redis://:p@redis", "redis://redis?password=p"])
async def test_two_places_for_a_password_are_one_too_many(url: str) -> None:
    """A URL with credentials beside the folder is a bad setting, told at the start."""
    with pytest.raises(ConfigError, match=r"^SLUICEGATE_REDIS_CREDENTIALS: .*leave out one"):
        async with connected(url, KEYS, "/etc/sluicegate/redis"):
            raise AssertionError("connected")


async def test_a_sidecar_takes_sessions_once_its_secret_is_there(tmp_path: Path, secret: Path) -> None:
    """The real process: refused by Redis it serves all the same, and takes sessions when the Secret comes."""
    session = session_pb2.Session(
        session_id="s-1",
        items=[session_pb2.Item(message=session_pb2.Message(role=session_pb2.ROLE_USER, content="Hello?"))],
    )
    request = session_pb2.RecordSessionRequest(session=session)
    async with (
        locked(tmp_path / "redis") as (running, administrator),
        sidecar(running.url, "receptionist", redis_credentials=str(secret)) as started,
        grpc.aio.insecure_channel(started.target) as channel,
    ):
        sessions = session_pb2_grpc.SessionServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await sessions.RecordSession(request, timeout=10)
        assert told.value.code() is grpc.StatusCode.UNAVAILABLE
        await admit(administrator, "one")
        write(secret, username=USER, password="one")

        async def is_taken() -> bool:
            try:
                await sessions.RecordSession(request, timeout=10)
            except grpc.aio.AioRpcError:
                return False
            return True

        await eventually(is_taken)
        assert await administrator.dbsize()
