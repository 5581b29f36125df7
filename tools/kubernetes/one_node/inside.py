"""The node's first process: brings the parts up in their order, and takes them down again. Started by namespaces.py.

Being the first process of its namespace it also inherits what loses its parent, and has to bury it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template
from types import FrameType

from one_node import certificates, components
from one_node.places import NODE, NODE_ADDRESS, SERVICES, Places

FILES = Path(__file__).parent / "files"
POLL_SECONDS = 0.05
END_SECONDS = 10.0

KERNEL_SETTINGS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
"""What the kubelet wants to see or write. It gets files in their place: these would be the whole machine's."""


class NeverCame(Exception):
    """A part did not come up, or died."""


def main(places: Places) -> int:
    """Runs the node until SIGTERM; 1 if a part does not come up or dies."""
    signal.signal(signal.SIGTERM, _end)
    with _parts() as parts:
        try:
            _mounts(places)
            _network()
            _configuration(places)
            _bring_up(places, parts)
            places.ready.touch()
            _bury_until_one_dies(parts)
        except NeverCame as error:
            print(f"error: {error}", flush=True)
            return 1
        except SystemExit:
            return 0
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


class Parts:
    """The running parts, by name, in the order of their start."""

    def __init__(self) -> None:
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._began = time.monotonic()

    def start(self, places: Places, command: list[str]) -> None:
        name = command[0]
        with (places.logs / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def wait(self, what: str, seconds: float, *command: str) -> None:
        """Returns once `command` succeeds; NeverCame if a part dies or the time is out."""
        until = time.monotonic() + seconds
        while subprocess.run(command, capture_output=True, check=False).returncode:
            for name, part in self.running.items():
                if part.poll() is not None:
                    raise NeverCame(f"{name} has ended; its log says why")
            if time.monotonic() > until:
                raise NeverCame(f"{what}: not there after {seconds:g} s; the logs of the parts say why")
            time.sleep(POLL_SECONDS)
        print(f"{time.monotonic() - self._began:6.2f} s  {what}", flush=True)

    def end(self, *names: str) -> None:
        """Asks these parts to end, and kills what does not."""
        parts = [self.running.pop(name) for name in names if name in self.running]
        for part in parts:
            part.terminate()
        for part in parts:
            try:
                part.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                part.kill()


@contextmanager
def _parts() -> Iterator[Parts]:
    """Parts that end with the body: the kubelet first, or it would start again what is being ended."""
    parts = Parts()
    try:
        yield parts
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        parts.end("kubelet", "kube-proxy", "coredns")
        _kill_containers()
        parts.end("kube-scheduler", "kube-controller-manager")
        parts.end("kube-apiserver")
        parts.end("etcd", "containerd")


def _kill_containers() -> None:
    listed = subprocess.run([*components.CTR, "task", "ls", "-q"], capture_output=True, text=True, check=False)
    for task in listed.stdout.split():
        kill = [*components.CTR, "task", "kill", "--all", "--signal", "SIGKILL", task]
        subprocess.run(kill, capture_output=True, check=False)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NeverCame(f"{' '.join(command)}: {done.stderr.strip()}")


def _mounts(places: Places) -> None:
    """A view of the file system that nobody outside sees."""
    _run("mount", "--make-rprivate", "/")
    _run("mount", "--make-rshared", "/")
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for folder in ("lock", "containerd", "netns"):
        Path("/run", folder).mkdir()
    _run("mount", "--bind", str(places.home / "var-log"), "/var/log")
    for name, value in KERNEL_SETTINGS.items():
        stand_in = places.home / "sysctl" / name.replace("/", ".")
        stand_in.write_text(f"{value}\n")
        _run("mount", "--bind", str(stand_in), f"/proc/sys/{name}")


def _network() -> None:
    """Loopback with the node's address and the Services; pods get a bridge. There is no way out."""
    _run("hostname", NODE)
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "address", "add", f"{NODE_ADDRESS}/32", "dev", "lo")
    _run("ip", "route", "add", SERVICES, "dev", "lo", "src", NODE_ADDRESS)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _configuration(places: Places) -> None:
    """Writes what the parts read; certificates and tokens are new each time."""
    named = places.named()
    for name in ("containerd.toml", "kubelet.yaml", "kube-proxy.yaml", "Corefile", "dns.yaml"):
        (places.conf / name).write_text(Template((FILES / name).read_text()).substitute(named))
    network = Template((FILES / "cni.conflist").read_text()).substitute(named)
    (places.conf / "cni" / "node.conflist").write_text(network)
    (places.conf / "resolv.conf").touch()
    certificates.write(places, (FILES / "user.kubeconfig").read_text())


def _bring_up(places: Places, parts: Parts) -> None:
    def start(part: Callable[[Places], list[str]]) -> None:
        parts.start(places, part(places))

    for part in (components.etcd, components.containerd, components.api_server):
        start(part)
    parts.wait("containerd", 30, *components.CTR, "version")
    parts.wait("API server", 90, "kubectl", "get", "--raw", "/readyz")
    for part in (components.controllers, components.scheduler, components.kubelet, components.proxy):
        start(part)
    _run("kubectl", "apply", "-f", str(places.conf / "dns.yaml"))
    start(components.coredns)
    parts.wait("node", 60, "kubectl", "wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=1s")
    parts.wait("service account", 30, "kubectl", "get", "serviceaccount", "default")
    parts.wait("DNS", 30, "bash", "-c", "</dev/tcp/127.0.0.1/8182")


def _bury_until_one_dies(parts: Parts) -> None:
    while True:
        pid, _ = os.wait()
        for name, part in parts.running.items():
            if part.pid == pid:
                raise NeverCame(f"{name} has ended; its log says why")


if __name__ == "__main__":
    sys.exit(main(Places.from_env(os.environ)))
