"""A process of the data plane as the child of another, with real processes."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path

import pytest
from captured import until
from processes import environment

from sluicegate_sidecar import child

SETTINGS = {
    "SLUICEGATE_AGENT": "receptionist",
    "SLUICEGATE_REDIS_URL": "redis://127.0.0.1:1/0",
    "OPENAI_API_KEY": "none",
    "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
}
"""Enough for a judge to start, and nothing for it to do."""

PARENT = f"""\
import asyncio, sys
from sluicegate_sidecar import child
asyncio.run(child.supervise("judge", {SETTINGS!r}, sys.stderr.buffer))
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    """The children that were started, as they come."""
    processes: list[Process] = []
    start = asyncio.create_subprocess_exec

    async def told(*arguments: str, **more: object) -> Process:
        processes.append(await start(*arguments, **more))  # type: ignore[arg-type]
        return processes[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", told)
    monkeypatch.setattr(child, "RESTART_SECONDS", (0.0,))
    monkeypatch.setattr(os, "environ", environment({}))
    return processes


def supervised(log: Path, settings: Mapping[str, str]) -> "asyncio.Task[None]":
    async def run() -> None:
        with log.open("ab") as file:
            await child.supervise("judge", settings, file)

    return asyncio.create_task(run())


async def end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_child_that_dies_is_started_again(tmp_path: Path, started: list[Process]) -> None:
    """Killed, it is started anew with the same settings; told to stop, it ends by itself and is not started again."""
    log = tmp_path / "log"
    supervisor = supervised(log, SETTINGS)
    try:
        await until(lambda: log.exists() and log.read_text().count("judging for agent receptionist") == 1)
        started[0].kill()
        await until(lambda: log.read_text().count("judging for agent receptionist") == 2)
    finally:
        await end(supervisor)
    assert [process.returncode for process in started] == [-9, 0]


async def test_a_judge_leaves_the_cpu_to_its_parent(tmp_path: Path, started: list[Process]) -> None:
    """Beside a sidecar it runs at a low priority, and what answers callers goes first."""
    log = tmp_path / "log"
    supervisor = supervised(log, SETTINGS)
    try:
        await until(lambda: log.exists() and "judging for agent" in log.read_text())
        niceness = os.getpriority(os.PRIO_PROCESS, started[0].pid)
    finally:
        await end(supervisor)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert niceness == min(own + child.LOW_PRIORITY, 19)


async def test_a_child_that_cannot_start_is_tried_again(
    tmp_path: Path, started: list[Process], caplog: pytest.LogCaptureFixture
) -> None:
    """Each end is told with its code and the wait that follows."""
    supervisor = supervised(tmp_path / "log", {**SETTINGS, "SLUICEGATE_AGENT": "no/name"})
    try:
        await until(lambda: len(started) >= 3)
    finally:
        await end(supervisor)
    assert started[0].returncode == 2
    assert "the judge ended with code 2; starting it again in 0 s" in caplog.text


async def test_a_child_that_does_not_end_is_killed(
    tmp_path: Path, started: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked to end and stopped meanwhile, it is not waited for for ever."""
    monkeypatch.setattr(child, "END_SECONDS", 0.05)
    log = tmp_path / "log"
    supervisor = supervised(log, SETTINGS)
    try:
        await until(lambda: log.exists() and "judging for agent" in log.read_text())
        started[0].send_signal(signal.SIGSTOP)
    finally:
        await end(supervisor)
    assert started[0].returncode == -9


async def test_a_child_ends_with_its_parent() -> None:
    """A parent that is killed -9 leaves no child behind: nobody holds its standard error any more."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT), env=environment({}), stdin=PIPE, stderr=PIPE
    )
    assert parent.stderr is not None
    async with asyncio.timeout(60):
        while b"judging for agent" not in await parent.stderr.readline():
            pass
        parent.kill()
        await parent.wait()
        await parent.stderr.read()
