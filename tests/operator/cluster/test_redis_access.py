"""Each namespace has a Redis user of its own, and a real sidecar and judge can do their work as that user."""

import base64
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from api_server import ApiServer
from captured import eventually
from judge_server import JudgeServer, judge_server
from operators import Experiments, operator
from processes import program, sidecar
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError
from redis_servers import serving
from told import EXPERIMENT, POLICY, a_session, says

from sluicegate.keys import Keys
from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc, session_pb2, session_pb2_grpc


@pytest.fixture
async def judge() -> AsyncIterator[JudgeServer]:
    async with judge_server() as server:
        yield server


@pytest.fixture(params=["valkey-9", "redis-6.2", "redis-7-tls"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A Redis of its own: users outlive `FLUSHALL`."""
    async with serving(request.param, tmp_path) as running:
        yield running.url


async def password(cluster: ApiServer, namespace: str) -> str:
    """That of the namespace's Secret, once it is there."""

    async def there() -> bool:
        return cluster.get(f"/api/v1/namespaces/{namespace}/secrets/sluicegate-redis") is not None

    await eventually(there)
    data = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/sluicegate-redis")["data"]
    assert base64.b64decode(data["username"]).decode() == f"sg-{namespace}"
    return base64.b64decode(data["password"]).decode()


def as_user(url: str, namespace: str, secret: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://sg-{namespace}:{quote(secret, safe='')}@{rest}"


@asynccontextmanager
async def two_namespaces(cluster: ApiServer, url: str, **settings: str) -> AsyncIterator[tuple[str, str]]:
    """Two namespaces with a policy and an experiment each, and an operator of both."""
    names = [cluster.create_namespace(f"t-{uuid.uuid4().hex[:8]}") for _ in range(2)]
    async with operator(cluster, url, *names, **settings):
        for name in names:
            Experiments(cluster, name).apply(f"{POLICY}---\n{EXPERIMENT}")
            await Experiments(cluster, name).until("warmer-greeting", phase="Ramping")
        yield names[0], names[1]


async def test_a_sidecar_and_its_judge_work_as_the_namespaces_user(
    cluster: ApiServer, url: str, judge: JudgeServer
) -> None:
    """Assigned, captured whole and as it happens, judged, scored and fed back, without a command that is refused."""
    async with two_namespaces(cluster, url) as (namespace, _):
        own = as_user(url, namespace, await password(cluster, namespace))
        endpoint = {"OPENAI_BASE_URL": judge.url, "OPENAI_API_KEY": "k", "SLUICEGATE_AGENT": "receptionist"}
        settings = {**endpoint, "SLUICEGATE_REDIS_URL": own, "SLUICEGATE_NAMESPACE": namespace}
        async with sidecar(own, "receptionist", namespace=namespace) as running, program("judge", settings) as worker:
            async with grpc.aio.insecure_channel(running.target) as channel:
                assigned = await assignment_pb2_grpc.AssignmentServiceStub(channel).Assign(
                    assignment_pb2.AssignRequest(session_id="s-1", caller_id="+15550001"), timeout=10
                )
                assert [one.experiment for one in assigned.assignments] == ["warmer-greeting"]
                stub = session_pb2_grpc.SessionServiceStub(channel)
                await stub.RecordSession(session_pb2.RecordSessionRequest(session=a_session("s-1")), timeout=10)
                await streamed(stub)
                await stub.RecordFeedback(
                    session_pb2.RecordFeedbackRequest(session_id="s-1", name="thumb", value=1.0), timeout=10
                )
            async with Redis.from_url(url) as redis:

                async def scored() -> bool:
                    return bool(await redis.xlen(Keys(namespace, "receptionist").log))

                await eventually(scored, 40)
            told = running.program.log + worker.log
        assert [line for line in told if "NOPERM" in line or "permission" in line.lower()] == []


async def streamed(stub: Any) -> None:
    """A session told as it happens, from its start to its end."""
    call = stub.StreamSession(timeout=10)
    start = session_pb2.SessionStart(session_id="s-2", caller_id="+15550002")
    for number, event in enumerate(
        (
            session_pb2.SessionEvent(start=start),
            session_pb2.SessionEvent(item=says(session_pb2.ROLE_USER, "Hello?")),
            session_pb2.SessionEvent(end=session_pb2.SessionEnd(end_reason=session_pb2.END_REASON_COMPLETED)),
        )
    ):
        event.sequence = number
        await call.write(event)
        await call.read()
    await call.done_writing()


async def test_where_others_judge_a_sidecar_only_appends(
    cluster: ApiServer, tmp_path: Path, judge: JudgeServer
) -> None:
    """It assigns and captures; it can neither score nor halt nor publish a snapshot, nor take sessions to judge."""
    async with (
        serving("valkey-9", tmp_path) as running,
        two_namespaces(cluster, running.url, judge_mode="deployment") as (namespace, _),
    ):
        own = as_user(running.url, namespace, await password(cluster, namespace))
        keys = Keys(namespace, "receptionist")
        async with sidecar(own, "receptionist", namespace=namespace) as at_work:
            async with grpc.aio.insecure_channel(at_work.target) as channel:
                stub = session_pb2_grpc.SessionServiceStub(channel)
                await stub.RecordSession(session_pb2.RecordSessionRequest(session=a_session("s-1")), timeout=10)
                await streamed(stub)
            assert [line for line in at_work.program.log if "NOPERM" in line or "permission" in line.lower()] == []
        async with Redis.from_url(own) as redis:
            assert await redis.xlen(keys.queue) == 2
            assert await redis.hgetall(keys.snapshot)
            for refused in (
                redis.hset(keys.snapshot, "experiment", b""),
                redis.hset(keys.halts, "a", "b"),
                redis.xadd(keys.log, {"d": b""}),
                redis.xreadgroup("judges", "me", {keys.queue: ">"}),
            ):
                with pytest.raises(NoPermissionError):
                    await refused


async def test_a_namespaces_user_cannot_touch_anothers_keys(cluster: ApiServer, url: str) -> None:
    """Neither read nor write, neither keys nor channels, nor what is the operator's; nor see other keys' names."""
    async with (
        two_namespaces(cluster, url) as (mine, other),
        Redis.from_url(as_user(url, mine, await password(cluster, mine))) as redis,
    ):
        keys, own = Keys(other, "receptionist"), Keys(mine, "receptionist")
        assert await redis.hgetall(own.snapshot)
        for refused in (
            redis.hgetall(keys.snapshot),
            redis.xadd(keys.queue, {"d": b""}),
            redis.hset(keys.halts, "a", "b"),
            redis.publish(keys.notices, b""),
            redis.get("sg1:{/operator}:epoch"),
            redis.eval("return redis.call('HGETALL', KEYS[1])", 1, keys.snapshot),
            redis.keys("*"),
            redis.flushall(),
            redis.config_get("*"),
            redis.acl_list(),
        ):
            with pytest.raises(NoPermissionError):
                await refused
