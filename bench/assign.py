"""What an Assign costs beside a bare grpc.aio echo of the same bytes, and what a busy judge does to it.

python bench/assign.py
"""

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from statistics import median

from redis.asyncio import Redis

import workload
from figures import Figure, microseconds, milliseconds, percentile, ratio, report
from load import ASSIGN, Call, caller_of, clients, flood, one_by_one, paced
from parts import Part, connected, cpu_seconds, data_plane, echo, endpoint, sidecar, valkey
from sluicegate.snapshot import Snapshot
from sluicegate_sidecar.server.sessions import told_item
from sluicegate_sidecar.sessions.capture import ToldSession, capture
from sluicegate_sidecar.sessions.stream import encode

BLOCKS, BLOCK = 30, 100
FLOODS, FLOOD_SECONDS = 5, 1.5
FLOOD_REQUESTS = 16_000
TAILS, TAIL_CALLS, TAIL_PER_SECOND = 5, 500, 300.0
WAITING = 4_000
"""Sessions in the queue at the start of a saturated round: more than are judged within it."""


@dataclass(slots=True)
class Rounds:
    """One value for each round: of the sidecar, and of the floor."""

    measured: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)


async def latency(sidecar_call: Call, echo_call: Call) -> Rounds:
    """Medians of blocks of calls, one in flight, by turns."""
    rounds = Rounds()
    for number in range(-2, BLOCKS):
        requests = workload.assign_requests(f"latency-{number}", BLOCK)
        measured, floor = await one_by_one(sidecar_call, requests), await one_by_one(echo_call, requests)
        if number >= 0:  # Before that, everything is warming up.
            rounds.measured.append(median(measured))
            rounds.floor.append(median(floor))
    return rounds


async def throughput(
    pool: ProcessPoolExecutor, served: tuple[Part, str], floor: tuple[Part, str]
) -> tuple[Rounds, Rounds]:
    """Calls a second, and the server's CPU for each."""
    rates, cpu = Rounds(), Rounds()
    for number in range(-1, FLOODS):
        requests = workload.assign_requests(f"flood-{number}", FLOOD_REQUESTS)
        for (process, target), kept, spent in (
            (served, rates.measured, cpu.measured),
            (floor, rates.floor, cpu.floor),
        ):
            before = cpu_seconds(process.pid)
            rate = await flood(pool, 2, target, ASSIGN, requests, FLOOD_SECONDS)
            if number >= 0:
                kept.append(rate)
                spent.append((cpu_seconds(process.pid) - before) / (rate * FLOOD_SECONDS))
    return rates, cpu


async def tails(sidecar_call: Call, echo_call: Call, redis: Redis) -> tuple[Rounds, Rounds, int]:
    """The p99 while the judge is saturated (measured) and idle (floor), of the sidecar and of the echo; and how many
    sessions were judged meanwhile."""
    of_sidecar, of_echo, judged = Rounds(), Rounds(), 0
    for number in range(TAILS):
        requests = workload.assign_requests(f"tail-{number}", 4 * TAIL_CALLS)
        parts = [requests[i::4] for i in range(4)]
        of_sidecar.floor.append(percentile(await paced(sidecar_call, parts[0], TAIL_PER_SECOND), 0.99))
        of_echo.floor.append(percentile(await paced(echo_call, parts[1], TAIL_PER_SECOND), 0.99))
        before = await redis.xlen(workload.KEYS.log)
        await fill_queue(redis, str(number))
        while await redis.xlen(workload.KEYS.log) < before + 20:  # noqa: ASYNC110 – another process counts
            await asyncio.sleep(0.05)
        of_sidecar.measured.append(percentile(await paced(sidecar_call, parts[2], TAIL_PER_SECOND), 0.99))
        of_echo.measured.append(percentile(await paced(echo_call, parts[3], TAIL_PER_SECOND), 0.99))
        if not await redis.xlen(workload.KEYS.queue):
            print("note: the queue ran empty, so that the judge was not saturated for all of a round")
        judged += await redis.xlen(workload.KEYS.log) - before
        await empty_queue(redis)
    return of_sidecar, of_echo, judged


async def fill_queue(redis: Redis, label: str) -> None:
    """Has WAITING sessions wait for the judge, each with an id of its own."""
    items = tuple(told_item(item) for item in workload.transcript())
    snapshot, pipe = Snapshot(policy=workload.POLICY), redis.pipeline(transaction=False)
    for number in range(WAITING):
        name = f"waiting-{label}-{number}"
        told = ToldSession(
            session_id=name, caller_id="", items=items, started_at=0.0, ended_at=0.0, end_reason="COMPLETED"
        )
        session, _ = capture(told, snapshot, None, b"key", time.time())
        pipe.xadd(workload.KEYS.queue, {"d": encode(session)})
    await pipe.execute()


async def empty_queue(redis: Redis) -> None:
    """Takes the rest away, and waits until what was in hand is judged."""
    await redis.xtrim(workload.KEYS.queue, maxlen=0)
    seen = -1
    while seen != (seen := await redis.xlen(workload.KEYS.log)):  # noqa: ASYNC110 – another process counts
        await asyncio.sleep(0.5)


def told(latencies: Rounds, rates: Rounds, cpu: Rounds, sidecar_tails: Rounds, echo_tails: Rounds) -> list[Figure]:
    return [
        Figure(
            what="Assign, median, one call in flight",
            measured=microseconds(median(latencies.measured)),
            floor=microseconds(median(latencies.floor)),
            figure=ratio(latencies.measured, latencies.floor),
            at_most=1.15,
        ),
        Figure(
            what="Assign, throughput, 32 calls in flight",
            measured=f"{median(rates.measured):,.0f} /s",
            floor=f"{median(rates.floor):,.0f} /s",
            figure=ratio(rates.measured, rates.floor),
            at_least=0.85,
        ),
        Figure(
            what="the server's CPU for each of these",
            measured=microseconds(median(cpu.measured)),
            floor=microseconds(median(cpu.floor)),
            figure=ratio(cpu.measured, cpu.floor),
        ),
        Figure(
            what="Assign, p99, inline judge saturated ÷ idle",
            measured=milliseconds(median(sidecar_tails.measured)),
            floor=f"{milliseconds(median(sidecar_tails.floor))} idle",
            figure=ratio(sidecar_tails.measured, sidecar_tails.floor),
            at_most=2.0,
        ),
        Figure(
            what="the echo's p99 beside the same judge ÷ idle",
            measured=milliseconds(median(echo_tails.measured)),
            floor=f"{milliseconds(median(echo_tails.floor))} idle",
            figure=ratio(echo_tails.measured, echo_tails.floor),
        ),
    ]


async def measure() -> None:
    async with AsyncExitStack() as stack:
        server = stack.enter_context(valkey())
        redis = await stack.enter_async_context(connected(server))
        await workload.deliver(redis)
        judge = await stack.enter_async_context(endpoint())
        environment = {**data_plane(server.connection_url, judge="inline"), **judge}
        served = await stack.enter_async_context(sidecar(environment))
        sidecar_call = await stack.enter_async_context(caller_of(served[1], ASSIGN))
        [request] = workload.assign_requests("first", 1)
        floor = await stack.enter_async_context(echo(await sidecar_call(request)))
        echo_call = await stack.enter_async_context(caller_of(floor[1], ASSIGN))
        await served[0].logs("judging for agent")
        latencies = await latency(sidecar_call, echo_call)
        with clients(2) as pool:
            rates, cpu = await throughput(pool, served, floor)
        sidecar_tails, echo_tails, judged = await tails(sidecar_call, echo_call, redis)
    report(
        f"{workload.PROMPT_BYTES:,} B prompts, {workload.CALLERS:,} callers, each call a new session, telemetry on, "
        f"snapshot in Redis; saturated: {judged:,} sessions of 20 KB judged during {TAILS} rounds at "
        f"{TAIL_PER_SECOND:g} calls a second",
        "a bare grpc.aio server that answers with the same bytes; by turns with the sidecar",
        told(latencies, rates, cpu, sidecar_tails, echo_tails),
    )


def main() -> None:
    asyncio.run(measure())


if __name__ == "__main__":
    main()
