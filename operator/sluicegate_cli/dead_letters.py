"""`sluicegate dead-letters`: what could not be judged, and what a person does about it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from sluicegate_cli.options import of_agent

if TYPE_CHECKING:
    from sluicegate_sidecar.judging.dead_letters import DeadLetter, DeadLetters


@click.group("dead-letters")
def command() -> None:
    """List, show, retry or drop the sessions that could not be judged."""


@command.command("list")
@of_agent
def list_letters(redis_url: str, namespace: str, agent: str) -> None:
    """One line each, the oldest first: when, which session, why."""

    async def tell(letters: "DeadLetters") -> None:
        found = await letters.list()
        for letter in found:
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(letter.at))
            click.echo(f"{at}  {letter.session_id or '(unreadable)'}  {letter.reason}")
        click.echo(f"{len(found)} dead letters")

    _run(redis_url, namespace, agent, tell)


@command.command("show")
@click.argument("session_id")
@of_agent
def show(session_id: str, redis_url: str, namespace: str, agent: str) -> None:
    """The reason, and the session as the judge would read it."""

    async def tell(letters: "DeadLetters") -> None:
        from sluicegate_sidecar.judging.transcript import render
        from sluicegate_sidecar.sessions.stream import decode

        for letter in await _named(letters, session_id):
            click.echo(f"{letter.session_id}: {letter.reason}")
            try:
                click.echo(render(decode(letter.payload), 100_000)[0])
            except ValueError as error:
                click.echo(f"its content cannot be read: {error}")

    _run(redis_url, namespace, agent, tell)


@command.command("retry")
@click.argument("session_ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@of_agent
def retry(session_ids: tuple[str, ...], everything: bool, redis_url: str, namespace: str, agent: str) -> None:
    """Put sessions back into the queue, to be judged again."""

    async def put_back(letters: "DeadLetters") -> None:
        count = 0
        for letter in await _chosen(letters, session_ids, everything):
            count += await letters.retry(letter)
        click.echo(f"{count} put back into the queue")

    _run(redis_url, namespace, agent, put_back)


@command.command("drop")
@click.argument("session_ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@of_agent
def drop(session_ids: tuple[str, ...], everything: bool, redis_url: str, namespace: str, agent: str) -> None:
    """Throw sessions away for good. The account counts them as erased."""

    async def throw_away(letters: "DeadLetters") -> None:
        count = 0
        for letter in await _chosen(letters, session_ids, everything):
            count += await letters.drop(letter)
        click.echo(f"{count} dropped")

    _run(redis_url, namespace, agent, throw_away)


async def _chosen(letters: "DeadLetters", session_ids: tuple[str, ...], everything: bool) -> "list[DeadLetter]":
    if everything == bool(session_ids):
        raise click.UsageError("name sessions, or give --all")
    if everything:
        return await letters.list()
    return [letter for session_id in session_ids for letter in await _named(letters, session_id)]


async def _named(letters: "DeadLetters", session_id: str) -> "list[DeadLetter]":
    found = await letters.list(session_id)
    if not found:
        raise click.ClickException(f"{session_id}: no such dead letter; `sluicegate dead-letters list` has them all")
    return found


def _run(redis_url: str, namespace: str, agent: str, work: "Callable[[DeadLetters], Awaitable[None]]") -> None:
    async def run() -> None:
        from sluicegate.keys import Keys
        from sluicegate_sidecar.errors import RedisAway
        from sluicegate_sidecar.judging.dead_letters import DeadLetters
        from sluicegate_sidecar.redis_client import connected

        keys = Keys(namespace, agent)
        async with connected(redis_url, keys) as redis:
            try:
                await work(DeadLetters(redis, keys))
            except RedisAway as error:
                raise click.ClickException(f"--redis: {error}") from error

    asyncio.run(run())
