"""Options that several commands share; each can be given as the sidecar's environment variable too."""

from collections.abc import Callable
from typing import Any

import click


def readable_url(context: click.Context, option: click.Parameter, url: str) -> str:
    """The URL; BadParameter, before anything is done, if no client can be made of it. Empty is left to the command."""
    from sluicegate_sidecar import redis_client
    from sluicegate_sidecar.errors import ConfigError

    try:
        if url:
            redis_client.check(url)
    except ConfigError as error:
        raise click.BadParameter(str(error).removeprefix("SLUICEGATE_REDIS_URL: "), context, option) from error
    return url


_redis_option = click.option(
    "--redis",
    "redis_url",
    envvar="SLUICEGATE_REDIS_URL",
    default="redis://127.0.0.1:6379/0",
    show_default=True,
    callback=readable_url,
    help="Redis, as redis://, rediss:// or unix:// URL; with ?cluster=true, a cluster.",
)
_namespace_option = click.option(
    "--namespace", envvar="SLUICEGATE_NAMESPACE", default="default", show_default=True, help="Namespace of the agent."
)
_agent_option = click.option("--agent", envvar="SLUICEGATE_AGENT", required=True, help="Name of the agent.")


def of_agent(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which agent, and where: --redis, --namespace and --agent, as `redis_url`, `namespace` and `agent`."""
    return _redis_option(_namespace_option(_agent_option(command)))
