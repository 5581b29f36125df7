"""`sluicegate operator`: the controller of a Kubernetes cluster, as the container runs it."""

import os
import sys

import click


@click.command("operator")
def command() -> None:
    """Ramp the Experiments of a Kubernetes cluster.

    Settings come from the environment; README.md lists them. A bad or unknown SLUICEGATE_* variable stops the start.
    """
    import asyncio
    import logging

    from sluicegate_operator.cluster.app import run
    from sluicegate_operator.config import Config
    from sluicegate_operator.errors import ConfigError
    from sluicegate_sidecar import errors
    from sluicegate_sidecar.redis_client import check, connected

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf").setLevel(logging.WARNING)
    try:
        config = Config.from_env(os.environ)
        check(config.redis_url)
        asyncio.run(run(config, lambda keys: connected(config.redis_url, keys)))
    except (ConfigError, errors.ConfigError) as error:
        sys.exit(f"error: {error}")
