"""Sluicegate as it is installed in a cluster, and agents beside it."""

import asyncio
import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cluster

from sluicegate_cli.account import Account, read_account

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/sluicegate"
RESOURCES = ROOT / "tests/e2e/resources"
RELEASE = SYSTEM = "sluicegate"
SIDECAR = "sluicegate-sidecar"
"""The name of the injected container."""

VALUES = {
    "image": {
        "operator": {"repository": "localhost/sluicegate-operator", "tag": "e2e"},
        "sidecar": {"repository": "localhost/sluicegate-sidecar", "tag": "e2e"},
    },
    "redis": {"embedded": {"image": "localhost/valkey:e2e", "persistence": {"size": "1Gi"}}},
}


@dataclass(frozen=True, slots=True)
class Sluicegate:
    """The installed chart."""

    def upgrade(self, **values: Any) -> None:
        """Installs it, or changes some values of it, and waits until all is up."""
        given = json.dumps({**VALUES, **values})
        command = ("upgrade", "--install", RELEASE, str(CHART), "--namespace", SYSTEM)
        cluster.run("helm", *command, "--wait", "--timeout=100s", "--values=-", given=given)
        cluster.none_is_ending(SYSTEM)

    def redis_url(self, user: str, password: str) -> str:
        address = cluster.get("service", f"{RELEASE}-redis", SYSTEM)["spec"]["clusterIP"]
        return f"redis://{user}:{password}@{address}:6379/0"

    def operator_url(self) -> str:
        """Redis, with the rights of the operator."""
        return self.redis_url("operator", secret(f"{RELEASE}-redis-users", SYSTEM)["operator"])

    def account(self, agent: "Agent") -> Account:
        return asyncio.run(read_account(self.operator_url(), agent.namespace, agent.name))

    def settled(self, agent: "Agent", acknowledged: int) -> Account:
        """The account, once Redis has at least so many sessions and all are judged; it has to balance."""

        def look() -> Account | None:
            account = self.account(agent)
            is_settled = not account.open and not account.waiting and account.acknowledged >= acknowledged
            return account if is_settled else None

        account = cluster.until(f"{acknowledged} sessions of {agent.name} in the account, all judged", look)
        print(account)
        assert account.balanced
        return account


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent's Deployment."""

    name: str
    namespace: str

    def start(self, *arguments: str, **spec: Any) -> None:
        """Brings its pod up; `spec` is merged into the pod's."""
        named = {"AGENT": self.name, "NAMESPACE": self.namespace, "ARGUMENTS": json.dumps(arguments)}
        cluster.apply(RESOURCES / "agent.yaml", **named)
        if spec:
            patch = json.dumps({"spec": {"template": {"spec": spec}}})
            cluster.kubectl("-n", self.namespace, "patch", "deployment", self.name, "--patch", patch)
        cluster.rolled_out(f"deployment/{self.name}", self.namespace)

    def pod(self) -> dict[str, Any]:
        """Its only pod."""
        (pod,) = cluster.pods(self.namespace, f"app={self.name}")
        return pod

    def calls(self) -> list[dict[str, str]]:
        """Every call that its present pod has made, as its log tells it."""
        return parsed(cluster.kubectl("-n", self.namespace, "logs", f"deployment/{self.name}", "-c", "agent"))

    def calls_more(self, count: int) -> list[dict[str, str]]:
        """The next so many calls."""
        before = len(self.calls())
        made = cluster.until(f"{count} more calls of {self.name}", lambda: self._if_longer(before + count))
        return made[before : before + count]

    def _if_longer(self, count: int) -> list[dict[str, str]]:
        made = self.calls()
        return made if len(made) >= count else []

    def stop(self) -> list[dict[str, str]]:
        """Ends its pod in its own time; every call that it made."""
        pod = self.pod()["metadata"]["name"]
        with following(self.namespace, pod, "agent") as log:
            cluster.kubectl("-n", self.namespace, "scale", f"deployment/{self.name}", "--replicas=0")
            cluster.kubectl("-n", self.namespace, "wait", "--for=delete", f"pod/{pod}", "--timeout=120s")
        return parsed("".join(log))


def parsed(log: str) -> list[dict[str, str]]:
    """The lines of an agent's log that are whole."""
    found = []
    for line in log.splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


@contextmanager
def following(namespace: str, pod: str, container: str) -> Iterator[list[str]]:
    """The whole log of a container, to be read after the body: it outlives the pod."""

    lines: list[str] = []
    command = ["kubectl", "-n", namespace, "logs", "--follow", pod, "-c", container]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        lines.append(process.stdout.readline())  # From here on it follows.
        try:
            yield lines
        finally:
            lines += process.stdout.readlines()


def secret(name: str, namespace: str) -> dict[str, str]:
    found = cluster.get("secret", name, namespace)["data"]
    return {key: base64.b64decode(value).decode() for key, value in found.items()}
