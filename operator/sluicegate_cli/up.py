"""`sluicegate up`: everything on this machine."""

import asyncio
import logging
import os
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sluicegate_cli.options import readable_url

if TYPE_CHECKING:
    from sluicegate_cli.system import Settings
    from sluicegate_operator.rollout.transitions import Transition


@click.command("up")
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="A file or folder of Experiment and EvaluationPolicy YAML, watched; can be given several times.",
)
@click.option(
    "--redis",
    "redis_url",
    envvar="SLUICEGATE_REDIS_URL",
    default="",
    callback=readable_url,
    help="Default: an embedded Valkey.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".sluicegate"),
    show_default=True,
    help="Where the embedded Valkey keeps its data.",
)
@click.option("--listen", envvar="SLUICEGATE_LISTEN", default="127.0.0.1:7070", show_default=True, help="For agents.")
@click.option("--admin", envvar="SLUICEGATE_ADMIN", default="127.0.0.1:7071", show_default=True, help="For probes.")
@click.option("--namespace", envvar="SLUICEGATE_NAMESPACE", default="default", show_default=True)
@click.option("--agent", envvar="SLUICEGATE_AGENT", default="", help="Default: the only one that the files name.")
@click.option("--offline-judge", is_flag=True, help="Judge by fixed rules, without a model and without a key.")
def command(
    files: tuple[Path, ...],
    redis_url: str,
    data: Path,
    listen: str,
    admin: str,
    namespace: str,
    agent: str,
    offline_judge: bool,
) -> None:
    """Run everything on this machine: Valkey, sidecar, judge and controller, until Ctrl-C.

    The judge is the one at OPENAI_BASE_URL, with OPENAI_API_KEY. Transitions are printed as they happen.
    """
    from sluicegate_cli.system import Settings
    from sluicegate_sidecar.config import has_judge

    if not offline_judge and not has_judge(os.environ):
        raise click.UsageError("no judge: set OPENAI_API_KEY or OPENAI_BASE_URL, or give --offline-judge")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = Settings(
        files=files,
        data=data,
        redis_url=redis_url,
        listen=listen,
        admin=admin,
        namespace=namespace,
        agent=agent,
        judge_environment={},
    )
    asyncio.run(_run(settings, offline_judge))


async def _run(settings: "Settings", offline: bool) -> None:
    from dataclasses import replace

    from sluicegate_cli import offline_judge
    from sluicegate_cli.system import SIDECAR_LOG, running

    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        if offline:
            url = await stack.enter_async_context(offline_judge.serving())
            settings = replace(settings, judge_environment=offline_judge.environment(url))
        system = await stack.enter_async_context(running(settings, _print))
        click.echo(f"agent {system.agent} on {system.target}; probes and metrics on {settings.admin}")
        click.echo(f"redis {system.redis_url}; judge: {offline_judge.MODEL if offline else 'as OPENAI_* says'}")
        click.echo(f"the sidecar and its judge log to {settings.data / SIDECAR_LOG}; Ctrl-C ends it all")
        await stopped.wait()
        click.echo("ending: the judge finishes what it has in hand")


def _print(transition: "Transition") -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {transition.kind:10} {transition.experiment:20} {transition.message}")
