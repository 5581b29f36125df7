"""`sluicegate up` as a person has it: a process that starts others, and leaves none of them behind."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from processes import environment
from redis.asyncio import Redis

from sluicegate_cli.synthetic_callers import caller_id, conversation
from sluicegate_cli.system import free_address

SECONDS = 30.0
COMMAND = (sys.executable, "-m", "sluicegate_cli")

RESOURCES = """\
apiVersion: sluicegate.dev/v1alpha1
kind: EvaluationPolicy
metadata: {name: reception}
spec:
  agent: receptionist
  sampling: {rate: 1.0}
  window: {minutes: 60, minSessions: 2}
---
apiVersion: sluicegate.dev/v1alpha1
kind: Experiment
metadata: {name: warmer-greeting}
spec:
  agent: receptionist
  variants:
    - {name: control, control: true, config: {systemPrompt: "Be polite."}}
    - {name: warm, config: {systemPrompt: "Be warm."}}
  ramp:
    steps: [{weight: 50, minSessions: 2}, {weight: 90, minSessions: 1000}]
    margin: 2
  analysis: {wait: 5s}
  sampling: {rate: 1.0}
"""


@dataclass
class Up:
    """A running `sluicegate up` and what it has printed."""

    process: Process
    lines: list[str] = field(default_factory=list)

    async def prints(self, pattern: str) -> re.Match[str]:
        """The first line that matches, once it is there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                while True:
                    for line in self.lines:
                        if found := re.search(pattern, line):
                            return found
                    if not await self._read():
                        break
        raise AssertionError(f"{pattern!r} was never printed:\n" + "".join(self.lines))

    async def ends(self) -> int:
        """Its exit code, once it has ended."""
        async with asyncio.timeout(SECONDS):
            while await self._read():
                pass
            return await self.process.wait()

    def count(self, pattern: str) -> int:
        return sum(bool(re.search(pattern, line)) for line in self.lines)

    async def _read(self) -> bool:
        assert self.process.stdout is not None
        self.lines.append((await self.process.stdout.readline()).decode())
        return self.lines[-1] != ""


@dataclass(frozen=True)
class Place:
    """Where one system of a test is to be: its files, data and addresses."""

    folder: Path
    listen: str = field(default_factory=free_address)
    admin: str = field(default_factory=free_address)

    @property
    def file(self) -> Path:
        return self.folder / "resources.yaml"

    @asynccontextmanager
    async def up(self, *more: str) -> AsyncIterator[Up]:
        """The process with everything at this place; killed at the end, with all that it started, if it still runs."""
        where = ("-f", str(self.file), "--data", str(self.folder), "--listen", self.listen, "--admin", self.admin)
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "up", *where, "--offline-judge", *more, stdout=PIPE, stderr=STDOUT, env=environment({})
        )
        up = Up(process)
        try:
            yield up
        finally:
            if process.returncode is None:
                process.terminate()
                await up.ends()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place with one experiment. Whatever still runs there in the end is killed."""
    place = Place(tmp_path)
    place.file.write_text(RESOURCES)
    yield place
    with contextlib.suppress(OSError, ValueError):
        os.kill(int((tmp_path / "valkey/valkey.pid").read_text()), signal.SIGKILL)


async def becomes(condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Returns when the condition holds."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"it never came true that {what}") from None


def processes() -> dict[int, tuple[int, str]]:
    """All processes but the dead that nobody has buried: id → id of the parent, and the command line."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True)
    found = {}
    for line in listed.stdout.splitlines():
        pid, parent, state, *command = line.split(maxsplit=3)
        if not state.startswith("Z"):
            found[int(pid)] = (int(parent), " ".join(command))
    return found


def descendants(root: int) -> dict[int, str]:
    """Everything that `root` started, directly or not."""
    everything, found = processes(), {}
    waiting = [root]
    while waiting:
        parent = waiting.pop()
        children = {pid: command for pid, (its_parent, command) in everything.items() if its_parent == parent}
        found.update(children)
        waiting += children
    return found


async def parts_of(up: Up) -> dict[int, str]:
    """Its processes, once the server, the sidecar and the judge are all there."""
    found: dict[int, str] = {}

    def complete() -> bool:
        found.clear()
        found.update(descendants(up.process.pid))
        return all(any(part in command for command in found.values()) for part in ("valkey", "sidecar", " judge"))

    await becomes(complete, "Valkey, sidecar and judge run")
    return found


def gone(pids: Sequence[int]) -> bool:
    return not set(pids) & processes().keys()


async def run(*words: str) -> tuple[int, str]:
    """A command to its end: exit code and all that it printed."""
    process = await asyncio.create_subprocess_exec(*COMMAND, *words, stdout=PIPE, stderr=STDOUT, env=environment({}))
    printed, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    return process.returncode or 0, printed.decode()


def recorded(path: Path, count: int) -> Path:
    """A file of so many synthetic calls, each by another caller."""
    with path.open("w") as file:
        for n in range(count):
            told = {"conversation_id": f"c-{n}", "caller_id": caller_id("up", n)}
            print(json.dumps({**told, "messages": conversation("up", n, "Be warm.")}), file=file)
    return path


async def test_sessions_go_through_and_nothing_is_left(place: Place) -> None:
    """A replay is recorded and judged, the ramp moves and says so, the account balances, and SIGTERM ends it all."""
    async with place.up() as up:
        redis_url = (await up.prints(r"^redis (\S+);"))[1]
        await up.prints("Ctrl-C ends it all")
        assert up.count(r"judge: offline-rules \(not a model\)") == 1
        assert up.count(r"Started +warmer-greeting +run 1 started at 50%") == 1
        pids = list(await parts_of(up))
        calls = str(recorded(place.folder / "calls.jsonl", 20))
        for outcome in ("20 accepted, to be judged", "20 duplicate"):
            code, printed = await run("replay", calls, "--target", place.listen)
            assert (code, outcome in printed) == (0, True), printed
        await up.prints(r"Advanced +warmer-greeting .*on to 90%")
        ask = ("account", "--agent", "receptionist", "--redis", redis_url)
        async with asyncio.timeout(SECONDS):
            while "waiting 0" not in (told := await run(*ask))[1]:
                pass
        assert told[0] == 0
        assert "acknowledged 20 = " in told[1]
        assert "scored 20" in told[1]
        up.process.terminate()
        assert await up.ends() == 0
        assert (up.count("Started"), up.count("Advanced")) == (1, 1)
        await becomes(lambda: gone(pids), "all its processes have ended")
    async with place.up() as again:
        await again.prints("Ctrl-C ends it all")
        await parts_of(again)
        again.process.terminate()
        assert await again.ends() == 0
        assert (again.count("Started"), again.count("Advanced")) == (0, 0), "what was told is not told again"


async def test_sigterm_while_it_starts(place: Place) -> None:
    """Told to end before it serves, it ends what it has started by then."""
    async with place.up() as up:
        await up.prints("Started")
        pids = list(descendants(up.process.pid))
        assert pids
        up.process.terminate()
        await up.ends()
        await becomes(lambda: gone(pids), "all its processes have ended", seconds=5)


async def test_edits_are_followed(place: Place) -> None:
    """A wrong file is told with line and field, and the last good state stays; a second experiment is told once."""
    async with place.up() as up:
        await up.prints("Ctrl-C ends it all")
        place.file.write_text(RESOURCES.replace("weight: 50", "weight: 500"))
        number = RESOURCES.partition("    steps")[0].count("\n") + 1
        await up.prints(rf"resources\.yaml:{number}: spec\.ramp\.steps\[0\]\.weight")
        await up.prints("the last good state stays in force")
        assert up.process.returncode is None
        place.file.write_text(RESOURCES.replace("Be warm", "Be hot"))
        await up.prints(r"Refused +warmer-greeting .*runId")
        second = RESOURCES.partition("---\n")[2].replace("warmer-greeting", "a-second")
        place.file.write_text(RESOURCES + "---\n" + second)
        await up.prints(r"Refused +a-second .*busy with warmer-greeting")
        place.file.write_text(second)
        await up.prints(r"Started +a-second")
        place.file.write_text(RESOURCES.partition("---\n")[0])
        await up.prints(r"Deleted +a-second")
        assert up.count("busy with") == 1
        assert up.count("the last good state stays") == 1


async def test_a_kill_leaves_no_sidecar_and_no_judge(place: Place) -> None:
    """After kill -9 nobody serves with an old snapshot; Valkey stays, and the next start says which process it is."""
    async with place.up() as up:
        redis_url = (await up.prints(r"^redis (\S+);"))[1]
        await up.prints("Ctrl-C ends it all")
        parts = await parts_of(up)
        up.process.kill()
        await up.ends()
    ours = [pid for pid, command in parts.items() if "valkey" not in command]
    assert len(ours) >= 2
    await becomes(lambda: gone(ours), "sidecar and judge have ended")
    async with Redis.from_url(redis_url) as redis:
        assert len(await redis.client_list()) == 1
    async with place.up() as again:
        assert await again.ends() == 1
    (valkey,) = [pid for pid, command in parts.items() if "valkey" in command]
    assert again.count(rf"a Valkey \(process {valkey}\) is at work in this folder") == 1
    assert again.count("Traceback") == 0


@pytest.mark.parametrize("which", ["listen", "admin"])
async def test_an_address_in_use_is_named(place: Place, which: str) -> None:
    """Told at once and by address; nothing is started, neither server nor folder."""
    address = place.listen if which == "listen" else place.admin
    host, _, port = address.rpartition(":")
    with socket.create_server((host, int(port))):
        async with place.up() as refused:
            assert await refused.ends() == 1
    assert refused.count(f"Error: {re.escape(address)} cannot be had") == 1
    assert not (place.folder / "valkey").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: [", "resources.yaml:"),
        (RESOURCES.replace("weight: 50", "weight: 500"), "spec.ramp.steps[0].weight"),
        (RESOURCES.replace("agent: receptionist", "agent: other", 1), "--agent: the files name other, receptionist"),
        (
            RESOURCES.replace("metadata: {", "metadata: {namespace: elsewhere, "),
            "the files name none in namespace default",
        ),
    ],
)
async def test_files_that_say_nothing_clear(place: Place, text: str, words: str) -> None:
    """Without resources that can be obeyed nothing starts, and the message says what to mend."""
    place.file.write_text(text)
    async with place.up() as refused:
        assert await refused.ends() == 1
    assert words in "".join(refused.lines)
    assert refused.count("Traceback") == 0
    assert not (place.folder / "valkey").exists()


async def test_without_a_judge_it_does_not_start(place: Place) -> None:
    """Neither a key nor an endpoint nor --offline-judge: a usage error that names all three."""
    code, printed = await run("up", "-f", str(place.file))
    assert code == 2
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "--offline-judge"):
        assert name in printed
