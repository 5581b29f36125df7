"""`sluicegate injector`: the webhook's process, as the container runs it."""

import sys

import click


@click.command("injector")
def command() -> None:
    """Give pods their sidecar as they are created: the cluster's admission webhook.

    Settings come from the environment, as the chart gives them. A bad or unknown SLUICEGATE_* variable stops the start.
    """
    import asyncio
    import logging
    import os

    from sluicegate_operator.errors import ConfigError
    from sluicegate_operator.injection import app
    from sluicegate_operator.injection.config import Config

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(app.serve(Config.from_env(os.environ)))
    except (ConfigError, OSError) as error:
        print(f"sluicegate: {error}", file=sys.stderr)
        sys.exit(2)
