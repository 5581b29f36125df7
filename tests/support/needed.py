"""What a machine must have for a test: skipped with the reason where it has not, and failed where CI=true."""

import os
import shutil
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def need_root(*commands: str) -> None:
    """Root, and these commands of the system."""
    if os.geteuid() != 0:
        missing("needs root, for namespaces and mounts of its own")
    for command in commands:
        if not shutil.which(command):
            missing(f"needs {command}; install it (Debian, Ubuntu: apt install iproute2 nftables util-linux)")
