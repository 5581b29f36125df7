"""The embedded Valkey, killed and brought back."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from redis import Redis

from sluicegate_cli.embedded import EmbeddedValkey, embedded_valkey


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def valkey(folder: Path) -> Iterator[EmbeddedValkey]:
    with embedded_valkey(folder) as server:
        yield server


def kill(valkey: EmbeddedValkey) -> None:
    """Ends the server as a power cut would, and returns when nobody listens any more."""
    pid = int(valkey.pid_file.read_text())
    os.kill(pid, signal.SIGKILL)
    while valkey.is_running():
        pass


def test_what_was_acknowledged_survives_a_kill(valkey: EmbeddedValkey) -> None:
    """kill -9 and back on the same port, with every write that had an answer; twice."""
    url = valkey.url
    for number in range(2):
        with Redis.from_url(url) as redis:
            for n in range(100):
                redis.rpush("list", 100 * number + n)
        kill(valkey)
        assert valkey.revive()
        assert valkey.url == url
        with Redis.from_url(url) as redis:
            assert [int(n) for n in redis.lrange("list", 0, -1)] == list(range(100 * (number + 1)))


def test_a_server_that_lives_is_left_alone(valkey: EmbeddedValkey) -> None:
    """Nothing is revived that works."""
    pid = valkey.pid_file.read_text()
    assert not valkey.revive()
    assert valkey.pid_file.read_text() == pid


def test_data_outlive_the_program(folder: Path) -> None:
    """What was there at the end is there at the next start."""
    with embedded_valkey(folder) as first, Redis.from_url(first.url) as redis:
        redis.set("kept", "yes")
    with embedded_valkey(folder) as second, Redis.from_url(second.url) as redis:
        assert redis.get("kept") == b"yes"


def test_no_second_server_on_the_same_folder(valkey: EmbeddedValkey, folder: Path) -> None:
    """The error names the folder and the process that is at work there, which goes on undisturbed."""
    with pytest.raises(click.ClickException) as refused, embedded_valkey(folder):
        pass
    assert str(folder) in refused.value.message
    assert f"process {valkey.pid_file.read_text().strip()}" in refused.value.message
    assert valkey.is_running()


def test_a_killed_server_does_not_lock_its_folder(folder: Path) -> None:
    """A process id that nobody has any more, or that is none, is no server."""
    with embedded_valkey(folder) as first:
        kill(first)
    with embedded_valkey(folder) as second:
        assert second.is_running()
    second.pid_file.write_text("nonsense\n")
    with embedded_valkey(folder) as third:
        assert third.is_running()


def test_a_port_that_was_taken_meanwhile(valkey: EmbeddedValkey) -> None:
    """While somebody else has the port, reviving says so; once it is free again, it works."""
    url = valkey.url
    kill(valkey)
    port = int(url.rpartition(":")[2].partition("/")[0])
    with socket.create_server(("127.0.0.1", port), reuse_port=False):
        for _ in range(2):
            with pytest.raises(click.ClickException, match="did not start"):
                valkey.revive()
    assert valkey.revive()
    assert valkey.url == url
