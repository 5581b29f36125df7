"""From a pod to the JSON patch that gives it a sidecar: pure, additive, and the same however often it is applied.

Nothing that is in the pod is changed or removed. A volume of one of our names that is there already is used as it is.
What cannot be done is a warning, never a refusal: an agent is not kept from starting.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sluicegate_operator.injection.sidecar import (
    ADMIN_PORT,
    NAME,
    SOCKET_FOLDER,
    SOCKET_VOLUME,
    Beside,
    Json,
    SidecarSettings,
    agents_mount,
    agents_variable,
    container,
    volumes,
)

INJECT = "sluicegate.dev/inject"
AGENT = "sluicegate.dev/agent"
INJECTED = "sluicegate.dev/injected"
"""The hash of what was added: pods that were given something else than what is given now can be told by it."""
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"

AGENT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class NoPod(Exception):
    """What is to be a pod has not the shape of one."""


@dataclass(frozen=True, slots=True)
class Patch:
    """What to do about a pod."""

    operations: tuple[Json, ...] = ()
    """Of RFC 6902, each an `add`."""
    warning: str = ""
    """For whoever creates the pod."""


def patch(pod: Json, namespace: str, settings: SidecarSettings, *, native: bool) -> Patch:
    """The patch for a pod that is to be created. NoPod if it is none."""
    seen = _read(pod)
    if seen.labels.get(INJECT) == "false":
        return Patch()
    if problem := _problem(seen):
        return Patch(warning=problem)
    to_agents = [operation for number, one in enumerate(seen.containers) for operation in _to_agent(number, one)]
    if seen.has_sidecar:
        # Ours, from an earlier call: only what came into the pod since then is to be joined to it.
        return Patch(tuple(to_agents))
    beside = Beside(agent=seen.annotations[AGENT], namespace=namespace, has_port=seen.has_port, native=native)
    sidecar = container(settings, beside)
    # The container last: put before the others it changes their numbers.
    added = (*to_agents, *_volumes(seen), *_annotations(seen, sidecar, native), _container(seen, sidecar, native))
    return Patch(added, _doubt(seen))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A pod, as far as it matters here."""

    labels: Json
    annotations: Json
    spec: Json
    containers: list[Json]
    """Without a sidecar of ours."""
    everything: list[Json]
    """Init containers, too."""

    @property
    def has_sidecar(self) -> bool:
        return any(one["name"] == NAME for one in self.everything)

    @property
    def has_port(self) -> bool:
        """Whether the pod has an address of its own, and nobody there has told of a use for our port."""
        ports = [port for one in self.everything for port in _objects(one, "ports")]
        is_taken = any(port.get("containerPort") == ADMIN_PORT for port in ports)
        return not is_taken and self.spec.get("hostNetwork") is not True


def _read(pod: Json) -> _Seen:
    metadata, spec = _object(pod, "metadata"), _object(pod, "spec")
    containers, before = _objects(spec, "containers"), _objects(spec, "initContainers")
    everything = [*before, *containers]
    if not containers or not all(isinstance(one.get("name"), str) for one in everything):
        raise NoPod("spec.containers: each has a name, and there is at least one")
    _objects(spec, "volumes")
    return _Seen(_object(metadata, "labels"), _object(metadata, "annotations"), spec, containers, everything)


def _object(parent: Json, name: str) -> Json:
    value = parent.get(name)
    if value is not None and not isinstance(value, dict):
        raise NoPod(f"{name}: not an object")
    return value or {}


def _objects(parent: Json, name: str) -> list[Json]:
    value = parent.get(name)
    if value is not None and not (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
        raise NoPod(f"{name}: not a list of objects")
    return value or []


def _problem(seen: _Seen) -> str:
    """Why the pod gets no sidecar, and the way out; empty if it gets one."""
    agent = seen.annotations.get(AGENT, "")
    if not agent:
        return f'no Sluicegate sidecar: name the agent by the annotation {AGENT}, or label the pod {INJECT}: "false"'
    if not isinstance(agent, str) or not AGENT_NAME.fullmatch(agent):
        return f"no Sluicegate sidecar: {AGENT} must be 1 to 63 of a-z, 0-9 and '-', and neither start nor end with '-'"
    if _object(seen.spec, "os").get("name") == "windows":
        return f'no Sluicegate sidecar: there is none for Windows; label the pod {INJECT}: "false"'
    if seen.has_sidecar and INJECTED not in seen.annotations:
        return f"no Sluicegate sidecar: the pod has a container named {NAME} of its own; give it another name"
    for one in seen.containers:
        if one["name"] != NAME and any(_is_in_the_way(mount) for mount in _objects(one, "volumeMounts")):
            return f"no Sluicegate sidecar: container {one['name']} mounts another volume at {SOCKET_FOLDER}; move it"
    return ""


def _doubt(seen: _Seen) -> str:
    """What may keep a sidecar from its work; empty if nothing does."""
    if seen.spec.get("hostNetwork") is True and seen.spec.get("dnsPolicy") in (None, "ClusterFirst"):
        # Which for such a pod means that of the node.
        return "the Sluicegate sidecar finds no Redis by the name of a Service: set dnsPolicy: ClusterFirstWithHostNet"
    return ""


def _is_in_the_way(mount: Json) -> bool:
    path = mount.get("mountPath")
    return isinstance(path, str) and path.rstrip("/") == SOCKET_FOLDER and mount.get("name") != SOCKET_VOLUME


def _to_agent(number: int, one: Json) -> list[Json]:
    """What makes a container of the pod one that can reach the sidecar."""
    if one["name"] == NAME:
        return []
    operations = []
    mounts, variables = _objects(one, "volumeMounts"), _objects(one, "env")
    if not any(mount.get("name") == SOCKET_VOLUME for mount in mounts):
        operations.append(_append(f"/spec/containers/{number}/volumeMounts", mounts, agents_mount()))
    variable = agents_variable()
    if not any(known.get("name") == variable["name"] for known in variables):
        # First, so that the pod's own variables may refer to it.
        operations.append(_prepend(f"/spec/containers/{number}/env", variables, variable))
    return operations


def _volumes(seen: _Seen) -> list[Json]:
    there = list(_objects(seen.spec, "volumes"))
    operations = []
    for volume in volumes():
        if not any(known.get("name") == volume["name"] for known in there):
            operations.append(_append("/spec/volumes", there, volume))
            there.append(volume)
    return operations


def _annotations(seen: _Seen, sidecar: Json, native: bool) -> list[Json]:
    """An object at least exists: the agent's annotation is in it."""
    added = {INJECTED: digest([sidecar, volumes(), agents_mount(), agents_variable()])}
    if not native and DEFAULT_CONTAINER not in seen.annotations:
        # `kubectl logs` and `exec` take the first container, which is ours now.
        added[DEFAULT_CONTAINER] = seen.containers[0]["name"]
    return [_add(f"/metadata/annotations/{name.replace('/', '~1')}", value) for name, value in added.items()]


def _container(seen: _Seen, sidecar: Json, native: bool) -> Json:
    name = "initContainers" if native else "containers"
    return _prepend(f"/spec/{name}", _objects(seen.spec, name), sidecar)


def digest(added: object) -> str:
    """A name for what was added: the same for the same, in every process."""
    text = json.dumps(added, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _append(path: str, there: Sequence[Json], value: Json) -> Json:
    return _add(f"{path}/-", value) if there else _add(path, [value])


def _prepend(path: str, there: Sequence[Json], value: Json) -> Json:
    return _add(f"{path}/0", value) if there else _add(path, [value])


def _add(path: str, value: Any) -> Json:
    return {"op": "add", "path": path, "value": value}
