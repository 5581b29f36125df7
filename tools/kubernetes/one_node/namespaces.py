"""From outside: starts the node in namespaces of its own, goes inside, and ends it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from one_node.places import KEPT, Places

BUILD = Path(__file__).parents[1] / "build"
UP_SECONDS = 180.0
DOWN_SECONDS = 30.0
POLL_SECONDS = 0.05
KINDS = ("--net", "--mount", "--pid", "--uts", "--ipc")


class NotUp(Exception):
    """There is no node, or it does not come up."""


def up(places: Places) -> None:
    """Starts a new cluster; the images of the last one are kept. NotUp if it cannot be, with the end of its log."""
    if _first_process(places):
        raise NotUp(f"{places.home}: a node is up already; end it: PYTHONPATH=tools/kubernetes python -m one_node down")
    _clean(places)
    places.programs.symlink_to(built())
    log = places.logs / "node.log"
    with log.open("wb") as to:
        outer = subprocess.Popen(
            ["unshare", *KINDS, "--fork", "--kill-child=KILL", "--mount-proc", sys.executable, "-m", "one_node.inside"],
            stdout=to,
            stderr=to,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**environment(places), "PYTHONPATH": str(Path(__file__).parents[1])},
        )
    places.outer_pid.write_text(str(outer.pid))
    until = time.monotonic() + UP_SECONDS
    while not places.ready.exists():
        if outer.poll() is not None or time.monotonic() > until:
            down(places)
            raise NotUp(f"the node did not come up; the end of {log}:\n" + "\n".join(_last_lines(log)))
        time.sleep(POLL_SECONDS)


def built() -> Path:
    """The folder of the cluster's programs; what is missing is built, which takes minutes. NotUp if it fails."""
    done = subprocess.run([BUILD, "node"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise NotUp("the cluster's programs could not be built; see above")
    return Path(done.stdout.strip())


def enter(places: Places, command: list[str]) -> list[str]:
    """The command line that runs `command` inside, in the present folder. NotUp if there is no node."""
    first = _first_process(places)
    if not first:
        raise NotUp(f"{places.home}: no node is up")
    return ["nsenter", "--target", str(first), *KINDS, f"--wdns={Path.cwd()}", "--", *command]


def down(places: Places) -> None:
    """Ends the node, and removes the control groups that it leaves. Nothing happens if it is not up."""
    outer, first = _outer_process(places), _first_process(places)
    if first:
        os.kill(first, signal.SIGTERM)
        until = time.monotonic() + DOWN_SECONDS
        while _is_alive(outer) and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGKILL)
    for name in (places.outer_pid, places.ready):
        name.unlink(missing_ok=True)
    _remove_groups()


def environment(places: Places) -> dict[str, str]:
    """What runs inside finds the cluster's programs first, and the cluster by KUBECONFIG."""
    folders = [str(places.programs), os.environ.get("KUBEBUILDER_ASSETS", ""), os.environ.get("PATH", os.defpath)]
    path = os.pathsep.join(folder for folder in folders if folder)
    return {**os.environ, "PATH": path, "KUBECONFIG": str(places.kubeconfig)}


def _clean(places: Places) -> None:
    places.home.mkdir(parents=True, exist_ok=True)
    for left in places.home.iterdir():
        if left.name not in KEPT:
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    for folder in ("logs", "pki", "conf/cni", "etcd", "kubelet", "var-log", "sysctl"):
        (places.home / folder).mkdir(parents=True, mode=0o700)


def _outer_process(places: Places) -> int:
    """Its id; 0 if there is none. An id that another program has by now is none."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(places.outer_pid.read_text())
        if b"one_node.inside" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0


def _first_process(places: Places) -> int:
    outer = _outer_process(places)
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        return int(children[0]) if outer and children else 0
    return 0


def _is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def _last_lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-5:]


def _remove_groups() -> None:
    """The control groups of containers are the machine's, whatever the namespaces; those in use stay."""
    for root in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/")):
        for name in ("kubepods", "k8s.io"):
            for folder, _, _ in os.walk(root / name, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
