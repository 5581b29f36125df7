"""What a RecordSession of 20 KB costs beside an echo of the same bytes and a raw XADD of the same bytes.

python bench/record_session.py
"""

import asyncio
import socket
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from statistics import median

from redis.asyncio import Redis

import workload
from figures import Figure, microseconds, ratio, report
from load import RECORD, caller_of, one_by_one
from parts import connected, data_plane, echo, sidecar, valkey
from sluicegate_sidecar.sessions.stream import decode

BLOCKS, BLOCK = 40, 25
FLOOR_STREAM = "floor"


def raw_xadds(connection: socket.socket, payloads: Sequence[bytes]) -> list[float]:
    """Seconds of an XADD from first byte to answer, over a plain socket, without any client."""
    took = []
    head = b"*5\r\n$4\r\nXADD\r\n$%d\r\n%b\r\n$1\r\n*\r\n$1\r\nd\r\n" % (len(FLOOR_STREAM), FLOOR_STREAM.encode())
    for payload in payloads:
        command = b"%b$%d\r\n%b\r\n" % (head, len(payload), payload)
        started = time.perf_counter()
        connection.sendall(command)
        answer = connection.recv(1024)
        took.append(time.perf_counter() - started)
        if not answer.startswith(b"$"):
            raise SystemExit(answer.decode(errors="replace"))
    return took


async def client_xadds(redis: Redis, payloads: Sequence[bytes]) -> list[float]:
    """Seconds of an XADD with the client that the sidecar has, too."""
    took = []
    for payload in payloads:
        started = time.perf_counter()
        await redis.xadd(FLOOR_STREAM, {"d": payload})
        took.append(time.perf_counter() - started)
    return took


async def is_redacted(redis: Redis) -> bool:
    """Whether the last session on the queue had its e-mail addresses replaced."""
    [(_, fields)] = await redis.xrevrange(workload.KEYS.queue, count=1)
    return any("[email]" in item.text for item in decode(fields[b"d"]).items)


async def measure() -> None:
    recorded: list[float] = []
    echoed: list[float] = []
    raw: list[float] = []
    client: list[float] = []
    async with AsyncExitStack() as stack:
        server = stack.enter_context(valkey())
        redis = await stack.enter_async_context(connected(server))
        await workload.deliver(redis)
        _, target = await stack.enter_async_context(sidecar(data_plane(server.connection_url)))
        record = await stack.enter_async_context(caller_of(target, RECORD))
        [first] = workload.record_requests("first", 1)
        _, floor = await stack.enter_async_context(echo(await record(first)))
        answer = await stack.enter_async_context(caller_of(floor, RECORD))
        connection = stack.enter_context(socket.create_connection((server.host, server.port)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(-2, BLOCKS):
            requests = workload.record_requests(str(number), BLOCK)
            block = (
                median(await one_by_one(record, requests)),
                median(await one_by_one(answer, requests)),
                median(raw_xadds(connection, requests)),
                median(await client_xadds(redis, requests)),
            )
            await redis.delete(FLOOR_STREAM)
            if number >= 0:  # Before that, everything is warming up.
                for rounds, value in zip((recorded, echoed, raw, client), block, strict=True):
                    rounds.append(value)
        redaction = "on" if await is_redacted(redis) else "not wired in"
    of_raw = [one + other for one, other in zip(echoed, raw, strict=True)]
    of_client = [one + other for one, other in zip(echoed, client, strict=True)]
    report(
        f"sessions of {len(first):,} B and {len(workload.transcript())} items, all sampled, redaction presets "
        f"{redaction}, append-only file synced every second, telemetry on",
        f"echo of the same bytes ({microseconds(median(echoed))}) + XADD of the same bytes",
        [
            Figure(
                what="RecordSession, median; XADD over a plain socket",
                measured=microseconds(median(recorded)),
                floor=microseconds(median(of_raw)),
                figure=ratio(recorded, of_raw),
                at_most=1.5,
            ),
            Figure(
                what="RecordSession, median; XADD with the sidecar's client",
                measured=microseconds(median(recorded)),
                floor=microseconds(median(of_client)),
                figure=ratio(recorded, of_client),
            ),
        ],
    )


def main() -> None:
    asyncio.run(measure())


if __name__ == "__main__":
    main()
