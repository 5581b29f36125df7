"""The embedded Redis: the chart's own script and configuration over a real Valkey, outside a pod."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from captured import eventually
from embedded_redis import Embedded, embedded_redis
from helm_chart import rendered
from processes import program, sidecar
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, OutOfMemoryError
from told import a_session

from sluicegate.keys import Keys
from sluicegate.policy import Policy
from sluicegate.v1 import session_pb2, session_pb2_grpc
from sluicegate_cli import offline_judge
from sluicegate_cli.account import Account, read_account
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_sidecar.redis_client import connected

KEYS = Keys("default", "receptionist")
JUDGED_SECONDS = 30.0


@pytest.fixture
async def embedded(home: Path, tmp_path: Path) -> AsyncIterator[Embedded]:
    """The chart's own Redis at work, empty."""
    async with embedded_redis(rendered(home, "redis.embedded.maxmemory=32mb"), tmp_path) as running:
        yield running


@asynccontextmanager
async def as_user(embedded: Embedded, user: str, password: str = "") -> AsyncIterator[Redis]:
    async with Redis.from_url(embedded.url(user, password), retry=None) as redis:
        yield redis


async def test_nobody_gets_in_without_a_password(embedded: Embedded) -> None:
    """There is no user without a password but the probe's, and that one may ask whether somebody is there."""
    async with Redis.from_url(f"redis://127.0.0.1:{embedded.port}", retry=None) as redis:
        with pytest.raises(AuthenticationError):
            await redis.get(KEYS.snapshot)
    for user in ("operator", "judge", "default"):
        async with as_user(embedded, user, "wrong") as redis:
            with pytest.raises(AuthenticationError):
                await redis.ping()
    async with as_user(embedded, "probe") as redis:
        for command in (["GET", KEYS.snapshot], ["ACL", "LIST"], ["INFO"], ["PUBLISH", KEYS.notices, "x"]):
            with pytest.raises(NoPermissionError):
                await redis.execute_command(*command)


@pytest.mark.parametrize("user", ["operator", "judge"])
async def test_users_are_kept_to_our_keys(embedded: Embedded, user: str) -> None:
    """Neither user of the release reaches other keys or channels, or turns the server over."""
    async with as_user(embedded, user) as redis:
        await redis.set(KEYS.caller_key, "k")
        for command in (
            ["GET", "another:key"],
            ["PUBLISH", "another:channel", "x"],
            ["CONFIG", "GET", "*"],
            ["FLUSHALL"],
            ["SHUTDOWN", "NOSAVE"],
            ["REPLICAOF", "NO", "ONE"],
            ["KEYS", "*"],
        ):
            with pytest.raises(NoPermissionError):
                await redis.execute_command(*command)


async def test_only_the_operator_makes_users(embedded: Embedded) -> None:
    """Judges may not make a user, and cannot learn of any."""
    async with as_user(embedded, "judge") as redis:
        for command in (["ACL", "SETUSER", "sg-dental", "on"], ["ACL", "LIST"]):
            with pytest.raises(NoPermissionError):
                await redis.execute_command(*command)


async def test_users_of_namespaces_outlive_the_server(embedded: Embedded) -> None:
    """A user that the operator made and saved is there after a power cut, with nobody to make it again."""
    limits = ["~sg1:{dental/*", "&sg1:{dental/*", "+@all", "-@admin", "-@dangerous"]
    async with as_user(embedded, "operator") as redis:
        await redis.execute_command("ACL", "SETUSER", "sg-dental", "reset", "on", ">of-dental", *limits)
        await redis.execute_command("ACL", "SAVE")
    await embedded.kill()
    await embedded.start()
    async with as_user(embedded, "sg-dental", "of-dental") as redis:
        await redis.set(Keys("dental", "receptionist").caller_key, "k")
        with pytest.raises(NoPermissionError):
            await redis.get(Keys("legal", "receptionist").caller_key)


async def test_passwords_are_taken_from_the_secret_at_each_start(embedded: Embedded) -> None:
    """A new password in the Secret holds after a restart, and the old one no longer does, though it was saved."""
    async with as_user(embedded, "operator") as redis:
        await redis.execute_command("ACL", "SAVE")
    await embedded.kill()
    await embedded.start(operator="Halibut1")
    async with as_user(embedded, "operator", "Halibut1") as redis:
        assert await redis.ping()
    async with as_user(embedded, "operator") as redis:
        with pytest.raises(AuthenticationError):
            await redis.ping()


async def test_what_was_acknowledged_outlives_the_server(embedded: Embedded) -> None:
    """A write that was answered is there after a power cut."""
    async with as_user(embedded, "operator") as redis:
        await redis.set(KEYS.caller_key, "kept")
    await embedded.kill()
    await embedded.start()
    async with as_user(embedded, "operator") as redis:
        assert await redis.get(KEYS.caller_key) == b"kept"


async def test_full_means_refused(embedded: Embedded) -> None:
    """When the memory is used up writes are refused, and nothing is evicted."""
    async with as_user(embedded, "judge") as redis:
        await redis.set(KEYS.caller_key, "kept")
        with pytest.raises(OutOfMemoryError):
            await fill(redis)
        assert await redis.get(KEYS.caller_key) == b"kept"
        assert await redis.exists(*(KEYS.open_session(f"s-{number}") for number in range(64))) > 20


async def fill(redis: Redis) -> None:
    """Writes 64 MiB, in pieces."""
    for number in range(64):
        await redis.set(KEYS.open_session(f"s-{number}"), b"x" * 1024 * 1024)


async def test_the_parts_of_the_system_get_along_with_their_users(embedded: Embedded) -> None:
    """The control plane publishes as `operator`; as `judge`, sessions are captured and judged, down to the account."""
    operator, judge = embedded.url("operator"), embedded.url("judge")
    async with connected(operator, KEYS) as redis:
        await Delivery(redis, KEYS).put_policy(Policy(sampling_rate=1.0), 0, 1)
    settings = {"SLUICEGATE_REDIS_URL": judge, "SLUICEGATE_AGENT": KEYS.agent, "SLUICEGATE_ADMIN": "127.0.0.1:0"}

    async def account() -> Account:
        return await read_account(operator, KEYS.namespace, KEYS.agent)

    async def is_scored() -> bool:
        return (await account()).scored == 5

    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(offline_judge.serving())
        await stack.enter_async_context(program("judge", {**settings, **offline_judge.environment(model)}))
        served = await stack.enter_async_context(sidecar(judge, KEYS.agent))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(served.target))
        stub = session_pb2_grpc.SessionServiceStub(channel)
        for number in range(5):
            session = a_session(f"s-{number}")
            await stub.RecordSession(session_pb2.RecordSessionRequest(session=session), timeout=20)
        await eventually(is_scored, JUDGED_SECONDS)
    assert (await account()).balanced
