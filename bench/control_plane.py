"""What 1,000 experiments cost the operator, and how long an applied change takes to reach the sidecars.

PYTHONPATH=tests/support python bench/control_plane.py (needs kube-apiserver and etcd; some five minutes)
"""

import asyncio
import itertools
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from api_server import ADMIN_TOKEN, APPLY, ApiServer, api_server
from operators import kubeconfig
from redis.asyncio import Redis

from figures import Figure, percentile, report
from parts import Part, connected, cpu_seconds, data_plane, part, rss, sidecar, valkey
from sluicegate.keys import Keys
from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc
from sluicegate_operator.cluster.api import API_VERSION, GROUP, Access, Api, api

MANY = 1_000
PROMPT = "You are the receptionist of a dental practice. " * 85
"""4 KB in each of two variants."""
NAMESPACE = "many"
AT_ONCE = 8
IDLE_SECONDS = 60.0
SETTLING_SECONDS = 150.0
"""Looks grow rare where nothing happens; what is measured is the rest that they come to."""
SIDECARS = 20
ROUNDS = 50
ASK_SECONDS = 0.02


def an_experiment(number: int) -> dict[str, Any]:
    variants = [
        {"name": "control", "control": True, "config": {"systemPrompt": PROMPT}},
        {"name": "warm", "config": {"systemPrompt": PROMPT[::-1]}},
    ]
    return {
        "apiVersion": API_VERSION,
        "kind": "Experiment",
        "metadata": {"name": f"experiment-{number}", "namespace": NAMESPACE},
        "spec": {"agent": f"agent-{number}", "runId": "0", "variants": variants},
    }


async def for_all(work: Any) -> float:
    """Calls `work` with each number, some at once; seconds."""
    began, numbers = time.perf_counter(), iter(range(MANY))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(worker())
    return time.perf_counter() - began


@asynccontextmanager
async def administrator(server: ApiServer) -> AsyncIterator[Api]:
    trust = ssl.create_default_context(cafile=str(server.ca_file))
    async with api(lambda: Access(server.url, {"Authorization": f"Bearer {ADMIN_TOKEN}"}, trust)) as client:
        yield client


async def metrics(running: Part) -> dict[str, float]:
    address = (await running.logs(r"metrics on (\S+)"))[1]
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    body = (await reader.read()).partition(b"\r\n\r\n")[2].decode()
    writer.close()
    return {name: float(value) for name, value in (line.split() for line in body.splitlines())}


async def started(redis: Redis) -> float:
    """Seconds until the sidecars of all agents could have an experiment."""
    began = time.perf_counter()
    missing = {Keys(NAMESPACE, f"agent-{number}").snapshot for number in range(MANY)}
    while missing:
        pipe = redis.pipeline(transaction=False)
        asked = list(missing)
        for name in asked:
            pipe.hexists(name, "experiment")
        there = await pipe.execute()
        missing -= {name for name, is_there in zip(asked, there, strict=True) if is_there}
        await asyncio.sleep(0.1)
    return time.perf_counter() - began


async def at_rest(running: Part) -> tuple[float, float, float]:
    """The share of a core that it takes, its memory in MiB, and the status writes, once looks have grown rare."""
    await asyncio.sleep(SETTLING_SECONDS)
    before, cpu, began = await metrics(running), cpu_seconds(running.pid), time.perf_counter()
    await asyncio.sleep(IDLE_SECONDS)
    share = (cpu_seconds(running.pid) - cpu) / (time.perf_counter() - began)
    name = "sluicegate_operator_status_writes_total"
    return share, rss(running.pid), (await metrics(running))[name] - before[name]


async def reached(client: Api, url: str) -> list[float]:
    """Seconds from an apply until a new session at each of the sidecars is of the new run."""
    took: list[float] = []
    path, sessions = f"{GROUP}/namespaces/{NAMESPACE}/experiments/experiment-0", itertools.count()
    async with AsyncExitStack() as stack:
        agents = []
        for _ in range(SIDECARS):
            environment = data_plane(url, namespace=NAMESPACE, agent="agent-0")
            _, target = await stack.enter_async_context(sidecar(environment))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(target))
            agents.append(assignment_pb2_grpc.AssignmentServiceStub(channel))

        async def has(agent: "assignment_pb2_grpc.AssignmentServiceAsyncStub", run: str, since: float) -> None:
            async with asyncio.timeout(60):
                while True:
                    asked = assignment_pb2.AssignRequest(session_id=f"s-{next(sessions)}", caller_id="+15550100")
                    (assignment,) = (await agent.Assign(asked)).assignments
                    if assignment.run_id == run:
                        took.append(time.perf_counter() - since)
                        return
                    await asyncio.sleep(ASK_SECONDS)

        for number in range(1, ROUNDS + 1):
            began = time.perf_counter()
            await client.request("PATCH", path, {"spec": {"runId": str(number)}}, "application/merge-patch+json")
            await asyncio.gather(*(has(agent, str(number), began) for agent in agents))
    return took


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder, api_server(Path(folder)) as server, valkey() as redis_server:
        server.install_crds()
        server.create_namespace(NAMESPACE)
        async with administrator(server) as client, connected(redis_server) as redis:
            path = f"{GROUP}/namespaces/{NAMESPACE}/experiments"
            await for_all(lambda number: client.request("POST", path, an_experiment(number)))

            async def told(number: int) -> None:
                metadata = {"name": f"experiment-{number}", "namespace": NAMESPACE}
                body = {
                    "apiVersion": API_VERSION,
                    "kind": "Experiment",
                    "metadata": metadata,
                    "status": {"message": "-"},
                }
                await client.request("PATCH", f"{path}/experiment-{number}/status", body, APPLY, fieldManager="bench")

            floor = await for_all(told)
            settings = {
                "KUBECONFIG": kubeconfig(server, NAMESPACE),
                "SLUICEGATE_REDIS_URL": redis_server.connection_url,
                "SLUICEGATE_WATCH_NAMESPACES": NAMESPACE,
                "SLUICEGATE_ADMIN": "127.0.0.1:0",
                "SLUICEGATE_LEASE_NAMESPACE": NAMESPACE,
            }
            async with part("-m", "sluicegate_cli", "operator", **settings) as running:
                await running.logs("this operator acts")
                everything = await started(redis)
                share, memory, writes = await at_rest(running)
                took = await reached(client, redis_server.connection_url)
    tell(everything, floor, share, memory, writes, took)


def tell(everything: float, floor: float, share: float, memory: float, writes: float, took: list[float]) -> None:
    figures = [
        Figure(
            what="all reconciled from nothing",
            measured=f"{everything:.1f} s",
            floor=f"{floor:.1f} s",
            figure=everything,
            unit="s",
            at_most=15,
        ),
        Figure(what="idle: share of a core", measured=f"{share:.2%}", figure=100 * share, unit="%", at_most=1.5),
        Figure(what="idle: memory", measured=f"{memory:.0f} MiB", figure=memory, unit="MiB", at_most=120),
        Figure(what="idle: status writes", measured=f"{writes:.0f} in a minute", figure=writes, unit="", at_most=0),
        Figure(
            what="apply → in the sidecars, p99",
            measured=f"{percentile(took, 0.99):.3f} s",
            figure=percentile(took, 0.99),
            unit="s",
            at_most=2,
        ),
        Figure(what="apply → in the sidecars, median", measured="", figure=percentile(took, 0.5), unit="s"),
    ]
    report(
        f"{MANY} experiments of 8 KiB, an agent each; {ROUNDS} new runs of one of them, followed by {SIDECARS} "
        "sidecars",
        f"{MANY} status writes of a bare client, {AT_ONCE} at a time, to the same API server",
        figures,
    )


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except pytest.skip.Exception as missing:
        print(f"skipped: {missing}", file=sys.stderr)
