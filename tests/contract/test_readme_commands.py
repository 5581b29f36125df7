"""The README's commands, typed as a newcomer types them."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from processes import environment

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SECONDS = 100.0


async def _run(folder: Path, *words: str) -> tuple[int, str]:
    """Runs a command of `.venv/bin` to its end: exit code and all that it printed."""
    process = await asyncio.create_subprocess_exec(
        str(BIN / words[0]), *words[1:], cwd=folder, env=environment({}), stdout=PIPE, stderr=STDOUT
    )
    printed, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    return process.returncode or 0, printed.decode()


@asynccontextmanager
async def _up(folder: Path, *words: str) -> AsyncIterator[tuple[Process, str, str]]:
    """`sluicegate up …` until it serves: the process, the sidecar's address and Redis's."""
    process = await asyncio.create_subprocess_exec(
        *(str(BIN / "sluicegate"), "up", *words),
        cwd=folder,
        env=environment({"PYTHONUNBUFFERED": "1"}),
        stdout=PIPE,
        stderr=STDOUT,
    )
    assert process.stdout is not None
    printed = ""
    try:
        async with asyncio.timeout(SECONDS):
            while "Ctrl-C ends it all" not in printed:
                line = await process.stdout.readline()
                assert line, f"it ended:\n{printed}"
                printed += line.decode()
        target, redis = re.search(r" on (\S+);", printed), re.search(r"redis (\S+);", printed)
        assert target
        assert redis
        yield process, target[1], redis[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), SECONDS)


async def test_up_agent_replay_account(tmp_path: Path) -> None:
    """`up` serves the example; the example agent and a replay go through it; the account balances; Ctrl-C ends it."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    messages = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello!"}]
    lines = [json.dumps({"conversation_id": f"c-{n}", "messages": messages}) for n in range(20)]
    (tmp_path / "conversations.jsonl").write_text("\n".join(lines))
    free = ("--listen", f"127.0.0.1:{_free_port()}", "--admin", f"127.0.0.1:{_free_port()}")
    async with _up(tmp_path, "-f", "examples/receptionist.yaml", "--offline-judge", *free) as (process, target, redis):
        code, printed = await _run(tmp_path, "python", "examples/agent.py", target)
        assert (code, "RECORD_OUTCOME_ACCEPTED" in printed) == (0, True), printed
        code, printed = await _run(tmp_path, "sluicegate", "replay", "conversations.jsonl", "--target", target)
        assert (code, "20 accepted" in printed) == (0, True), printed
        code, printed = await _run(tmp_path, "sluicegate", "account", "--agent", "receptionist", "--redis", redis)
        assert (code, "acknowledged 21 = " in printed, "balanced" in printed) == (0, True, True), printed
        report = ("sluicegate", "report", "warmer-greeting", "--agent", "receptionist", "--redis", redis)
        code, printed = await _run(tmp_path, *report)
        assert (code, "warmer-greeting, run 1 of default/receptionist: ramping" in printed) == (0, True), printed
        code, printed = await _run(tmp_path, *report, "--html", "report.html")
        assert (code, printed) == (0, "written to report.html\n")
        assert "<title>warmer-greeting: ramping</title>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert process.returncode == 0


def _free_port() -> int:
    from sluicegate_cli.system import free_address

    return int(free_address().rpartition(":")[2])


async def test_demo_ends_as_it_should(tmp_path: Path) -> None:
    """`sluicegate demo`: both acts end as they should, judged by the offline rules and called so, and all balances."""
    assert not {"OPENAI_API_KEY", "OPENAI_BASE_URL"} & environment({}).keys()
    code, printed = await _run(tmp_path, "sluicegate", "demo")
    assert code == 0, printed
    assert "complete, everybody gets warm" in printed
    assert "curt is halted, everywhere" in printed
    assert "judged by: offline-rules (not a model)" in printed
    assert ": balanced" in printed
    pages = tmp_path / ".sluicegate" / "demo"
    assert sorted(os.listdir(pages)) == ["shorter-calls.html", "warmer-greeting.html"]
    for name, phase, weight in (
        ("warmer-greeting", "complete", "50% → 100%"),
        ("shorter-calls", "rolled back", "→ 0%"),
    ):
        page = (pages / f"{name}.html").read_text(encoding="utf-8")
        assert f"report of {name}: .sluicegate/demo/{name}.html" in printed
        assert f"<title>{name}: {phase}</title>" in page
        assert weight in page
        assert "offline-rules (not a model)" in page
        assert len(re.findall('class="course harm"', page)) == 2, "one line in each of two sizes"
    assert os.listdir(tmp_path) == [".sluicegate"], "the demo leaves nothing else behind"
