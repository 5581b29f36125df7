"""How much memory the data plane takes, and how long a sidecar takes from exec to SERVING.

python bench/footprint.py
"""

import asyncio
import socket
import sys
import time
from contextlib import AsyncExitStack
from statistics import median

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from redis.asyncio import Redis

import workload
from figures import Figure, report
from load import RECORD, caller_of
from parts import START_SECONDS, children, connected, data_plane, echo, endpoint, part, rss, sidecar, valkey

STARTS = 7
IDLE_SECONDS = 3.0
LIBRARIES = "import asyncio, grpc, redis.asyncio, grpc_health.v1.health, opentelemetry.sdk.metrics"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def start_seconds(redis_url: str) -> float:
    """From exec until health answers SERVING."""
    port = free_port()
    began = time.perf_counter()
    async with part("-m", "sluicegate_sidecar", **data_plane(redis_url, listen=f"127.0.0.1:{port}")):
        while time.perf_counter() - began < START_SECONDS:
            if await is_serving(port):
                return time.perf_counter() - began
            await asyncio.sleep(0.005)
    raise SystemExit("a sidecar did not come to serve")


async def is_serving(port: int) -> bool:
    """Asks once, over a connection of its own: one that was refused before would wait for a second."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def import_seconds(code: str) -> float:
    """From exec to the end of a Python that runs `code` and nothing else."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    await process.wait()
    return time.perf_counter() - began


async def starts(redis_url: str) -> list[Figure]:
    sidecars, libraries = [], []
    for _ in range(STARTS):
        sidecars.append(await start_seconds(redis_url))
        libraries.append(await import_seconds(LIBRARIES))
    return [
        Figure(
            what="exec to SERVING, median",
            measured=f"{median(sidecars):.2f} s",
            floor=f"{median(libraries):.2f} s",
            figure=median(sidecars),
            unit="s",
            at_most=1.0,
        )
    ]


async def idle(redis_url: str) -> Figure:
    async with sidecar(data_plane(redis_url)) as (running, _), echo(b"") as (floor, _):
        await asyncio.sleep(IDLE_SECONDS)
        used, least = rss(running.pid), rss(floor.pid)
    return Figure(
        what="sidecar, idle, judge off",
        measured=f"{used:.0f} MiB",
        floor=f"{least:.0f} MiB",
        figure=used,
        unit="MiB",
        at_most=60,
    )


async def after_a_judged_session(redis_url: str, redis: Redis) -> list[Figure]:
    """The sidecar and the judge process beside it, once a session was recorded, judged and scored."""
    async with AsyncExitStack() as stack:
        judge = await stack.enter_async_context(endpoint())
        running, target = await stack.enter_async_context(sidecar({**data_plane(redis_url, judge="inline"), **judge}))
        record = await stack.enter_async_context(caller_of(target, RECORD))
        await record(workload.record_requests("judged", 1)[0])
        async with asyncio.timeout(START_SECONDS):
            while not await redis.xlen(workload.KEYS.log):  # noqa: ASYNC110 – another process counts
                await asyncio.sleep(0.1)
        sizes = rss(running.pid), sum(rss(child) for child in children(running.pid))
    whats = "sidecar, after the first judged session", "its judge process, after the first judged session"
    return [
        Figure(what=what, measured=f"{size:.0f} MiB", figure=size, unit="MiB")
        for what, size in zip(whats, sizes, strict=True)
    ]


async def measure() -> None:
    with valkey() as server:
        async with connected(server) as redis:
            await workload.deliver(redis)
            figures = [
                await idle(server.connection_url),
                *await after_a_judged_session(server.connection_url, redis),
                *await starts(server.connection_url),
            ]
    report(
        f"a snapshot with {workload.PROMPT_BYTES:,} B prompts in Redis; resident memory, median of {STARTS} starts",
        "memory: a bare grpc.aio server; start: a Python that imports the libraries alone",
        figures,
    )


def main() -> None:
    asyncio.run(measure())


if __name__ == "__main__":
    main()
