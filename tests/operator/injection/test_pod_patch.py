"""What a pod is given, in many shapes of pods."""

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from pods import SETTINGS, Json, a_pod, any_pods, applied, keeps

from sluicegate_operator.injection.pod_patch import INJECTED, NoPod, patch
from sluicegate_operator.injection.sidecar import NAME
from sluicegate_sidecar.config import Config


def injected(pod: Json, *, native: bool = True) -> Json:
    """The pod as it is created; AssertionError if it gets no sidecar."""
    found = patch(pod, "dental", SETTINGS, native=native)
    assert found.operations, found.warning
    return applied(pod, found.operations)


def sidecar_of(pod: Json) -> Json:
    everything = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    (found,) = [one for one in everything if one["name"] == NAME]
    return dict(found)


def environment(container: Json) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


@given(any_pods())
def test_applied_twice_is_applied_once(pod: Json) -> None:
    """A patched pod needs no patch; with and without native sidecars."""
    for native in (True, False):
        once = applied(pod, patch(pod, "dental", SETTINGS, native=native).operations)
        assert patch(once, "dental", SETTINGS, native=native).operations == ()


@given(any_pods())
def test_nothing_of_a_pod_is_removed(pod: Json) -> None:
    """Whatever was in the pod is there afterwards, in the same order; and the pod that was asked about is untouched."""
    before = copy.deepcopy(pod)
    for native in (True, False):
        found = patch(pod, "dental", SETTINGS, native=native)
        assert pod == before
        after = applied(pod, found.operations)
        kept = copy.deepcopy(pod)
        if found.operations and (kept["metadata"].get("annotations") or {}).get(INJECTED):
            kept["metadata"]["annotations"].pop(INJECTED)
        assert keeps(kept, after)


@given(any_pods())
def test_a_pod_has_a_sidecar_or_says_why_not(pod: Json) -> None:
    """Each pod that asks for one has exactly one afterwards, or whoever created it is told the way out."""
    found = patch(pod, "dental", SETTINGS, native=True)
    after = applied(pod, found.operations)
    everything = [*(after["spec"].get("initContainers") or []), *after["spec"]["containers"]]
    count = sum(one["name"] == NAME for one in everything)
    opted_out = (pod["metadata"].get("labels") or {}).get("sluicegate.dev/inject") == "false"
    assert opted_out or found.warning or count >= 1
    assert len(found.warning) <= 160


def test_the_sidecar_comes_before_everything_else() -> None:
    """It is the first init container, goes on running, and the others wait until it says that it has started."""
    pod = injected(a_pod(initContainers=[{"name": "migrate", "image": "m:1"}]))
    first, second = pod["spec"]["initContainers"]
    assert (first["name"], first["restartPolicy"], second["name"]) == (NAME, "Always", "migrate")
    assert first["startupProbe"]["httpGet"] == {"path": "/startupz", "port": 7071}
    assert first["image"] == SETTINGS.image
    assert first["resources"] == SETTINGS.resources


def test_its_settings_are_settings_of_the_sidecar() -> None:
    """The sidecar itself takes the environment: no variable is unknown to it, and each arrives."""
    config = Config.from_env(environment(sidecar_of(injected(a_pod()))))
    assert (config.agent, config.namespace, config.judge) == ("receptionist", "dental", "inline")
    assert config.listen == ("unix:/run/sluicegate/sluicegate.sock",)
    assert (config.admin, config.state) == ("0.0.0.0:7071", "/var/lib/sluicegate")
    assert (config.redis_url, config.redis_credentials) == (SETTINGS.redis_url, "/etc/sluicegate/redis")


def test_what_it_needs_is_optional() -> None:
    """A pod starts before the operator has made the namespace's Secret, and without a judge's key."""
    pod = injected(a_pod())
    secrets = [volume["secret"] for volume in pod["spec"]["volumes"] if "secret" in volume]
    assert secrets == [{"secretName": "sluicegate-redis", "optional": True}]
    keys = [one["valueFrom"]["secretKeyRef"] for one in sidecar_of(pod)["env"] if "valueFrom" in one]
    assert [(key["name"], key["key"], key["optional"]) for key in keys] == [
        ("sluicegate-judge", "apiKey", True),
        ("sluicegate-judge", "baseUrl", True),
    ]


def test_a_judge_elsewhere_needs_no_key_here() -> None:
    """With judges as a Deployment the sidecar judges nothing, and gets no key."""
    found = patch(a_pod(), "dental", replace(SETTINGS, judge_mode="deployment"), native=True)
    sidecar = sidecar_of(applied(a_pod(), found.operations))
    assert environment(sidecar)["SLUICEGATE_JUDGE"] == "off"
    assert not any(one["name"].startswith("OPENAI") for one in sidecar["env"])


def test_it_keeps_to_the_restricted_standard() -> None:
    """Not root, nothing gained, no capability, a root that is read-only, the runtime's own seccomp profile."""
    assert sidecar_of(injected(a_pod()))["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsGroup": 65532,
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_all_containers_of_the_agent_find_the_socket() -> None:
    """Each has the volume where the sidecar listens, read-only, and the variable, before its own, that may use it."""
    own = [{"name": "ADDRESS", "value": "$(SLUICEGATE_TARGET)"}]
    pod = injected(a_pod(containers=[{"name": "agent", "env": own}, {"name": "worker"}]))
    mount = {"name": "sluicegate-socket", "mountPath": "/run/sluicegate", "readOnly": True}
    target = {"name": "SLUICEGATE_TARGET", "value": "unix:/run/sluicegate/sluicegate.sock"}
    agent, worker = pod["spec"]["containers"]
    assert agent == {"name": "agent", "env": [target, *own], "volumeMounts": [mount]}
    assert worker == {"name": "worker", "env": [target], "volumeMounts": [mount]}


def test_the_users_own_target_stays() -> None:
    """Who says where the sidecar is knows better."""
    own = {"name": "SLUICEGATE_TARGET", "value": "127.0.0.1:7070"}
    pod = injected(a_pod(containers=[{"name": "agent", "env": [own]}]))
    assert pod["spec"]["containers"][0]["env"] == [own]


def test_the_users_own_volume_is_used() -> None:
    """A volume of one of our names is not doubled: a claim for the spool outlives the pod."""
    own = {"name": "sluicegate-state", "persistentVolumeClaim": {"claimName": "spool"}}
    pod = injected(a_pod(volumes=[own]))
    names = [volume["name"] for volume in pod["spec"]["volumes"]]
    assert pod["spec"]["volumes"][0] == own
    assert names == ["sluicegate-state", "sluicegate-socket", "sluicegate-redis"]


@pytest.mark.parametrize(
    "spec",
    [
        {"hostNetwork": True},
        {"containers": [{"name": "agent", "ports": [{"containerPort": 7071}]}]},
        {"initContainers": [{"name": "other", "ports": [{"containerPort": 7071}]}]},
    ],
)
def test_without_a_port_there_is_the_socket_only(spec: Any) -> None:
    """In the node's network, or where the port is taken, nothing listens on an address, and probes ask by command."""
    sidecar = sidecar_of(injected(a_pod(**spec)))
    config = Config.from_env(environment(sidecar))
    assert all(address.startswith("unix:") for address in (*config.listen, config.admin))
    assert sidecar["startupProbe"]["exec"]["command"] == ["sluicegate", "probe", "startupz"]
    assert sidecar["livenessProbe"]["exec"]["command"] == ["sluicegate", "probe", "livez"]
    assert "httpGet" not in str(sidecar)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, ""),
        ({"hostNetwork": True}, "set dnsPolicy: ClusterFirstWithHostNet"),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirst"}, "set dnsPolicy: ClusterFirstWithHostNet"),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}, ""),
        ({"hostNetwork": True, "dnsPolicy": "None"}, ""),
    ],
)
def test_a_sidecar_that_may_not_find_redis_is_told(spec: Any, told: str) -> None:
    """In the node's network a Service has no name, unless the pod asks for it; it is injected all the same."""
    found = patch(a_pod(**spec), "dental", SETTINGS, native=True)
    assert found.operations
    assert (told in found.warning, bool(found.warning)) == (True, bool(told))


def test_an_older_cluster_gets_a_plain_container() -> None:
    """Before 1.29 it is the first container, the next one waits for it, and kubectl still means the agent."""
    pod = injected(a_pod(), native=False)
    first, agent = pod["spec"]["containers"]
    assert (first["name"], agent["name"], "initContainers" in pod["spec"]) == (NAME, "agent", False)
    assert "restartPolicy" not in first
    assert first["lifecycle"]["postStart"]["exec"]["command"][:2] == ["sluicegate", "probe"]
    assert agent["volumeMounts"]
    assert pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] == "agent"


def test_the_hash_tells_what_was_added() -> None:
    """The same for two pods that were given the same, another one for another image."""
    one, other = injected(a_pod()), injected(a_pod(volumes=[{"name": "data"}]))
    newer = patch(a_pod(), "dental", replace(SETTINGS, image="sidecar:2"), native=True)
    hashes = [pod["metadata"]["annotations"][INJECTED] for pod in (one, other, applied(a_pod(), newer.operations))]
    assert hashes[0] == hashes[1] != hashes[2]
    assert hashes[0].startswith("sha256:")


def test_what_another_webhook_adds_later_is_joined() -> None:
    """A container that came after the first call gets the socket in the second; the rest, though outdated, stays."""
    pod = injected(a_pod())
    pod["spec"]["containers"].append({"name": "late", "image": "l:1"})
    found = patch(pod, "dental", replace(SETTINGS, image="sidecar:2"), native=True)
    assert {operation["path"] for operation in found.operations} == {
        "/spec/containers/1/volumeMounts",
        "/spec/containers/1/env",
    }
    assert sidecar_of(applied(pod, found.operations))["image"] == SETTINGS.image


def with_agent(agent: object) -> Json:
    pod = a_pod()
    pod["metadata"]["annotations"] = {"sluicegate.dev/agent": agent}
    return pod


def without(name: str) -> Json:
    pod = a_pod()
    del pod["metadata"][name]
    return pod


@pytest.mark.parametrize(
    ("pod", "told"),
    [
        (without("annotations"), "name the agent by the annotation sluicegate.dev/agent"),
        (with_agent(""), "name the agent by the annotation sluicegate.dev/agent"),
        (with_agent("Receptionist"), "sluicegate.dev/agent must be 1 to 63"),
        (with_agent("-desk"), "sluicegate.dev/agent must be 1 to 63"),
        (with_agent("a" * 64), "sluicegate.dev/agent must be 1 to 63"),
        (with_agent("desk\n"), "sluicegate.dev/agent must be 1 to 63"),
        (a_pod(containers=[{"name": "agent"}, {"name": NAME}]), "a container named sluicegate-sidecar of its own"),
        (a_pod(initContainers=[{"name": NAME}]), "a container named sluicegate-sidecar of its own"),
        (a_pod(os={"name": "windows"}), "there is none for Windows"),
        (
            a_pod(containers=[{"name": "agent", "volumeMounts": [{"name": "run", "mountPath": "/run/sluicegate"}]}]),
            "container agent mounts another volume at /run/sluicegate",
        ),
    ],
)
def test_what_cannot_be_done_is_a_warning(pod: Json, told: str) -> None:
    """The pod is left as it is, and the warning names what to do."""
    found = patch(pod, "dental", SETTINGS, native=True)
    assert found.operations == ()
    assert told in found.warning


def test_a_pod_that_wants_none_gets_none() -> None:
    """In a namespace that asks for sidecars a pod says no by its label, and hears nothing more of it."""
    pod = without("annotations")
    pod["metadata"]["labels"] = {"sluicegate.dev/inject": "false"}
    found = patch(pod, "dental", SETTINGS, native=True)
    assert (found.operations, found.warning) == ((), "")


def test_an_annotation_without_a_sidecar_is_no_sidecar() -> None:
    """Who copies the annotations of a running pod into a template gets a sidecar all the same, and a new hash."""
    pod = a_pod()
    pod["metadata"]["annotations"][INJECTED] = "sha256:old"
    assert injected(pod)["metadata"]["annotations"][INJECTED] != "sha256:old"


@pytest.mark.parametrize(
    "pod",
    [
        {},
        {"spec": None},
        {"spec": []},
        {"spec": {"containers": []}},
        {"spec": {"containers": "agent"}},
        {"spec": {"containers": [None]}},
        {"spec": {"containers": [{"name": 1}]}},
        {"metadata": "x", "spec": {"containers": [{"name": "a"}]}},
        {"metadata": {"labels": []}, "spec": {"containers": [{"name": "a"}]}},
        a_pod(volumes={"a": "b"}),
        a_pod(os="linux"),
        a_pod(containers=[{"name": "a", "env": "x"}]),
        a_pod(containers=[{"name": "a", "volumeMounts": [1]}]),
        a_pod(containers=[{"name": "a", "ports": {}}]),
    ],
)
def test_what_is_no_pod_is_told_apart(pod: Json) -> None:
    """No shape of JSON is taken for a pod that is none."""
    with pytest.raises(NoPod):
        patch(pod, "dental", SETTINGS, native=True)
