"""The report of an experiment, from the controller through Redis and the sidecar to whoever asks."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from processes import Sidecar, command, sidecar
from ramps import a_record, an_experiment, stored_gates, stored_sums
from redis.asyncio import Redis

from sluicegate.keys import Keys
from sluicegate.policy import Policy
from sluicegate.snapshot import pack
from sluicegate.v1 import quality_pb2, quality_pb2_grpc
from sluicegate_operator.analysis.scores import Scores
from sluicegate_operator.delivery.reports import Reports
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_operator.publishing import Publishing
from sluicegate_operator.standalone import Controller

AGENT, NAME = "receptionist", "warmer-greeting"
KEYS = Keys("default", AGENT)
RESOURCE = replace(an_experiment(), wait_seconds=1.0)
BAD = "The agent hung up on the caller."


@pytest.fixture
async def served(valkey_url: str, redis: Redis) -> AsyncIterator[Sidecar]:
    # With a policy in force it starts at once; without one it waits.
    await Delivery(redis, KEYS).put_policy(Policy(), 0, 1)
    async with sidecar(valkey_url, AGENT) as running:
        yield running


async def looked(redis: Redis) -> None:
    """A controller looked, and published."""
    scores = Scores(redis, KEYS)
    publishing = Publishing(Reports(redis, KEYS), scores)
    await Controller(Delivery(redis, KEYS), scores, lambda _: None, publishing).look(RESOURCE, Policy(), time.time())


async def some_sessions(redis: Redis) -> None:
    """Twelve sessions of each variant were scored, one of them badly."""
    now = time.time()
    for number in range(24):
        variant = ("warm", "control")[number % 2]
        score = 1 if number == 4 else 4 + number % 2
        record = a_record(
            f"s-{number}",
            variant,
            weight=0.5,
            caller_hash=f"c-{number}",
            assigned_at=now - 20 + number / 10,
            scores={"task_completion": score},
            reasons={"task_completion": BAD if score == 1 else "Done."},
        )
        await redis.xadd(KEYS.log, {"d": pack(record)}, id=f"{int((now - 19) * 1000) + number * 100}-0")
    await redis.hset(KEYS.gates, f"{NAME}/1/warm", stored_gates())
    await redis.hset(KEYS.sums, f"{NAME}/1/warm", stored_sums(now))


async def asked(served: Sidecar, experiment: str = NAME, agent: str = "") -> dict[str, object]:
    async with grpc.aio.insecure_channel(served.target) as channel:
        request = quality_pb2.GetReportRequest(agent=agent, experiment=experiment)
        answer = await quality_pb2_grpc.QualityServiceStub(channel).GetReport(request, timeout=20)
        document: dict[str, object] = json.loads(answer.json)
        return document


async def test_the_sidecar_serves_what_the_controller_published(redis: Redis, served: Sidecar) -> None:
    """The same document, whole; `schema` and `at` tell what it is and how old."""
    await some_sessions(redis)
    await looked(redis)
    report = await asked(served, agent=AGENT)
    assert report == json.loads(await redis.hget(KEYS.reports, NAME))
    assert (report["schema"], report["experiment"], report["phase"]) == (1, NAME, "Ramping")
    assert time.time() - float(str(report["at"])) < 60


@pytest.mark.parametrize(
    ("experiment", "agent", "code", "told"),
    [
        (NAME, "", grpc.StatusCode.NOT_FOUND, "no report of 'warmer-greeting': is that its name, and is a controller"),
        (NAME, "other", grpc.StatusCode.NOT_FOUND, "'other' is not served here"),
        ("", "", grpc.StatusCode.INVALID_ARGUMENT, "experiment: empty"),
        ("x" * 300, "", grpc.StatusCode.INVALID_ARGUMENT, "300 bytes"),
    ],
)
async def test_what_is_not_there_is_said_so(
    served: Sidecar, experiment: str, agent: str, code: grpc.StatusCode, told: str
) -> None:
    """A status code for each, with the field or the way out."""
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await asked(served, experiment, agent)
    assert failure.value.code() == code
    assert told in str(failure.value.details())


async def test_an_erased_session_leaves_the_report(valkey_url: str, redis: Redis, served: Sidecar) -> None:
    """What the judge said of it is served before, not at all right after, and never again."""
    await some_sessions(redis)
    await looked(redis)
    assert BAD in json.dumps(await asked(served))
    assert await command(AGENT, valkey_url, "erase", "--session", "s-4") == (0, "1 sessions erased\n")
    with pytest.raises(grpc.aio.AioRpcError, match="no report"):
        await asked(served)
    await looked(redis)
    report = json.dumps(await asked(served))
    assert BAD not in report
    assert '"s-4"' not in report
    assert '"s-22"' in report


async def test_the_command_shows_the_same_as_table_json_and_page(valkey_url: str, redis: Redis, tmp_path: Path) -> None:
    """Three faces of one report, each with the numbers of the log and the judge's reasons."""
    await some_sessions(redis)
    await looked(redis)
    code, table = await command(AGENT, valkey_url, "report", NAME)
    assert (code, "12 of 20 sessions of warm counted" in table, BAD in table) == (0, True, True), table
    code, printed = await command(AGENT, valkey_url, "report", NAME, "--json")
    report = json.loads(printed)
    assert (code, report["variants"][0]["compared"], report["worst"][0]["session_id"]) == (0, 12, "s-4")
    published = json.loads(await redis.hget(KEYS.reports, NAME))
    moving = {"at", "decision"}
    assert {k: v for k, v in report.items() if k not in moving} == {
        k: v for k, v in published.items() if k not in moving
    }
    path = tmp_path / "report.html"
    assert await command(AGENT, valkey_url, "report", NAME, "--html", str(path)) == (0, f"written to {path}\n")
    assert BAD in path.read_text(encoding="utf-8")


async def test_a_report_that_cannot_be_made_is_an_error_with_a_way_out(
    valkey_url: str, redis: Redis, tmp_path: Path
) -> None:
    """An unknown name, two forms at once, a place that cannot be written to, a Redis that is not there."""
    await looked(redis)
    code, printed = await command(AGENT, valkey_url, "report", "cooler-greeting")
    assert (code, "no such experiment of receptionist; known are: warmer-greeting" in printed) == (1, True)
    code, printed = await command(AGENT, valkey_url, "report", NAME, "--json", "--html", "x.html")
    assert (code, "either --json or --html" in printed) == (2, True)
    code, printed = await command(AGENT, valkey_url, "report", NAME, "--html", str(tmp_path / "no" / "x.html"))
    assert (code, "x.html cannot be written" in printed) == (1, True)
    code, printed = await command(AGENT, "redis://127.0.0.1:1/0", "report", NAME)
    assert (code, "--redis: the snapshot cannot be read" in printed) == (1, True)


async def test_without_a_state_in_redis_the_published_report_is_shown(valkey_url: str, redis: Redis) -> None:
    """Where the controller keeps its state elsewhere, its report is what there is."""
    await some_sessions(redis)
    await looked(redis)
    await redis.delete(KEYS.rollout)
    code, printed = await command(AGENT, valkey_url, "report", NAME, "--json")
    assert (code, json.loads(printed)) == (0, json.loads(await redis.hget(KEYS.reports, NAME)))
