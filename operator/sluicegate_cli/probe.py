"""`sluicegate probe`: is the sidecar beside this process up?"""

import os
import sys

import click


@click.command("probe")
@click.argument("path", type=click.Choice(["startupz", "livez"]), default="startupz")
@click.option("--wait", type=click.FloatRange(0, 600), default=0.0, metavar="SECONDS", help="Ask again for so long.")
def command(path: str, wait: float) -> None:
    """Ask a sidecar on this machine whether it is up; the exit code is 0 if so.

    It is asked where SLUICEGATE_ADMIN says. For containers whose admin listener nobody can reach from outside.
    """
    from sluicegate_sidecar.config import DEFAULTS
    from sluicegate_sidecar.probe import ask

    admin = os.environ.get("SLUICEGATE_ADMIN", "").strip() or DEFAULTS["SLUICEGATE_ADMIN"]
    is_well, told = ask(admin, f"/{path}", wait)
    click.echo(told, err=not is_well)
    sys.exit(0 if is_well else 1)
