"""Real processes for tests: sidecar and judge as programs of their own, on free ports, ended by their id."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

START_SECONDS = 30.0


@dataclass(slots=True)
class Program:
    """A running process and what it has logged."""

    process: Process
    log: list[str] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def logs(self, pattern: str) -> re.Match[str]:
        """The first log line that matches, once it is there; AssertionError with the log if it never comes."""
        seen = 0
        async with asyncio.timeout(START_SECONDS):
            while True:
                self.more.clear()
                for line in self.log[seen:]:
                    if found := re.search(pattern, line):
                        return found
                seen = len(self.log)
                ended = self.process.returncode is not None and self.process.stderr is None
                assert not ended, f"{pattern!r} was never logged:\n" + "\n".join(self.log)
                await self.more.wait()

    async def kill(self) -> None:
        """Ends it as a power cut would."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def end(self) -> int:
        """Asks it to end; its exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), START_SECONDS)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without any setting of ours or of the judge's, and with `settings`."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICEGATE_", "OPENAI_"))}
    return {**own, **settings}


@asynccontextmanager
async def program(part: str, settings: Mapping[str, str], within: Sequence[str] = ()) -> AsyncIterator[Program]:
    """`sluicegate PART` with these settings alone. `within`: a command that runs the one behind it in its place."""
    process = await asyncio.create_subprocess_exec(
        *(*within, sys.executable, "-m", "sluicegate_cli", part), env=environment(settings), stdout=PIPE, stderr=PIPE
    )
    running = Program(process)

    async def read() -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            running.log.append(line.decode(errors="replace").rstrip())
            running.more.set()

    reader = asyncio.create_task(read())
    try:
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), START_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        await reader


async def command(agent: str, redis_url: str, *words: str) -> tuple[int, str]:
    """`sluicegate WORDS` for an agent, to its end: the exit code, and all that it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sluicegate_cli", *words, "--agent", agent, "--redis", redis_url),
        env=environment({}),
        stdout=PIPE,
        stderr=STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, printed.decode()


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A sidecar that serves."""

    program: Program
    target: str
    admin: str


@asynccontextmanager
async def sidecar(
    redis_url: str, agent: str, *, within: Sequence[str] = (), beside: Mapping[str, str] | None = None, **settings: str
) -> AsyncIterator[Sidecar]:
    """A sidecar on free ports, once it says that it serves. Settings are lower-case: `judge="off"`.

    `within`: as of `program`. `beside`: variables that are no settings of ours.
    """
    named = {f"SLUICEGATE_{name.upper()}": value for name, value in settings.items()}
    defaults = {
        "SLUICEGATE_LISTEN": "127.0.0.1:0",
        "SLUICEGATE_ADMIN": "127.0.0.1:0",
        "SLUICEGATE_REDIS_URL": redis_url,
        "SLUICEGATE_AGENT": agent,
        "SLUICEGATE_JUDGE": "off",
    }
    async with program("sidecar", {**defaults, **named, **(beside or {})}, within) as running:
        serves = await running.logs(r"serving agent \S+ on (\S+), admin on (\S+)")
        yield Sidecar(running, serves[1], serves[2])
