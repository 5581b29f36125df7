"""`sluicegate`: the list of commands; each is loaded when it is called."""

import importlib
from typing import Any

import click

COMMANDS = {
    "account": "Prove that every acknowledged session is accounted for.",
    "dead-letters": "List, show, retry or drop the sessions that could not be judged.",
    "demo": "Two experiments, one harmless and one harmful, without a key or a cluster.",
    "erase": "Erase a session, or all sessions of a caller.",
    "injector": "Give pods their sidecar as they are created, in Kubernetes.",
    "judge": "Judge sessions off the queue, as a process of its own.",
    "operator": "Ramp the experiments of a Kubernetes cluster.",
    "probe": "Ask a sidecar on this machine whether it is up.",
    "replay": "Send recorded conversations through a running sidecar.",
    "report": "Report on an experiment: the comparison, the evidence, the ramp, the gates.",
    "sidecar": "Assign callers and capture sessions beside an agent.",
    "up": "Run everything on this machine, from resource files.",
}


class Commands(click.Group):
    """Commands by name, one module each, imported on demand: `sluicegate --help` costs nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"sluicegate_cli.{name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sluicegate")
def main() -> None:
    """Quality gates for LLM agents in production: assign, capture, judge, gate, ramp, roll back."""


if __name__ == "__main__":
    main()
