"""The operator as a process of its own, with the rights that it says it needs and no others."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from api_server import GROUP, ApiServer
from processes import Program, program

RULES = [
    {
        "apiGroups": ["sluicegate.dev"],
        "resources": ["experiments", "evaluationpolicies"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["sluicegate.dev"],
        "resources": ["experiments/status", "evaluationpolicies/status"],
        "verbs": ["patch"],
    },
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events", "secrets"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["sluicegate-redis"], "verbs": ["get"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": ["sluicegate-operator"],
        "verbs": ["get", "update"],
    },
]


def kubeconfig(cluster: ApiServer, *namespaces: str) -> str:
    """A kubeconfig with the operator's rights in these namespaces; the first one is that of its Lease."""
    home = namespaces[0]
    token = cluster.service_account_token(home, "operator")
    for namespace in namespaces:
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        if cluster.get(f"{rbac}/roles/operator") is None:
            cluster.must("POST", f"{rbac}/roles", {"metadata": {"name": "operator"}, "rules": RULES})
            subject = {"kind": "ServiceAccount", "name": "operator", "namespace": home}
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
            binding = {"metadata": {"name": "operator"}, "subjects": [subject], "roleRef": role}
            cluster.must("POST", f"{rbac}/rolebindings", binding)
    return str(cluster.kubeconfig(f"operator-{uuid.uuid4().hex[:8]}", token))


@asynccontextmanager
async def operator(
    cluster: ApiServer, redis_url: str, *namespaces: str, within: Sequence[str] = (), **settings: str
) -> AsyncIterator[Program]:
    """An operator of these namespaces. Settings are lower-case: `judge_mode="sidecar"`. `within`: as of `program`."""
    named = {f"SLUICEGATE_{name.upper()}": value for name, value in settings.items()}
    defaults = {
        "KUBECONFIG": kubeconfig(cluster, *namespaces),
        "SLUICEGATE_REDIS_URL": redis_url,
        "SLUICEGATE_WATCH_NAMESPACES": ",".join(namespaces),
        "SLUICEGATE_ADMIN": "127.0.0.1:0",
        "SLUICEGATE_LEASE_NAMESPACE": namespaces[0],
    }
    async with program("operator", {**defaults, **named}, within) as running:
        yield running


class Experiments:
    """The resources of one namespace, as people and tests handle them."""

    def __init__(self, cluster: ApiServer, namespace: str) -> None:
        self._cluster = cluster
        self.namespace = namespace

    def path(self, name: str = "", plural: str = "experiments") -> str:
        return f"{GROUP}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def apply(self, text: str) -> None:
        """`kubectl apply`, for documents of one file."""
        self._cluster.kubectl("apply", "--namespace", self.namespace, "-f", "-", stdin=text)

    def get(self, name: str) -> Any:
        return self._cluster.get(self.path(name))

    def status(self, name: str) -> Any:
        body = self.get(name)
        return (body or {}).get("status", {})

    def annotate(self, name: str, **asked: str | None) -> None:
        """Asks for operations; None takes a wish back."""
        annotations = {f"sluicegate.dev/{operation}": value for operation, value in asked.items()}
        body = {"metadata": {"annotations": annotations}}
        self._cluster.must("PATCH", self.path(name), body, "application/merge-patch+json")

    def delete(self, name: str) -> None:
        self._cluster.must("DELETE", self.path(name))

    def events(self, name: str) -> list[str]:
        """The reasons of the Events of an experiment, the oldest first."""
        listed = self._cluster.must("GET", f"/api/v1/namespaces/{self.namespace}/events")["items"]
        own = [event for event in listed if event["involvedObject"]["name"] == name]
        own.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
        return [event["reason"] for event in own]

    async def told(self, name: str, *reasons: str) -> None:
        """Returns once the Events of an experiment are these and no others; AssertionError if they never are."""
        found: list[str] = []
        try:
            async with asyncio.timeout(30):
                while True:
                    found = await asyncio.to_thread(self.events, name)
                    if found == list(reasons):
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise AssertionError(f"{name}: told {found}, not {list(reasons)}") from error

    async def until(self, name: str, seconds: float = 30.0, **expected: object) -> Any:
        """The status, once it says all of `expected`; AssertionError with what it says if it never does."""
        status: Any = {}
        try:
            async with asyncio.timeout(seconds):
                while True:
                    status = await asyncio.to_thread(self.status, name)
                    if all(status.get(field) == value for field, value in expected.items()):
                        return status
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise AssertionError(f"{name} never came to {expected}; its status is {status}") from error

    async def condition(self, name: str, kind: str, status: str, reason: str = "", seconds: float = 30.0) -> str:
        """The message of a condition, once it has this status and reason."""
        told: Any = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    found = await asyncio.to_thread(self.status, name)
                    told = next((one for one in found.get("conditions", []) if one["type"] == kind), None)
                    if told and told["status"] == status and reason in ("", told["reason"]):
                        return str(told["message"])
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise AssertionError(f"{name}: {kind} never was {status} {reason}; it is {told}") from error
