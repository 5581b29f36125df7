"""What a pod is given: the sidecar's container, its volumes, and the way to its socket. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

NAME = "sluicegate-sidecar"
ADMIN_PORT = 7071
SOCKET_FOLDER = "/run/sluicegate"
SOCKET = f"unix:{SOCKET_FOLDER}/sluicegate.sock"
STATE_FOLDER = "/var/lib/sluicegate"
REDIS_FOLDER = "/etc/sluicegate/redis"
SOCKET_VOLUME, STATE_VOLUME, REDIS_VOLUME = "sluicegate-socket", "sluicegate-state", "sluicegate-redis"
REDIS_SECRET, JUDGE_SECRET = "sluicegate-redis", "sluicegate-judge"
USER = 65532
ROUTING_SECONDS = 15
"""A sidecar serves after ten seconds, Redis or not; and it takes a moment to start."""
STARTUP_SECONDS = 120
"""Then a sidecar that does not start is started anew. Long, since that is no cure for a node without CPU."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarSettings:
    """What is the same for every sidecar of a cluster."""

    image: str
    pull_policy: Literal["Always", "IfNotPresent", "Never"]
    resources: Mapping[str, Any]
    """As in a container of a pod."""
    redis_url: str
    """Without user and password: pods are read by many."""
    judge_mode: Literal["sidecar", "deployment"]
    """`sidecar`: it judges, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The pod that one is for, as far as it matters."""

    agent: str
    namespace: str
    has_port: bool
    """Whether the admin listener may have a port of the pod's."""
    native: bool
    """Whether the cluster knows init containers that go on running; else it is a container among the others."""


def container(settings: SidecarSettings, beside: Beside) -> Json:
    """The sidecar."""
    spec: Json = {
        "name": NAME,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "args": ["sidecar"],
        "env": _environment(settings, beside),
        "volumeMounts": [
            {"name": SOCKET_VOLUME, "mountPath": SOCKET_FOLDER},
            {"name": STATE_VOLUME, "mountPath": STATE_FOLDER},
            {"name": REDIS_VOLUME, "mountPath": REDIS_FOLDER, "readOnly": True},
        ],
        "resources": dict(settings.resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsGroup": USER,
            "runAsNonRoot": True,
            "runAsUser": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **(_probes_by_port() if beside.has_port else _probes_by_command()),
    }
    if beside.native:
        spec["restartPolicy"] = "Always"
    else:
        # Containers are started in turn, and the next one waits for this, whatever comes of it.
        spec["lifecycle"] = {"postStart": {"exec": {"command": [*_probe("startupz"), "--wait", str(ROUTING_SECONDS)]}}}
    return spec


def volumes() -> list[Json]:
    """The volumes of the sidecar. The first is the agent's, too."""
    return [
        {"name": SOCKET_VOLUME, "emptyDir": {}},
        {"name": STATE_VOLUME, "emptyDir": {}},
        # Optional, or pods would not start before the operator has made it.
        {"name": REDIS_VOLUME, "secret": {"secretName": REDIS_SECRET, "optional": True}},
    ]


def agents_mount() -> Json:
    """Read-only: an agent may connect to the socket, not take its place."""
    return {"name": SOCKET_VOLUME, "mountPath": SOCKET_FOLDER, "readOnly": True}


def agents_variable() -> Json:
    return {"name": "SLUICEGATE_TARGET", "value": SOCKET}


def _environment(settings: SidecarSettings, beside: Beside) -> list[Json]:
    judges = settings.judge_mode == "sidecar"
    values = {
        "SLUICEGATE_AGENT": beside.agent,
        "SLUICEGATE_NAMESPACE": beside.namespace,
        "SLUICEGATE_LISTEN": SOCKET,
        "SLUICEGATE_ADMIN": f"0.0.0.0:{ADMIN_PORT}" if beside.has_port else f"unix:{STATE_FOLDER}/admin.sock",
        "SLUICEGATE_REDIS_URL": settings.redis_url,
        "SLUICEGATE_REDIS_CREDENTIALS": REDIS_FOLDER,
        "SLUICEGATE_STATE": STATE_FOLDER,
        "SLUICEGATE_JUDGE": "inline" if judges else "off",
    }
    environment: list[Json] = [{"name": name, "value": value} for name, value in values.items()]
    if judges:
        environment += [_of_judge("OPENAI_API_KEY", "apiKey"), _of_judge("OPENAI_BASE_URL", "baseUrl")]
    return environment


def _of_judge(name: str, key: str) -> Json:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": JUDGE_SECRET, "key": key, "optional": True}}}


def _probes_by_port() -> Json:
    def asks(path: str) -> Json:
        return {"httpGet": {"path": f"/{path}", "port": ADMIN_PORT}}

    return {
        "startupProbe": {**asks("startupz"), "periodSeconds": 1, "failureThreshold": STARTUP_SECONDS},
        "livenessProbe": {**asks("livez"), "periodSeconds": 10, "timeoutSeconds": 5},
    }


def _probes_by_command() -> Json:
    """Rarer, since each starts a process."""

    def asks(path: str) -> Json:
        return {"exec": {"command": _probe(path)}, "timeoutSeconds": 10}

    return {
        "startupProbe": {**asks("startupz"), "periodSeconds": 2, "failureThreshold": STARTUP_SECONDS // 2},
        "livenessProbe": {**asks("livez"), "periodSeconds": 30},
    }


def _probe(path: str) -> list[str]:
    return ["sluicegate", "probe", path]
