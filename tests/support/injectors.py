"""The injector as in a cluster: real processes behind a Service, called by a real API server, with the chart's rights.

There is no node and so no kube-proxy. The API server sends what is for a Service through a proxy of its own, as it does
where nodes are in another network, and that proxy spreads connections over the replicas.
"""

import base64
import itertools
import json
import socket
import socketserver
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from api_server import ApiServer, binary
from processes import Program, program

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


class Service:
    """Spreads connections over the replicas."""

    def __init__(self, path: Path) -> None:
        self.replicas: list[str] = []
        self.knows_the_dead = True
        """Whether a replica that is gone is passed over. Kubernetes takes its time to know."""
        self._turn = itertools.count()
        self._tunnels: set[socket.socket] = set()
        self._changed = threading.Condition()
        service = self

        class Tunnel(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                service.forward(self.request)

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 128

        self._server = Server(str(path), Tunnel)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def cut(self) -> None:
        """Ends all connections: whoever calls next has to shake hands again. Nobody may be calling meanwhile.

        Returns when the API server has closed its ends, or it might still take one of them for the next call.
        """
        with self._changed:
            for tunnel in self._tunnels:
                with suppress(OSError):
                    tunnel.shutdown(socket.SHUT_WR)
            assert self._changed.wait_for(lambda: not self._tunnels, 30), "the API server holds on to a connection"

    def forward(self, caller: socket.socket) -> None:
        """One connection, from CONNECT to its end."""
        asked = b""
        while b"\r\n\r\n" not in asked:
            if not (read := caller.recv(4096)):
                return
            asked += read
        replica = self._connected()
        if replica is None:
            caller.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
            return
        with replica:
            with self._changed:
                self._tunnels.add(caller)
            caller.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_copy, args=(replica, caller), daemon=True)
            back.start()
            _copy(caller, replica)
            back.join()
            with self._changed:
                self._tunnels.discard(caller)
                self._changed.notify_all()

    def _connected(self) -> socket.socket | None:
        replicas, first = list(self.replicas), next(self._turn)
        for number in range(len(replicas) if self.knows_the_dead else min(1, len(replicas))):
            host, _, port = replicas[(first + number) % len(replicas)].rpartition(":")
            with suppress(OSError):
                replica = socket.create_connection((host, int(port)), 5)
                # As without anybody between: else the second packet of a question waits 40 ms for the first one's echo.
                replica.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return replica
        return None


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        source.settimeout(None)
        while read := source.recv(65536):
            target.sendall(read)
    for end, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with suppress(OSError):
            end.shutdown(how)


class RoutedApiServer(ApiServer):
    """An API server that reaches Services through `egress.sock` in its folder."""

    def _server_options(self) -> dict[str, str]:
        connection = {
            "proxyProtocol": "HTTPConnect",
            "transport": {"uds": {"udsName": str(self.folder / "egress.sock")}},
        }
        selection = {
            "apiVersion": "apiserver.k8s.io/v1beta1",
            "kind": "EgressSelectorConfiguration",
            "egressSelections": [{"name": "cluster", "connection": connection}],
        }
        file = self.folder / "egress.json"
        file.write_text(json.dumps(selection))
        return {**super()._server_options(), "egress-selector-config-file": str(file)}


@contextmanager
def routed_api_server(folder: Path) -> Iterator[tuple[ApiServer, Service]]:
    """An API server, and the way from it to whatever Service it calls."""
    for name in ("etcd", "kube-apiserver"):
        binary(name)
    server = RoutedApiServer(folder)
    folder.mkdir(parents=True, exist_ok=True)
    service = Service(folder / "egress.sock")
    try:
        server.start()
        yield server, service
    finally:
        server.kill(etcd=True)
        service.close()


class Installation:
    """What the chart makes for the injector, in a namespace of its own, and the injectors."""

    def __init__(self, api: ApiServer, service: Service, failure_policy: str = "Fail") -> None:
        self.api = api
        self.service = service
        self.namespace = api.create_namespace(f"t-{uuid.uuid4().hex[:12]}")
        self.webhook_path = f"{WEBHOOKS}/{self.namespace}"
        self.secret_path = f"/api/v1/namespaces/{self.namespace}/secrets/certificate"
        self._failure_policy = failure_policy
        secret = {"metadata": {"name": "certificate"}, "type": "Opaque"}
        api.must("POST", self.secret_path.rpartition("/")[0], secret)
        port = {"ports": [{"port": 443, "targetPort": 8443}]}
        api.must(
            "POST", f"/api/v1/namespaces/{self.namespace}/services", {"metadata": {"name": "injector"}, "spec": port}
        )
        self.register()
        token = api.service_account_token(self.namespace, "injector")
        self._grant()
        self._kubeconfig = api.kubeconfig(self.namespace, token)

    def register(self) -> None:
        """The webhook as the chart renders it: for this namespace, without the authorities."""
        webhook = {
            "name": "pod.inject.sluicegate.dev",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "injector", "namespace": self.namespace, "path": "/inject"}},
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["pods"],
                    "scope": "Namespaced",
                }
            ],
            "failurePolicy": self._failure_policy,
            "matchPolicy": "Equivalent",
            "reinvocationPolicy": "IfNeeded",
            "sideEffects": "None",
            "timeoutSeconds": 5,
            "objectSelector": {"matchLabels": {"sluicegate.dev/inject": "true"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
        }
        other = {**webhook, "name": "namespace.inject.sluicegate.dev"}
        other["objectSelector"] = {"matchLabels": {"sluicegate.dev/never": "true"}}
        body = {"metadata": {"name": self.namespace}, "webhooks": [webhook, other]}
        self.api.must("POST", WEBHOOKS, body)

    def _grant(self) -> None:
        """The chart's rights, and no more."""
        here = f"{RBAC}/namespaces/{self.namespace}"
        own = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["certificate"]}
        self._bind(here, "Role", {**own, "verbs": ["get", "list", "watch", "update"]})
        webhooks = {
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["mutatingwebhookconfigurations"],
            "resourceNames": [self.namespace],
            "verbs": ["get", "list", "watch", "patch"],
        }
        self._bind(RBAC, "ClusterRole", webhooks)

    def _bind(self, path: str, kind: str, rule: dict[str, Any]) -> None:
        metadata = {"name": self.namespace}
        self.api.must("POST", f"{path}/{kind.lower()}s", {"metadata": metadata, "rules": [rule]})
        subject = {"kind": "ServiceAccount", "name": "injector", "namespace": self.namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": self.namespace}
        binding = {"metadata": metadata, "roleRef": role, "subjects": [subject]}
        self.api.must("POST", f"{path}/{kind.lower()}bindings", binding)

    def settings(self, **more: str) -> dict[str, str]:
        """The environment of an injector. `more` is lower-case: `certificate_seconds="15"`."""
        return {
            "KUBECONFIG": str(self._kubeconfig),
            "SLUICEGATE_LISTEN": "127.0.0.1:0",
            "SLUICEGATE_ADMIN": "127.0.0.1:0",
            "SLUICEGATE_NAMESPACE": self.namespace,
            "SLUICEGATE_SECRET": "certificate",
            "SLUICEGATE_WEBHOOK": self.namespace,
            "SLUICEGATE_SERVICE": "injector",
            "SLUICEGATE_SIDECAR_IMAGE": "sluicegate/sidecar:1",
            "SLUICEGATE_REDIS_URL": "redis://redis:6379/0",
            **{f"SLUICEGATE_{name.upper()}": value for name, value in more.items()},
        }

    @asynccontextmanager
    async def injector(self, **more: str) -> AsyncIterator["Injector"]:
        """One that serves, and is called, until the body ends."""
        async with program("injector", self.settings(**more)) as running:
            serves = await running.logs(r"injecting on (\S+), admin on (\S+);")
            self.service.replicas.append(serves[1])
            try:
                yield Injector(running, serves[1], serves[2])
            finally:
                with suppress(ValueError):  # A test may have done it.
                    self.service.replicas.remove(serves[1])
                # An end that is asked for takes its time.
                await running.kill()

    def create(self, name: str, **query: str) -> Any:
        """What comes of a pod that asks for a sidecar: the pod, or a refusal."""
        return self.api.request("POST", f"/api/v1/namespaces/{self.namespace}/pods", pod(name), **query)

    def secret(self) -> dict[str, bytes]:
        """What is in the Secret."""
        data = self.api.must("GET", self.secret_path).get("data") or {}
        return {name: base64.b64decode(value) for name, value in data.items()}

    def trusted(self) -> set[bytes]:
        """The authorities that each webhook of the configuration has."""
        webhooks = self.api.must("GET", self.webhook_path)["webhooks"]
        return {base64.b64decode(one["clientConfig"].get("caBundle", "")) for one in webhooks}


class Injector:
    """An injector that serves."""

    def __init__(self, running: Program, address: str, admin: str) -> None:
        self.program = running
        self.address = address
        self.admin = admin


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    """A pod that asks for a sidecar."""
    return {
        "metadata": {
            "name": name,
            "labels": {"sluicegate.dev/inject": "true"},
            "annotations": {"sluicegate.dev/agent": "receptionist"},
            **metadata,
        },
        "spec": {"containers": [{"name": "agent", "image": "agent:1"}]},
    }


def is_injected(created: Any) -> bool:
    """Whether the API server's answer is a pod with a native sidecar."""
    names = [one["name"] for one in created.body.get("spec", {}).get("initContainers", [])]
    return created.status == 201 and names == ["sluicegate-sidecar"]
