"""A process of the data plane as the child of another: started again when it ends, and never left behind.

The child's standard input is a pipe that only its parent holds. When it closes, because the parent asks for the end or
because it died, the child finishes what it has in hand and ends.
"""

import asyncio
import contextlib
import logging
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from typing import IO, Literal

RESTART_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Waits before the first, second … restart in a row; the last one repeats."""
LOW_PRIORITY = 10
"""Niceness of a child that has to leave the CPU to its parent wherever both want it."""
STABLE_AFTER_SECONDS = 60.0
"""A child that ran for so long starts the row of waits anew."""
END_SECONDS = 25.0
"""How long a child may take to end when it is asked to."""

log = logging.getLogger(__name__)


async def supervise(
    part: Literal["sidecar", "judge"], settings: Mapping[str, str], log_to: IO[bytes] | None = None
) -> None:
    """Runs `python -m sluicegate_sidecar PART` with `settings` added to the environment, until cancelled.

    The child logs to `log_to`, or where this process does.
    """
    restarts = 0
    while True:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sluicegate_sidecar", part, "--with-parent"),
            env={**os.environ, **settings},
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=log_to,
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _end(process)
            raise
        restarts = 0 if time.monotonic() - began > STABLE_AFTER_SECONDS else restarts
        wait = RESTART_SECONDS[min(restarts, len(RESTART_SECONDS) - 1)]
        restarts += 1
        log.error("the %s ended with code %s; starting it again in %g s", part, code, wait)
        await asyncio.sleep(wait)


async def _end(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), END_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def parent_gone() -> None:
    """In the child: returns when the parent has closed our standard input, or died."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass
