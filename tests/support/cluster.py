"""A Kubernetes cluster as tests use it: kubectl and helm at KUBECONFIG, and containerd beneath."""

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from string import Template
from typing import Any, TypeVar

from one_node.components import CTR

T = TypeVar("T")

SECONDS = 120.0
POLL_SECONDS = 0.2


class Failed(Exception):
    """A command failed; with what it said."""


def run(*command: str, given: str | None = None) -> str:
    """The command's output. Failed with its error output if its exit code is not 0."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def kubectl(*words: str, given: str | None = None) -> str:
    return run("kubectl", *words, given=given)


def apply(file: Path, **named: str) -> None:
    """Applies a file of resources, with $NAMES replaced."""
    kubectl("apply", "-f", "-", given=Template(file.read_text()).substitute(named))


def get(kind: str, name: str, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("-n", namespace, "get", kind, name, "-o", "json"))
    return found


def pods(namespace: str, selector: str) -> list[dict[str, Any]]:
    """The pods that match, without those that are being deleted."""
    listed = json.loads(kubectl("-n", namespace, "get", "pods", "-l", selector, "-o", "json"))
    return [pod for pod in listed["items"] if "deletionTimestamp" not in pod["metadata"]]


def rolled_out(kind_and_name: str, namespace: str) -> None:
    """Returns once every replica is available."""
    kubectl("-n", namespace, "rollout", "status", kind_and_name, f"--timeout={SECONDS:g}s")


def scale(kind_and_name: str, namespace: str, replicas: int) -> None:
    """Returns once it has so many replicas, and those that went are gone."""
    kubectl("-n", namespace, "scale", kind_and_name, f"--replicas={replicas}")
    rolled_out(kind_and_name, namespace)
    if not replicas:
        kind, _, name = kind_and_name.partition("/")
        wanted = get(kind, name, namespace)["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{key}={value}" for key, value in wanted.items())
        kubectl("-n", namespace, "wait", "--for=delete", "pod", "-l", selector, f"--timeout={SECONDS:g}s")


def until(what: str, look: Callable[[], T | None], seconds: float = SECONDS) -> T:
    """What `look` gives, once it gives something; AssertionError if it never does."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not after {seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)
    return found


def status_of(pod: dict[str, Any], container: str) -> dict[str, Any]:
    """The status of a container, be it an init container."""
    statuses = [*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])]
    (status,) = [status for status in statuses if status["name"] == container]
    found: dict[str, Any] = status
    return found


def kill(namespace: str, name: str, container: str) -> None:
    """SIGKILL for a container of a pod, as the kernel would send it; the kubelet is told nothing."""

    def killed() -> bool:
        """The status may still name the container of before a restart."""
        task = status_of(get("pod", name, namespace), container).get("containerID", "").removeprefix("containerd://")
        with suppress(Failed):
            run(*CTR, "task", "kill", "--signal", "SIGKILL", task)
            return True
        return False

    until(f"{container} of {name} is killed", killed)


def none_is_ending(namespace: str) -> None:
    """Returns once no pod of the namespace is on its way out: those still answer."""

    def all_stay() -> bool:
        listed = json.loads(kubectl("-n", namespace, "get", "pods", "-o", "json"))
        return not any("deletionTimestamp" in pod["metadata"] for pod in listed["items"])

    until(f"no pod of {namespace} is ending", all_stay)
