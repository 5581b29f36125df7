"""`sluicegate erase`: what was kept of a session, or of a caller, is kept no more."""

import asyncio

import click

from sluicegate_cli.options import of_agent


@click.command("erase")
@click.option("--session", "session_id", default="", help="Erase this session.")
@click.option("--caller", "caller_id", default="", help="Erase all sessions of this caller, by the id the agent sent.")
@of_agent
def command(session_id: str, caller_id: str, redis_url: str, namespace: str, agent: str) -> None:
    """Erase a session, or all sessions of a caller: transcripts, scores, reasons and feedback.

    Sums in the sliding windows stay until they expire: they name nobody. The account counts what was erased.
    """
    if bool(session_id) == bool(caller_id):
        raise click.UsageError("give either --session or --caller")
    count = asyncio.run(_erase(redis_url, namespace, agent, session_id, caller_id))
    click.echo(f"{count} sessions erased")


async def _erase(redis_url: str, namespace: str, agent: str, session_id: str, caller_id: str) -> int:
    from redis.exceptions import RedisError

    from sluicegate.caller import hash_caller
    from sluicegate.keys import Keys
    from sluicegate_sidecar.errors import RedisAway
    from sluicegate_sidecar.redis_client import connected
    from sluicegate_sidecar.sessions.erasure import Erasure

    keys = Keys(namespace, agent)
    async with connected(redis_url, keys) as redis:
        try:
            key = await redis.get(keys.caller_key) or b""
            caller_hash = hash_caller(key, caller_id)
            return await Erasure(redis, keys).erase(session_id, caller_hash)
        except (RedisAway, RedisError, OSError) as error:
            raise click.ClickException(f"--redis: {error}") from error
