"""`sluicegate judge`: a judge worker by itself."""

import sys

import click


@click.command("judge")
def command() -> None:
    """Judge sessions off the queue, as a process of its own.

    Takes the sidecar's settings, and OPENAI_API_KEY or OPENAI_BASE_URL. Run as many as you like: each session is
    scored once.
    """
    from sluicegate_sidecar.__main__ import main

    sys.exit(main(["judge"]))
