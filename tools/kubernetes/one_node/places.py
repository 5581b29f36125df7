"""Where the node's files are, and its addresses. The network is the node's own, so the addresses can be fixed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NODE = "node"
NODE_ADDRESS = "198.19.255.1"
PODS = "198.18.0.0/16"
SERVICES = "198.19.0.0/17"
API_SERVICE = "198.19.0.1"
DNS_SERVICE = "198.19.0.10"
CONTAINERD = "/run/containerd/containerd.sock"
"""As it is called inside: /run is the node's own."""

PAUSE = "localhost/pause:1"
"""The image that holds the namespaces of a pod."""

KEPT = frozenset({"containerd", "images"})
"""What a node that comes up again takes over: its images. The cluster itself is always a new one."""


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of the node, outside the checkout."""

    home: Path

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Places":
        """The user's cache, or XDG_CACHE_HOME."""
        cache = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(cache / "sluicegate" / "node")

    @property
    def programs(self) -> Path:
        """A link to the folder that tools/kubernetes/build printed."""
        return self.home / "bin"

    @property
    def images(self) -> Path:
        """What images are built in."""
        return self.home / "images"

    @property
    def pki(self) -> Path:
        return self.home / "pki"

    @property
    def conf(self) -> Path:
        return self.home / "conf"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def kubeconfig(self) -> Path:
        return self.pki / "admin.kubeconfig"

    @property
    def ready(self) -> Path:
        """Written by the node's first process when all of it is up."""
        return self.home / "ready"

    @property
    def outer_pid(self) -> Path:
        """The process that holds the namespaces; the node's first process is its only child."""
        return self.home / "outer.pid"

    def named(self) -> dict[str, str]:
        """What the files in `files/` call it."""
        return {
            "HOME": str(self.home),
            "PKI": str(self.pki),
            "CONF": str(self.conf),
            "NODE": NODE,
            "NODE_ADDRESS": NODE_ADDRESS,
            "PODS": PODS,
            "DNS_SERVICE": DNS_SERVICE,
            "CONTAINERD": CONTAINERD,
            "PAUSE": PAUSE,
        }
