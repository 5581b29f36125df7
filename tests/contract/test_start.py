"""How a sidecar starts, and how it refuses to."""

import asyncio
import socket
from pathlib import Path

import grpc
import pytest
from processes import program, sidecar
from redis.asyncio import Redis
from told import EXPERIMENT

from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc, session_pb2, session_pb2_grpc

ENOUGH = {"SLUICEGATE_AGENT": "receptionist", "SLUICEGATE_LISTEN": "127.0.0.1:0", "SLUICEGATE_ADMIN": "127.0.0.1:0"}


@pytest.mark.parametrize(
    "settings",
    [
        {"SLUICEGATE_JUDGE": "maybe"},
        {"SLUICEGATE_AGENT": ""},
        {"SLUICEGATE_LISTEN": "7070"},
        {"SLUICEGATE_ADMIN": "127.0.0.1:99999"},
        {"SLUICEGATE_REDIS_URL": "http://user:secret@redis"},
        {"SLUICEGATE_REDIS": "redis://127.0.0.1"},
        {"SLUICEGATE_CONFIG": "/nowhere/at/all.yaml"},
    ],
)
async def test_a_bad_setting_stops_the_start_by_name(settings: dict[str, str]) -> None:
    """Exit code 2, the variable's name on standard error, and no secret; no port was ever bound."""
    async with program("sidecar", {**ENOUGH, **settings}) as refused:
        assert await asyncio.wait_for(refused.process.wait(), 30) == 2
        await refused.logs(next(iter(settings)))
        assert not any("secret" in line or "serving" in line for line in refused.log)


async def test_a_wrong_resource_file_stops_the_start_with_every_error(tmp_path: Path) -> None:
    """All errors of all files are told at once, each with file, line and field."""
    (tmp_path / "a.yaml").write_text(EXPERIMENT.replace("weight: 20", "weight: 200"))
    (tmp_path / "b.yaml").write_text(EXPERIMENT.replace("control: true, ", "").replace("warmer-greeting", "other"))
    async with program("sidecar", {**ENOUGH, "SLUICEGATE_CONFIG": str(tmp_path)}) as refused:
        assert await asyncio.wait_for(refused.process.wait(), 30) == 2
        await refused.logs(r"a\.yaml:10: spec\.ramp\.steps\[0\]\.weight: ")
        await refused.logs(r"b\.yaml:\d+: spec\.variants: ")


async def test_an_address_in_use_is_named(valkey_url: str, redis: Redis) -> None:
    """Two sidecars never share a port: the second one says which address it could not have."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with program("sidecar", {**ENOUGH, "SLUICEGATE_LISTEN": address}) as refused:
            assert await asyncio.wait_for(refused.process.wait(), 30) == 2
            await refused.logs(address)


async def test_an_agent_is_not_kept_from_starting_when_redis_is_away(tmp_path: Path) -> None:
    """Without Redis a sidecar serves from its file all the same, and takes no session that it could not keep."""
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    nobody = "redis://127.0.0.1:1/0"
    async with (
        sidecar(nobody, "receptionist", config=str(tmp_path)) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        ask = assignment_pb2.AssignRequest(session_id="s-1", caller_id="+15550001")
        answer = await assignment_pb2_grpc.AssignmentServiceStub(channel).Assign(ask, timeout=10)
        assert answer.assignments[0].experiment == "warmer-greeting"
        message = session_pb2.Message(role=session_pb2.ROLE_USER, content="Hello?")
        session = session_pb2.Session(session_id="s-1", items=[session_pb2.Item(message=message)])
        request = session_pb2.RecordSessionRequest(session=session)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await session_pb2_grpc.SessionServiceStub(channel).RecordSession(request, timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_it_starts_without_a_snapshot_after_ten_seconds() -> None:
    """Without Redis and without a file it serves after ten seconds, and answers with no assignments."""
    async with (
        sidecar("redis://127.0.0.1:1/0", "receptionist") as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        ask = assignment_pb2.AssignRequest(session_id="s-1")
        answer = await assignment_pb2_grpc.AssignmentServiceStub(channel).Assign(ask, timeout=10)
        assert not answer.assignments
