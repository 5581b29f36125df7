"""Load on a gRPC server, as bytes that were made beforehand, so that the client costs the least that it can."""

import asyncio
import itertools
import multiprocessing
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc

ASSIGN = "/sluicegate.v1.AssignmentService/Assign"
RECORD = "/sluicegate.v1.SessionService/RecordSession"
TIMEOUT_SECONDS = 20.0

Call = Callable[[bytes], Awaitable[bytes]]


@asynccontextmanager
async def caller_of(target: str, method: str) -> AsyncIterator[Call]:
    """Calls one method with bytes, over one connection."""
    async with grpc.aio.insecure_channel(target) as channel:
        raw: Any = channel.unary_unary(method)

        async def call(request: bytes) -> bytes:
            answer: bytes = await raw(request, timeout=TIMEOUT_SECONDS)
            return answer

        yield call


async def one_by_one(call: Call, requests: Sequence[bytes]) -> list[float]:
    """Seconds that each call took, with one call in flight."""
    took = []
    for request in requests:
        started = time.perf_counter()
        await call(request)
        took.append(time.perf_counter() - started)
    return took


async def paced(call: Call, requests: Sequence[bytes], per_second: float) -> list[float]:
    """Seconds from when each call was due to its answer, at a steady rate that no slow answer holds up."""
    began = time.perf_counter()

    async def one(due: float, request: bytes) -> float:
        await call(request)
        return time.perf_counter() - due

    tasks = []
    for number, request in enumerate(requests):
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        # From when it was made, where this process itself was late: that is not the server's.
        tasks.append(asyncio.create_task(one(max(due, time.perf_counter()), request)))
    return list(await asyncio.gather(*tasks))


@contextmanager
def clients(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes to flood a server from: one alone is slower than the server."""
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


async def flood(
    pool: ProcessPoolExecutor, count: int, target: str, method: str, requests: Sequence[bytes], seconds: float
) -> float:
    """Calls per second that the server answers to `count` clients of 16 calls in flight each."""
    loop = asyncio.get_running_loop()
    share = len(requests) // count
    parts = [requests[i * share : (i + 1) * share] for i in range(count)]
    rates = [loop.run_in_executor(pool, _flood_from_here, target, method, part, seconds) for part in parts]
    return sum(await asyncio.gather(*rates))


def _flood_from_here(target: str, method: str, requests: Sequence[bytes], seconds: float) -> float:
    return asyncio.run(_flood(target, method, requests, seconds))


async def _flood(target: str, method: str, requests: Sequence[bytes], seconds: float) -> float:
    async with caller_of(target, method) as call:
        await call(requests[0])
        coming, answered = itertools.cycle(requests), 0
        began = time.perf_counter()

        async def keep_calling() -> None:
            nonlocal answered
            while time.perf_counter() - began < seconds:
                await call(next(coming))
                answered += 1

        await asyncio.gather(*(keep_calling() for _ in range(16)))
        return answered / (time.perf_counter() - began)
