"""The same caller gets the same variant, whichever process is asked."""

import asyncio
from pathlib import Path

import grpc
from processes import sidecar
from redis.asyncio import Redis
from told import EXPERIMENT

from sluicegate.bucketing import in_treatment
from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc

CALLERS = 3_000


async def _variants(target: str) -> list[str]:
    """The variants of all callers, each asked for in a session of its own."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub = assignment_pb2_grpc.AssignmentServiceStub(channel)
        variants: list[str] = []
        for batch in range(0, CALLERS, 200):
            asks = [
                assignment_pb2.AssignRequest(caller_id=f"+1555{number:07d}", session_id=f"{target}-{number}")
                for number in range(batch, batch + 200)
            ]
            answers = await asyncio.gather(*(stub.Assign(ask, timeout=10) for ask in asks))
            variants += [answer.assignments[0].variant for answer in answers]
        return variants


async def test_a_second_process_gives_the_same_assignments(valkey_url: str, redis: Redis, tmp_path: Path) -> None:
    """Two sidecars, one started after the other ended, and the pure rule: 3,000 callers, one answer each."""
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    answers = []
    for _ in range(2):
        async with sidecar(valkey_url, "receptionist", config=str(tmp_path)) as running:
            answers.append(await _variants(running.target))
    salt = "warmer-greeting/1"
    by_rule = ["warm" if in_treatment(salt, f"+1555{n:07d}", 0.2) else "control" for n in range(CALLERS)]
    assert answers[0] == answers[1] == by_rule
    assert 500 < by_rule.count("warm") < 700
