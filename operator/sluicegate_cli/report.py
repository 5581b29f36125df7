"""`sluicegate report`: what is known of an experiment, and why it stands where it stands."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sluicegate_cli.options import of_agent

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from sluicegate.keys import Keys
    from sluicegate_operator.reporting.report import Report

NARROWEST = 100
"""Columns, where the output is no terminal."""


@click.command("report")
@click.argument("experiment")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write it as a page, one file, and no more."
)
@of_agent
def command(experiment: str, as_json: bool, page: Path | None, redis_url: str, namespace: str, agent: str) -> None:
    """Report on an experiment: the comparison of its variants, the evidence, the ramp, the gates, the worst sessions.

    Computed from the log of scores, as the decision itself is. Of what was said it shows the judge's reasons alone.
    """
    from sluicegate_operator.reporting.report import encode

    if as_json and page:
        raise click.UsageError("give either --json or --html")
    report = asyncio.run(_read(redis_url, namespace, agent, experiment))
    if page:
        write_page(report, page)
        click.echo(f"written to {page}")
    elif as_json:
        click.echo(encode(report))
    else:
        _print(report)


def write_page(report: "Report", path: Path) -> None:
    """Writes the page; ClickException if it cannot be written there."""
    from sluicegate_operator.reporting.page import page

    try:
        path.write_text(page(report), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"--html: {path} cannot be written: {error.strerror}") from error


def _print(report: "Report") -> None:
    from rich.console import Console

    from sluicegate_operator.reporting.table import tables

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=NARROWEST)
    for part in tables(report):
        console.print(part)


async def _read(redis_url: str, namespace: str, agent: str, experiment: str) -> "Report":
    from sluicegate.keys import Keys
    from sluicegate_operator.errors import ControlError
    from sluicegate_sidecar.redis_client import connected

    keys = Keys(namespace, agent)
    async with connected(redis_url, keys) as redis:
        try:
            return await read_report(redis, keys, experiment)
        except ControlError as error:
            raise click.ClickException(f"--redis: {error}") from error


async def read_report(redis: "Redis", keys: "Keys", experiment: str) -> "Report":
    """The report out of the log of scores; where no state is kept in Redis, the one that the controller published.

    ClickException if nothing is known of the experiment; ControlError if Redis cannot be asked.
    """
    from sluicegate_operator.analysis.evidence import evidence_of
    from sluicegate_operator.analysis.recording import Recording
    from sluicegate_operator.analysis.replay import replayed
    from sluicegate_operator.analysis.scores import Scores
    from sluicegate_operator.delivery.reports import Reports
    from sluicegate_operator.delivery.snapshot import Delivery
    from sluicegate_operator.reporting.build import report_of, worst_entries
    from sluicegate_operator.reporting.report import decode

    _, _, states = await Delivery(redis, keys).read()
    state = states.get(experiment)
    if state is None:
        document = await Reports(redis, keys).get(experiment)
        if document is None:
            known = ", ".join(sorted(states)) or "none"
            raise click.ClickException(f"{experiment}: no such experiment of {keys.agent}; known are: {known}")
        return decode(document)
    scores, recording = Scores(redis, keys), Recording(state.plan)
    arrivals, cursor = await scores.since()
    analysis = replayed(state.plan, arrivals, cursor.now, recording)
    evidence = evidence_of(analysis.reading(), *await scores.gates(), cursor.erased)
    worst = await scores.entries(worst_entries(recording, state.plan))
    waiting = await scores.waiting()
    return report_of(keys, state, evidence, recording, list(worst.values()), waiting, time.time())
