"""`sluicegate demo`: the main job in two acts, on real parts, without a key or a cluster."""

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sluicegate.records import ScoreRecord
    from sluicegate_cli.system import Running
    from sluicegate_operator.rollout.transitions import Transition

AGENT = "receptionist"
SEED = "demo-1"
CALLERS_AT_A_TIME = 8
PAUSE_SECONDS = 0.08
"""Between two calls of one caller, so that a person can watch the ramp."""
LONGEST_BACKLOG = 40
"""Sessions that wait for the judge before the callers pause: a slow judge makes a slower demo, not a longer queue."""
ACT_SECONDS = 600.0
"""A judge that is slower than that ends the demo."""

CONTROL_PROMPT = "You are the receptionist of a dental practice. Be polite and book appointments."

RESOURCES = """\
apiVersion: sluicegate.dev/v1alpha1
kind: EvaluationPolicy
metadata: {{name: reception}}
spec:
  agent: receptionist
---
apiVersion: sluicegate.dev/v1alpha1
kind: Experiment
metadata: {{name: {name}}}
spec:
  agent: receptionist
  variants:
    - name: control
      control: true
      config: {{model: synthetic, systemPrompt: "{control}"}}
    - name: {treatment}
      config: {{model: synthetic, systemPrompt: "{prompt}"}}
  ramp:
    steps: [{{weight: 10, minSessions: 20}}, {{weight: 20, minSessions: 20}}, {{weight: 50, minSessions: 30}}]
    margin: 0.5
  analysis: {{wait: 2s}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One experiment, and how it should end."""

    title: str
    name: str
    treatment: str
    prompt: str
    ends: str


ACTS = (
    Act(
        title="Act 1: a harmless change",
        name="warmer-greeting",
        treatment="warm",
        prompt="You are the warm and friendly receptionist of a dental practice. Book appointments.",
        ends="Complete",
    ),
    Act(
        title="Act 2: a harmful change",
        name="shorter-calls",
        treatment="curt",
        prompt="You are the receptionist of a dental practice. Keep calls short and never look into the calendar.",
        ends="RolledBack",
    ),
)


@dataclass(slots=True)
class Played:
    """What happened in an act."""

    act: Act
    phase: str = ""
    calls: Counter[str] = field(default_factory=Counter)
    """Calls by variant."""
    after_the_end: Counter[str] = field(default_factory=Counter)
    """Calls by variant, once the experiment was decided."""

    @property
    def as_it_should(self) -> bool:
        expected = self.act.treatment if self.act.ends == "Complete" else "control"
        return self.phase == self.act.ends and set(self.after_the_end) == {expected}


@click.command("demo")
@click.option(
    "--pages",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".sluicegate/demo"),
    show_default=True,
    help="Where the report of each act is written, as a page.",
)
def command(pages: Path) -> None:
    """Two experiments on real parts: a harmless one that ramps up, and a harmful one that is halted and rolled back.

    Judged by the model at OPENAI_BASE_URL with OPENAI_API_KEY if either is set, else by fixed rules. Exit code 0 only
    if both ended as they should and every session is accounted for. Ends with a table, and a page for each act.
    """
    try:
        pages.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"--pages: {pages} cannot be made: {error.strerror}") from error
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with tempfile.TemporaryDirectory(prefix="sluicegate-demo-") as folder:
        sys.exit(0 if asyncio.run(_demo(Path(folder), pages)) else 1)


async def _demo(folder: Path, pages: Path) -> bool:
    from sluicegate_cli import offline_judge
    from sluicegate_cli.account import read_account
    from sluicegate_cli.report import read_report, write_page
    from sluicegate_cli.system import Settings, free_address, running
    from sluicegate_sidecar.config import has_judge

    transitions: list[Transition] = []

    def tell(transition: "Transition") -> None:
        transitions.append(transition)
        click.echo(f"  {time.strftime('%H:%M:%S')}  {transition.message}")

    async with AsyncExitStack() as stack:
        judge, judge_environment = "the model at OPENAI_BASE_URL", {}
        if not has_judge(os.environ):
            judge = offline_judge.MODEL
            judge_environment = offline_judge.environment(await stack.enter_async_context(offline_judge.serving()))
        files = folder / "resources.yaml"
        _apply(files, ACTS[0])
        settings = Settings(
            files=[files],
            data=folder,
            redis_url="",
            listen=free_address(),
            admin=free_address(),
            namespace="default",
            agent=AGENT,
            judge_environment=judge_environment,
        )
        click.echo(f"judge: {judge}")
        system = await stack.enter_async_context(running(settings, tell))
        played = []
        for act in ACTS:
            click.echo(f"\n{act.title}: {act.name}")
            _apply(files, act)
            played.append(await _play(act, system))
        async with asyncio.timeout(ACT_SECONDS):
            await _backlog_of(system, 0)
        account = await read_account(system.redis_url, "default", AGENT)
        records = await _records(system)
        for act in ACTS:
            write_page(await read_report(system.redis, system.keys, act.name), pages / f"{act.name}.html")
    _report(played, records, judge)
    click.echo(f"\n{account}")
    for act in ACTS:
        click.echo(f"report of {act.name}: {pages / act.name}.html")
    return all(of.as_it_should for of in played) and account.balanced


def _apply(files: Path, act: Act) -> None:
    files.write_text(
        RESOURCES.format(name=act.name, treatment=act.treatment, control=CONTROL_PROMPT, prompt=act.prompt)
    )


async def _play(act: Act, system: "Running") -> Played:
    """Callers call until the experiment is decided, and a few more after that."""
    import grpc

    from sluicegate_cli.demo_progress import progress

    played = Played(act)
    number = iter(range(1_000_000))

    def decided() -> bool:
        state = system.state()
        return bool(state and state.experiment == act.name and state.phase != "Ramping")

    async with grpc.aio.insecure_channel(system.target) as channel, asyncio.timeout(ACT_SECONDS):
        with progress(act.name, system.state, lambda: played.calls) as show:

            async def caller() -> None:
                while not decided():
                    await _call(channel, act, next(number), played.calls)
                    show()
                    await asyncio.sleep(PAUSE_SECONDS)
                    await _backlog_of(system, LONGEST_BACKLOG)

            while not _is_running(system, act):  # noqa: ASYNC110 - the controller looks, and does not tell
                await asyncio.sleep(0.05)
            async with asyncio.TaskGroup() as callers:
                for _ in range(CALLERS_AT_A_TIME):
                    callers.create_task(caller())
        await asyncio.sleep(1)  # A snapshot reaches every sidecar within its poll interval.
        for _ in range(20):
            await _call(channel, act, next(number), played.after_the_end)
    state = system.state()
    if state:
        played.phase = state.phase
    return played


async def _call(channel: Any, act: Act, number: int, calls: Counter[str]) -> None:
    """One call as an agent makes it: ask for the variant, talk, record. The agent never says which variant it had."""
    from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc, session_pb2, session_pb2_grpc
    from sluicegate_cli.synthetic_callers import caller_id, conversation
    from sluicegate_client.openai_messages import items

    seed = f"{SEED}/{act.name}"
    caller, session_id = caller_id(seed, number), f"{act.name}-{number}"
    ask = assignment_pb2.AssignRequest(caller_id=caller, session_id=session_id)
    answer = await assignment_pb2_grpc.AssignmentServiceStub(channel).Assign(ask, timeout=5)
    prompt, variant = CONTROL_PROMPT, "none"
    if answer.assignments:
        prompt, variant = answer.assignments[0].config["systemPrompt"], answer.assignments[0].variant
    calls[variant] += 1
    session = session_pb2.Session(
        session_id=session_id,
        caller_id=caller,
        items=items(conversation(seed, number, prompt)),
        end_reason=session_pb2.END_REASON_COMPLETED,
    )
    request = session_pb2.RecordSessionRequest(session=session)
    await session_pb2_grpc.SessionServiceStub(channel).RecordSession(request, timeout=10)


def _is_running(system: "Running", act: Act) -> bool:
    state = system.state()
    return bool(state and state.experiment == act.name)


async def _backlog_of(system: "Running", sessions: int) -> None:
    """Returns when no more than so many sessions wait for the judge."""
    while await system.redis.xlen(system.keys.queue) > sessions:  # noqa: ASYNC110 - Redis tells nobody
        await asyncio.sleep(0.05)


async def _records(system: "Running") -> "list[ScoreRecord]":
    from sluicegate.records import ScoreRecord
    from sluicegate_operator.analysis.scores import Scores

    arrivals, _ = await Scores(system.redis, system.keys).since()
    return [arrival.record for arrival in arrivals if isinstance(arrival.record, ScoreRecord)]


def _report(played: "list[Played]", records: "list[ScoreRecord]", judge: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"judged by: {judge}", title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in ("experiment", "variant", "calls", "scored", "average", "task", "ended", "as told"):
        numeric = column in ("calls", "scored", "average", "task")
        table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    scores: dict[tuple[str, str], list[ScoreRecord]] = defaultdict(list)
    for record in records:
        scores[record.experiment, record.variant].append(record)
    for of in played:
        for variant in ("control", of.act.treatment):
            scored = scores[of.act.name, variant]
            ending = (of.phase, "yes" if of.as_it_should else "NO")
            table.add_row(
                of.act.name,
                variant,
                str(of.calls[variant] + of.after_the_end[variant]),
                str(len(scored)),
                _mean([record.average for record in scored]),
                _mean([record.scores.get("task_completion") for record in scored]),
                *(ending if variant != "control" else ("", "")),
            )
    Console().print("", table)


def _mean(values: "list[Any]") -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.2f}" if known else "–"
