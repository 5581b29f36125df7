"""The sidecar as any client in any language sees it: a real process, stock stubs, and what the protocol promises."""

import json
import re
from collections.abc import AsyncIterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, timestamp_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from processes import Sidecar, sidecar
from redis.asyncio import Redis
from told import EXPERIMENT, POLICY, a_session, says

from sluicegate.v1 import (
    assignment_pb2,
    assignment_pb2_grpc,
    quality_pb2,
    quality_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
)


@pytest.fixture
async def served(valkey_url: str, redis: Redis, tmp_path: Path) -> AsyncIterator[Sidecar]:
    """A sidecar for the agent `receptionist`, with an experiment and a policy that samples every session."""
    (tmp_path / "resources.yaml").write_text(f"{POLICY}---\n{EXPERIMENT}")
    async with sidecar(valkey_url, "receptionist", config=str(tmp_path)) as running:
        yield running


@pytest.fixture
async def channel(served: Sidecar) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(served.target) as open_channel:
        yield open_channel


async def _record(channel: grpc.aio.Channel, session: session_pb2.Session) -> session_pb2.RecordSessionResponse:
    request = session_pb2.RecordSessionRequest(session=session)
    return await session_pb2_grpc.SessionServiceStub(channel).RecordSession(request, timeout=10)


async def _assign(channel: grpc.aio.Channel, **request: Any) -> assignment_pb2.AssignResponse:
    stub = assignment_pb2_grpc.AssignmentServiceStub(channel)
    return await stub.Assign(assignment_pb2.AssignRequest(**request), timeout=10)


async def _refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), refused.value.details() or ""


async def test_assignment_carries_the_configuration_of_the_variant(channel: grpc.aio.Channel) -> None:
    """A caller gets one assignment, with the variant's whole configuration, and the same one when it asks again."""
    first = await _assign(channel, session_id="s-1", caller_id="+15550001")
    again = await _assign(channel, session_id="s-1", caller_id="+15550001", agent="receptionist")
    assert first == again
    (assignment,) = first.assignments
    assert (assignment.experiment, assignment.run_id, assignment.weight) == ("warmer-greeting", "1", 0.2)
    assert assignment.reason == assignment_pb2.ASSIGNMENT_REASON_SPLIT
    config = json_format.MessageToDict(assignment.config)
    expected = {"control": "Be polite.", "warm": "Be warm."}
    assert config["systemPrompt"] == expected[assignment.variant]


async def test_a_session_is_tagged_with_its_variant_without_the_agents_doing(
    channel: grpc.aio.Channel, redis: Redis
) -> None:
    """The agent records a session and says nothing of variants; what is queued for the judge has it all the same."""
    from sluicegate.keys import Keys
    from sluicegate_sidecar.sessions.stream import decode

    answer = await _assign(channel, session_id="s-1", caller_id="+15550001")
    await _record(channel, a_session("s-1"))
    await _record(channel, a_session("s-2"))
    queued = [decode(fields[b"d"]) for _, fields in await redis.xrange(Keys("default", "receptionist").queue)]
    attributed, unattributed = queued
    assert attributed.attribution is not None
    assert attributed.attribution.variant == answer.assignments[0].variant
    assert unattributed.attribution is None


async def test_a_duplicate_is_answered_as_such_and_changes_nothing(channel: grpc.aio.Channel) -> None:
    """The same session id again is a duplicate, whatever it carries, and tells again whether it is judged."""
    first = await _record(channel, a_session("s-1"))
    again = await _record(channel, a_session("s-1", content="something else"))
    assert (first.outcome, first.sampled) == (session_pb2.RECORD_OUTCOME_ACCEPTED, True)
    assert (again.outcome, again.sampled) == (session_pb2.RECORD_OUTCOME_DUPLICATE, True)


MESSAGE = says(session_pb2.ROLE_USER, "x")
BAD_SESSIONS = {
    "no id": (session_pb2.Session(items=[MESSAGE]), "INVALID_ARGUMENT", "session.session_id"),
    "long id": (session_pb2.Session(session_id="é" * 129, items=[MESSAGE]), "INVALID_ARGUMENT", "session.session_id"),
    "long caller": (
        session_pb2.Session(session_id="s", caller_id="c" * 257, items=[MESSAGE]),
        "INVALID_ARGUMENT",
        "session.caller_id",
    ),
    "no items": (session_pb2.Session(session_id="s"), "INVALID_ARGUMENT", "session.items"),
    "empty item": (
        session_pb2.Session(session_id="s", items=[MESSAGE, session_pb2.Item()]),
        "INVALID_ARGUMENT",
        "session.items[1]",
    ),
    "no role": (
        session_pb2.Session(session_id="s", items=[says(session_pb2.ROLE_UNSPECIFIED, "x")]),
        "INVALID_ARGUMENT",
        "session.items[0].message.role",
    ),
    "too many items": (
        session_pb2.Session(session_id="s", items=[MESSAGE] * 2_001),
        "INVALID_ARGUMENT",
        "session.items",
    ),
    "large item": (
        session_pb2.Session(session_id="s", items=[says(session_pb2.ROLE_USER, "x" * 65_537)]),
        "INVALID_ARGUMENT",
        "session.items[0]",
    ),
    "large session": (
        session_pb2.Session(session_id="s", items=[says(session_pb2.ROLE_USER, "x" * 65_000)] * 17),
        "INVALID_ARGUMENT",
        "session.items",
    ),
    "ends first": (
        session_pb2.Session(
            session_id="s",
            items=[MESSAGE],
            started_at=timestamp_pb2.Timestamp(seconds=20),
            ended_at=timestamp_pb2.Timestamp(seconds=10),
        ),
        "INVALID_ARGUMENT",
        "session.ended_at",
    ),
    "the reaper's word": (
        session_pb2.Session(session_id="s", items=[MESSAGE], end_reason=session_pb2.END_REASON_ABANDONED),
        "INVALID_ARGUMENT",
        "session.end_reason",
    ),
    "other agent": (
        session_pb2.Session(agent="dentist", session_id="s", items=[MESSAGE]),
        "NOT_FOUND",
        "session.agent",
    ),
}


@pytest.mark.parametrize("case", BAD_SESSIONS)
async def test_a_session_that_cannot_be_taken_names_the_field(channel: grpc.aio.Channel, case: str) -> None:
    """Oversized, empty and unknown: the right status code, a message that starts with the field, nothing kept."""
    session, code, field = BAD_SESSIONS[case]
    told, message = await _refusal(_record(channel, session))
    assert (told.name, message.split(": ")[0]) == (code, field)
    if session.session_id:
        valid = await _record(channel, a_session("s"))
        assert valid.outcome == session_pb2.RECORD_OUTCOME_ACCEPTED


@pytest.mark.parametrize(
    ("request_fields", "code", "field"),
    [
        ({"session_id": ""}, "INVALID_ARGUMENT", "session_id"),
        ({"session_id": "s" * 257}, "INVALID_ARGUMENT", "session_id"),
        ({"session_id": "s", "caller_id": "c" * 257}, "INVALID_ARGUMENT", "caller_id"),
        ({"session_id": "s", "agent": "dentist"}, "NOT_FOUND", "agent"),
        ({"session_id": "s", "attributes": {str(i): "" for i in range(33)}}, "INVALID_ARGUMENT", "attributes"),
    ],
)
async def test_an_assignment_that_cannot_be_given_names_the_field(
    channel: grpc.aio.Channel, request_fields: dict[str, Any], code: str, field: str
) -> None:
    """A request that is wrong is refused with the field's name, and never answered with a variant."""
    told, message = await _refusal(_assign(channel, **request_fields))
    assert (told.name, message.split(": ")[0]) == (code, field)


async def test_quality_questions_that_cannot_be_answered_name_the_field(channel: grpc.aio.Channel) -> None:
    """Unknown agents, page sizes and page tokens are refused by name."""
    stub = quality_pb2_grpc.QualityServiceStub(channel)
    for call, field in (
        (stub.GetGates(quality_pb2.GetGatesRequest(agent="dentist")), "agent"),
        (stub.ListResults(quality_pb2.ListResultsRequest(agent="dentist")), "agent"),
        (stub.ListResults(quality_pb2.ListResultsRequest(page_size=501)), "page_size"),
        (stub.ListResults(quality_pb2.ListResultsRequest(page_size=-1)), "page_size"),
        (stub.ListResults(quality_pb2.ListResultsRequest(page_token="yesterday")), "page_token"),
    ):
        assert (await _refusal(call))[1].split(": ")[0] == field


def test_reflection_lists_every_service(served: Sidecar) -> None:
    """A stock reflection client finds our services, health and their methods, so that grpcurl needs no proto files."""
    with grpc.insecure_channel(served.target) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(database.get_services()) == {
            "sluicegate.v1.AssignmentService",
            "sluicegate.v1.SessionService",
            "sluicegate.v1.QualityService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        file = database.FindFileContainingSymbol("sluicegate.v1.QualityService")
        assert [method.name for method in file.service[0].method] == ["GetGates", "ListResults", "GetReport"]


async def test_health_and_admin_say_that_it_serves(served: Sidecar, channel: grpc.aio.Channel) -> None:
    """Health answers SERVING; /livez and /startupz answer 200; /metrics counts; anything else is 404."""
    health = health_pb2_grpc.HealthStub(channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    await _assign(channel, session_id="s-1")
    await _record(channel, a_session("s-1"))
    assert [_get(served, path)[0] for path in ("livez", "startupz", "snapshot")] == [200, 200, 404]
    metrics = _get(served, "metrics")[1]
    assert 'sluicegate_assignments_total{experiment="warmer-greeting"' in metrics
    assert re.search('sluicegate_sessions_total{.*outcome="accepted",sampled="true"} 1', metrics), metrics


def _get(served: Sidecar, path: str) -> tuple[int, str]:
    """Status and body of a page of the admin listener."""
    connection = HTTPConnection(served.admin, timeout=10)
    connection.request("GET", f"/{path}")
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


async def test_a_socket_serves_beside_tcp(valkey_url: str, redis: Redis, tmp_path: Path) -> None:
    """SLUICEGATE_LISTEN takes several addresses, unix sockets too, and a stale socket file is no obstacle."""
    path = tmp_path / "sluicegate.sock"
    (tmp_path / "e.yaml").write_text(EXPERIMENT)
    for _ in range(2):
        async with (
            sidecar(valkey_url, "receptionist", config=str(tmp_path / "e.yaml"), listen=f"unix:{path}") as running,
            grpc.aio.insecure_channel(f"unix:{path}") as channel,
        ):
            assert (await _assign(channel, session_id="s-1")).assignments
            await running.program.kill()


async def test_messages_of_the_wire_are_fit_for_any_language(channel: grpc.aio.Channel) -> None:
    """The configuration arrives as a Struct whose JSON is what the author of the experiment wrote."""
    for number in range(100):
        answer = await _assign(channel, session_id=f"s-{number}", caller_id=f"+1555{number}")
        if answer.assignments[0].variant == "warm":
            config = json.loads(json_format.MessageToJson(answer.assignments[0].config))
            assert config["parameters"] == {"temperature": 0.4, "topK": 3.0}
            return
    raise AssertionError("no caller of a hundred got the treatment at 20 %")


async def test_limits_that_are_set_hold(valkey_url: str, redis: Redis, tmp_path: Path) -> None:
    """A session over the default limits is taken where they were raised, and one over the lowered ones is refused."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    limits = "session_bytes=4194304,item_bytes=3000000,session_items=2"
    async with (
        sidecar(valkey_url, "receptionist", config=str(tmp_path), limits=limits) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        large = session_pb2.Session(session_id="s", items=[says(session_pb2.ROLE_USER, "x" * 3_000_000)])
        assert (await _record(channel, large)).outcome == session_pb2.RECORD_OUTCOME_ACCEPTED
        with pytest.raises(grpc.aio.AioRpcError, match="3 items; a session has at most 2"):
            await _record(channel, session_pb2.Session(session_id="t", items=[MESSAGE] * 3))
