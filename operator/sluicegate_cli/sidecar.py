"""`sluicegate sidecar`: the data plane's process, as the container runs it."""

import sys

import click


@click.command("sidecar")
def command() -> None:
    """Assign callers and capture sessions beside an agent.

    Settings come from the environment; README.md lists them. A bad or unknown SLUICEGATE_* variable stops the start.
    """
    from sluicegate_sidecar.__main__ import main

    sys.exit(main(["sidecar"]))
