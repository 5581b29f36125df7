"""`sluicegate account`: where every acknowledged session is."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sluicegate_cli.options import of_agent

if TYPE_CHECKING:
    from sluicegate.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Sessions of one agent, each counted in a structure of its own."""

    acknowledged: int
    open: int
    spooled: int
    """In a spool that was looked into, and not in Redis yet."""
    waiting: int
    scored: int
    not_sampled: int
    dead_lettered: int
    erased: int
    scored_twice: int
    """Session ids that the score log holds more than once; must be 0."""

    @property
    def balanced(self) -> bool:
        found = self.open + self.spooled + self.waiting + self.scored
        found += self.not_sampled + self.dead_lettered + self.erased
        return self.acknowledged == found and self.scored_twice == 0

    def __str__(self) -> str:
        terms = ("open", "spooled", "waiting", "scored", "not_sampled", "dead_lettered", "erased")
        counted = " + ".join(f"{term.replace('_', ' ')} {getattr(self, term)}" for term in terms)
        twice = f"\nscored twice: {self.scored_twice}" if self.scored_twice else ""
        verdict = "balanced" if self.balanced else "DOES NOT BALANCE"
        return f"acknowledged {self.acknowledged} = {counted}: {verdict}{twice}"


async def read_account(redis_url: str, namespace: str, agent: str, states: Sequence[Path] = ()) -> Account:
    """Reads the account in one transaction, so that a session in motion is counted once; then the log for repeats.

    `states`: state folders of sidecars, whose spools hold acknowledged sessions that Redis does not know.
    """
    from sluicegate.keys import Keys
    from sluicegate_sidecar.redis_client import connected

    keys = Keys(namespace, agent)
    async with connected(redis_url, keys) as redis:
        pipe = redis.pipeline(transaction=True)
        pipe.hgetall(keys.account).zcard(keys.open).xlen(keys.queue).xlen(keys.log).xlen(keys.dead)
        counters, opened, waiting, scored, dead = await pipe.execute()
        spooled = len(await _unknown_to(redis, keys, _in_spools(states)))
        repeats = await _repeats(redis, keys)
    counted = {name.decode(): int(count) for name, count in counters.items()}
    return Account(
        acknowledged=counted.get("acknowledged", 0) + spooled,
        open=opened,
        spooled=spooled,
        waiting=waiting,
        scored=scored,
        not_sampled=counted.get("not_sampled", 0),
        dead_lettered=dead,
        erased=counted.get("erased", 0),
        scored_twice=repeats,
    )


async def _repeats(redis: Any, keys: "Keys") -> int:
    """How many entries of the score log are of a session that has another one."""
    import msgspec

    from sluicegate.records import ScoreRecord

    seen: set[str] = set()
    repeats, last = 0, b"-"
    while entries := await redis.xrange(keys.log, min=last, count=1_000):
        for _, fields in entries:
            session_id = msgspec.msgpack.decode(fields[b"d"], type=ScoreRecord).session_id
            repeats += session_id in seen
            seen.add(session_id)
        last = b"(" + entries[-1][0]
    return repeats


def _in_spools(states: Sequence[Path]) -> set[str]:
    """The session ids in the spools of these state folders."""
    from sluicegate_sidecar.sessions.operations import Close, decode
    from sluicegate_sidecar.sessions.spool import records

    found: set[str] = set()
    for segment in (path for state in states for path in sorted((state / "spool").glob("*.spool"))):
        for packed in records(segment):
            operation = decode(packed)
            found.add(operation.session_id if isinstance(operation, Close) else operation.session.session_id)
    return found


async def _unknown_to(redis: Any, keys: "Keys", session_ids: set[str]) -> set[str]:
    """Those that Redis has neither open nor seen, lately or by a clock that is ahead."""
    today = datetime.now(UTC).date()
    days = [keys.seen((today - timedelta(days=back)).isoformat()) for back in (0, 1, -1)]
    unknown: set[str] = set()
    for session_id in session_ids:
        pipe = redis.pipeline()
        pipe.exists(keys.open_session(session_id))
        for day in days:
            pipe.hexists(day, session_id)
        if not any(await pipe.execute()):
            unknown.add(session_id)
    return unknown


@click.command("account")
@of_agent
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A sidecar's SLUICEGATE_STATE folder, to count what is spooled there; can be given several times.",
)
def command(redis_url: str, namespace: str, agent: str, states: tuple[Path, ...]) -> None:
    """Prove that every acknowledged session is accounted for. Exit code 1 if one is not, 2 if Redis cannot be asked."""
    from redis.exceptions import RedisError

    try:
        account = asyncio.run(read_account(redis_url, namespace, agent, states))
    except (RedisError, OSError, ValueError) as error:
        raise click.UsageError(f"--redis: Redis cannot be asked: {error}") from error
    click.echo(account)
    raise SystemExit(0 if account.balanced else 1)
