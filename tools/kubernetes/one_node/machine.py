"""Whether this machine can run a node, and if not, why not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from one_node.places import Places

PACKAGES = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "nft": "nftables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "tar": "tar",
    "gcc": "gcc",
}
"""Every program that is not built here, and Debian's package of it. gcc is for the kubelet, which is part C."""

GROUPS = Path("/sys/fs/cgroup")


def cannot(places: Places) -> str:
    """What no installation would change; empty if nothing is in the way."""
    if sys.platform != "linux":
        return f"a node needs Linux, and this is {sys.platform}"
    if os.geteuid() != 0:
        return "a node needs root"
    if not (GROUPS / "memory").is_dir() and not (GROUPS / "cgroup.controllers").is_file():
        return f"a node needs control groups with memory in {GROUPS}"
    if not os.access(GROUPS / "memory", os.W_OK) and not os.access(GROUPS / "cgroup.subtree_control", os.W_OK):
        return f"a node needs to write control groups, and {GROUPS} is read-only"
    if "overlay" in Path("/proc/filesystems").read_text() and file_system(places.home) == "overlay":
        return f"{places.home} is on an overlay file system, which cannot hold images; XDG_CACHE_HOME names another one"
    return _namespaces()


def packages() -> list[str]:
    """Debian's packages of the programs that are not installed."""
    return sorted({package for program, package in PACKAGES.items() if not shutil.which(program)})


def file_system(path: Path) -> str:
    """The kind that `path`, or the nearest folder above it that exists, is on."""
    while not path.exists():
        path = path.parent
    told = subprocess.run(["stat", "-f", "-c", "%T", str(path)], capture_output=True, text=True, check=False)
    return "overlay" if told.stdout.startswith("overlay") else told.stdout.strip()


def _namespaces() -> str:
    kinds = ("--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc")
    try:
        tried = subprocess.run(["unshare", *kinds, "mount", "--make-rprivate", "/"], capture_output=True, check=False)
    except FileNotFoundError:
        return ""  # It can be installed.
    return f"namespaces cannot be made here: {tried.stderr.decode().strip()}" if tried.returncode else ""
