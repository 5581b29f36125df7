"""The socket of a pod, on real processes: who may connect, and what becomes of the one that was there before."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from captured import until
from grpc_health.v1 import health_pb2, health_pb2_grpc
from processes import program, sidecar
from told import EXPERIMENT

from sluicegate_sidecar.probe import ask
from sluicegate_sidecar.unix_socket import clear, open_as_folder

NOBODY_LIVES_HERE = "redis://127.0.0.1:1/0"
CONNECTS = """
import os, socket, sys
path, uid, group = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.setgroups([group])
os.setgid(uid)
os.setuid(uid)
sys.exit(socket.socket(socket.AF_UNIX).connect_ex(path))
"""
"""Becomes somebody else only when Python is loaded, which may be where nobody else may look."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, which strangers may enter: a socket's path has 107 bytes, and pytest's is private."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made)
        path.chmod(0o755)
        yield path


@pytest.fixture
def resources(tmp_path: Path) -> str:
    """A file with an experiment, so that a sidecar has something to serve at once."""
    file = tmp_path / "experiment.yaml"
    file.write_text(EXPERIMENT)
    return str(file)


@pytest.mark.parametrize(
    ("folder_mode", "socket_mode"),
    [
        (0o777, 0o666),  # a pod's volume
        (0o2777, 0o660),  # a pod's volume, of a pod with an fsGroup
        (0o1777, 0o600),  # /tmp
        (0o770, 0o660),
        (0o755, 0o600),
    ],
)
def test_who_may_put_a_file_beside_the_socket_may_connect(folder: Path, folder_mode: int, socket_mode: int) -> None:
    """The socket is as open as its folder; where the folder hands its group on, that group, and nobody else."""
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        folder.chmod(folder_mode)
        open_as_folder(path)
        assert stat.S_IMODE(path.stat().st_mode) == socket_mode


def test_the_socket_of_a_dead_process_is_removed(folder: Path) -> None:
    """What nobody serves goes, and nothing is no trouble."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
    clear(folder / "s")
    clear(folder / "s")
    assert not (folder / "s").exists()


def test_a_socket_that_is_served_stays(folder: Path) -> None:
    """Whoever is there keeps it, even one that does not come to accept anybody."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
        listener.bind(str(folder / "s"))
        listener.listen(0)
        waiting.connect(str(folder / "s"))
        with pytest.raises(OSError, match="is served by another process"):
            clear(folder / "s")
        assert (folder / "s").exists()


def test_what_is_no_socket_stays(folder: Path) -> None:
    """Somebody's file is not removed, and is told of."""
    (folder / "s").write_text("mine")
    with pytest.raises(FileExistsError, match="is no socket"):
        clear(folder / "s")
    assert (folder / "s").read_text() == "mine"


async def _answers(path: Path) -> bool:
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        asked = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        return bool((await asked).status)


def _connects_as(path: Path, uid: int, group: int) -> bool:
    done = subprocess.run([sys.executable, "-c", CONNECTS, str(path), str(uid), str(group)], check=False)
    return done.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_an_agent_with_another_uid_connects(folder: Path, valkey_url: str, resources: str) -> None:
    """In a pod without an fsGroup every uid connects; with one, whoever has its group, and nobody else."""
    shared = folder / "shared"
    shared.mkdir()
    os.chown(shared, 0, 2000)
    for mode, strangers_connect in ((0o777, True), (0o2777, False)):
        shared.chmod(mode)
        path = shared / "sluicegate.sock"
        async with sidecar(valkey_url, "receptionist", config=resources, listen=f"unix:{path}"):
            assert _connects_as(path, 1001, 1001) is strangers_connect
            assert _connects_as(path, 1002, 2000)


async def test_a_sidecar_that_was_killed_is_succeeded(folder: Path, valkey_url: str, resources: str) -> None:
    """The folder outlives the container: the next one takes the place of the socket that the dead one left."""
    path = folder / "sluicegate.sock"
    async with sidecar(valkey_url, "receptionist", config=resources, listen=f"unix:{path}") as first:
        await first.program.kill()
        assert path.exists()
        async with sidecar(valkey_url, "receptionist", config=resources, listen=f"unix:{path}"):
            assert await _answers(path)


async def test_a_sidecar_that_lives_keeps_its_socket(folder: Path, valkey_url: str, resources: str) -> None:
    """A second one says which address is in use, and the first goes on; that it is stopped makes no difference."""
    path = folder / "sluicegate.sock"
    settings = {"SLUICEGATE_AGENT": "receptionist", "SLUICEGATE_LISTEN": f"unix:{path}"}
    async with sidecar(valkey_url, "receptionist", config=resources, listen=f"unix:{path}") as first:
        first.program.process.send_signal(signal.SIGSTOP)
        try:
            async with program("sidecar", {**settings, "SLUICEGATE_ADMIN": "127.0.0.1:0"}) as second:
                await second.logs(r"SLUICEGATE_LISTEN: .*sluicegate\.sock.* is served by another process")
                assert await second.process.wait() == 2
        finally:
            first.program.process.send_signal(signal.SIGCONT)
        assert await _answers(path)


async def test_a_probe_asks_over_a_socket(folder: Path, valkey_url: str, resources: str) -> None:
    """With the admin listener on a socket, the sidecar is asked by command, and a killed one is succeeded there too."""
    settings = {"SLUICEGATE_ADMIN": f"unix:{folder}/admin.sock"}
    async with sidecar(valkey_url, "receptionist", config=resources, admin=settings["SLUICEGATE_ADMIN"]) as first:
        assert first.admin == settings["SLUICEGATE_ADMIN"]
        for path in ("startupz", "livez"):
            assert _probe(settings, path) == (0, "ok")
        await first.program.kill()
        code, told = _probe(settings, "livez")
        assert (code, "does not answer" in told) == (1, True)
        async with sidecar(valkey_url, "receptionist", config=resources, admin=settings["SLUICEGATE_ADMIN"]):
            assert _probe(settings, "startupz") == (0, "ok")


def _probe(settings: dict[str, str], path: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "sluicegate_cli", "probe", path]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


async def test_a_probe_waits(folder: Path) -> None:
    """With --wait it asks until the sidecar is up, which takes ten seconds where Redis is away; without, once."""
    admin = f"unix:{folder}/admin.sock"
    environment = {
        "SLUICEGATE_AGENT": "receptionist",
        "SLUICEGATE_LISTEN": f"unix:{folder}/s",
        "SLUICEGATE_ADMIN": admin,
        "SLUICEGATE_REDIS_URL": NOBODY_LIVES_HERE,
    }
    async with program("sidecar", environment) as starting:
        await until(lambda: (folder / "admin.sock").exists())
        assert ask(admin, "/startupz", within=0)[0] is False
        process = await _waiting_probe(environment)
        assert process == 0
        await starting.logs("serving agent")


async def _waiting_probe(environment: dict[str, str]) -> int:
    command = [sys.executable, "-m", "sluicegate_cli", "probe", "--wait", "30"]
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
    return await process.wait()
