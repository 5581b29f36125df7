"""Pods in many shapes, and JSON patches applied as RFC 6902 says, as far as we use it."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st

from sluicegate_operator.injection.sidecar import NAME, SidecarSettings

Json = dict[str, Any]
SETTINGS = SidecarSettings(
    image="registry.example/sluicegate/sidecar:1",
    pull_policy="IfNotPresent",
    resources={"requests": {"cpu": "50m", "memory": "160Mi"}, "limits": {"memory": "512Mi"}},
    redis_url="redis://redis.sluicegate.svc:6379/0",
    judge_mode="sidecar",
)


def a_pod(**spec: Any) -> Json:
    """A pod that asks for a sidecar as it should; `spec` is added to its spec."""
    metadata = {
        "name": "desk",
        "labels": {"sluicegate.dev/inject": "true"},
        "annotations": {"sluicegate.dev/agent": "receptionist"},
    }
    return {"metadata": metadata, "spec": {"containers": [{"name": "agent", "image": "agent:1"}], **spec}}


def applied(pod: Json, operations: Iterable[Mapping[str, Any]]) -> Json:
    """The pod after the patch; AssertionError for an operation that the API server would not take, or that replaces."""
    result = copy.deepcopy(pod)
    for operation in operations:
        assert operation.keys() == {"op", "path", "value"}
        assert operation["op"] == "add"
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        target: Any = result
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        value = copy.deepcopy(operation["value"])
        if isinstance(target, list):
            position = len(target) if last == "-" else int(last)
            assert position <= len(target)
            target.insert(position, value)
        else:
            assert not target.get(last) or last == "sluicegate.dev/injected", f"{operation['path']} is there"
            target[last] = value
    return result


def keeps(before: Any, after: Any) -> bool:
    """Whether everything that was there is there still: members, and elements in their order."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(
            not value or (name in after and keeps(value, after[name])) for name, value in before.items()
        )
    if isinstance(before, list):
        rest = iter(after)
        return all(any(keeps(one, other) for other in rest) for one in before)
    return bool(before == after)


def _few(names: str, **fixed: Any) -> st.SearchStrategy[list[Json]]:
    return st.lists(st.sampled_from(names.split()), unique=True, max_size=3).map(
        lambda chosen: [{"name": name, **fixed} for name in chosen]
    )


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=fields)


_VARIABLES = _few("SLUICEGATE_TARGET HOME OPENAI_API_KEY SLUICEGATE_AGENT", value="x")
_MOUNTS = st.lists(
    st.sampled_from(
        [
            {"name": "sluicegate-socket", "mountPath": "/run/sluicegate"},
            {"name": "sluicegate-socket", "mountPath": "/elsewhere"},
            {"name": "other", "mountPath": "/run/sluicegate/"},
            {"name": "other", "mountPath": "/data"},
        ]
    ),
    max_size=3,
)
_PORTS = st.lists(st.sampled_from([{"containerPort": 80}, {"containerPort": 7071}]), max_size=2)
_DETAILS = _optional(env=_VARIABLES | st.none(), volumeMounts=_MOUNTS | st.none(), ports=_PORTS | st.none())


@st.composite
def _containers(draw: st.DrawFn, least: int) -> list[Json]:
    names = draw(st.lists(st.sampled_from(["agent", "proxy", "cache", NAME]), unique=True, min_size=least, max_size=3))
    return [{"name": name, "image": "i:1", **draw(_DETAILS)} for name in names]


_LABELS = st.sampled_from([{}, {"sluicegate.dev/inject": "true"}, {"sluicegate.dev/inject": "false"}, {"a": "b"}])
_ANNOTATIONS = st.sampled_from(
    [
        {"sluicegate.dev/agent": "receptionist"},
        {"sluicegate.dev/agent": "receptionist", "kubectl.kubernetes.io/default-container": "agent"},
        {"sluicegate.dev/agent": "receptionist", "sluicegate.dev/injected": "sha256:old"},
        {"sluicegate.dev/agent": "No Name"},
        {"a": "b"},
        {},
    ]
)
_VOLUMES = _few("sluicegate-socket sluicegate-state sluicegate-redis other", emptyDir={})


@st.composite
def any_pods(draw: st.DrawFn) -> Json:
    """A pod with any of what matters to injection, there or not."""
    metadata = draw(_optional(labels=_LABELS | st.none(), annotations=_ANNOTATIONS | st.none()))
    more = draw(
        _optional(
            initContainers=_containers(0) | st.none(),
            volumes=_VOLUMES | st.none(),
            hostNetwork=st.booleans(),
            os=st.sampled_from([{"name": "linux"}, {"name": "windows"}]),
        )
    )
    return {"metadata": metadata, "spec": {"containers": draw(_containers(1)), **more}}
