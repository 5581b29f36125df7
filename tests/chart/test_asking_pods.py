"""Pods that ask for a sidecar where no injector is: whom the API server asks, and what it tells by itself."""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from api_server import ApiServer, binary
from helm_chart import Release, pods_of

ASKS = {"sluicegate.dev/inject": "true"}
DECLINES = {"sluicegate.dev/inject": "false"}
SIDECAR = {"name": "sluicegate-sidecar", "image": "sidecar"}
TOLD = "this pod asks for a Sluicegate sidecar and has none"


@pytest.fixture(scope="module", params=["Warn", "Deny"])
def action(request: pytest.FixtureRequest, bare: ApiServer) -> Iterator[str]:
    """What the release does about them, in the namespaces `plain-…` and `asking-…`, and not in `elsewhere-…`."""
    kind = str(request.param).lower()
    release = Release(bare, "sluicegate", bare.create_namespace(f"missing-{kind}"))
    for name in ("plain", "asking", "elsewhere"):
        bare.create_namespace(f"{name}-{kind}")
    bare.kubectl("label", "namespace", f"asking-{kind}", "sluicegate.dev/inject=true")
    served = f"watchNamespaces={{plain-{kind},asking-{kind}}}"
    release.install(served, f"injector.missingSidecar={request.param}", "crds.install=false")
    until_it_is_in_force(bare, f"plain-{kind}")
    yield str(request.param)
    release.helm("uninstall", release.name)


def create(server: ApiServer, namespace: str, pod: dict[str, Any]) -> tuple[int, str]:
    """Tries a pod: exit code, and what kubectl was told, warnings and refusal alike."""
    command = [str(binary("kubectl")), "--kubeconfig", str(server.kubeconfig("admin")), "create", "-n", namespace]
    words = [*command, "--dry-run=server", "-f", "-"]
    environment = {**os.environ, "HOME": str(server.folder)}
    done = subprocess.run(words, input=json.dumps(pod), env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def until_it_is_in_force(server: ApiServer, namespace: str) -> None:
    """The API server takes a moment to read a new policy."""
    for _ in range(200):
        if TOLD in create(server, namespace, pod(ASKS))[1]:
            return
    raise AssertionError("the policy never came into force")


def pod(labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "agent", "image": "agent"}, *spec.pop("beside", ())]
    metadata = {"name": "agent", **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers, **spec}}


MISSING = {
    "asked by its label": ("plain", pod(ASKS)),
    "asked by its namespace": ("asking", pod()),
    "another init container": ("plain", pod(ASKS, initContainers=[{"name": "init", "image": "init"}])),
}
FINE = {
    "not asked": ("plain", pod()),
    "declined": ("asking", pod(DECLINES)),
    "another label": ("plain", pod({"app": "agent"})),
    "a native sidecar": ("plain", pod(ASKS, initContainers=[{**SIDECAR, "restartPolicy": "Always"}])),
    "a plain sidecar": ("plain", pod(ASKS, beside=[SIDECAR])),
    "not served": ("elsewhere", pod(ASKS)),
}


@pytest.mark.parametrize(("namespace", "agent"), MISSING.values(), ids=MISSING)
def test_a_missing_sidecar_is_told(bare: ApiServer, action: str, namespace: str, agent: dict[str, Any]) -> None:
    """A pod that asked for a sidecar and has none is told of, and refused where that is wanted."""
    code, told = create(bare, f"{namespace}-{action.lower()}", agent)
    assert TOLD in told
    assert (code == 0) == (action == "Warn")


@pytest.mark.parametrize(("namespace", "agent"), FINE.values(), ids=FINE)
def test_every_other_pod_is_left_alone(bare: ApiServer, action: str, namespace: str, agent: dict[str, Any]) -> None:
    """A pod that has its sidecar, did not ask for one or is not served is admitted without a word."""
    assert create(bare, f"{namespace}-{action.lower()}", agent) == (0, "")


@pytest.fixture(scope="module")
def failing(bare: ApiServer) -> Iterator[Release]:
    """A release without which pods that ask are not created."""
    release = Release(bare, "sluicegate", bare.create_namespace("failing"))
    for name in ("plain-failing", "asking-failing", "elsewhere-failing"):
        bare.create_namespace(name)
    bare.kubectl("label", "namespace", "asking-failing", "sluicegate.dev/inject=true")
    served = "watchNamespaces={plain-failing,asking-failing,failing}"
    release.install(served, "injector.failurePolicy=Fail", "injector.missingSidecar=Off", "crds.install=false")
    for _ in range(200):
        if create(bare, "plain-failing", pod(ASKS))[0] != 0:
            break
    yield release
    release.helm("uninstall", release.name)


ASKED_OF = {
    "pod": ("plain", pod(ASKS)),
    "namespace": ("asking", pod()),
}


@pytest.mark.parametrize(("webhook", "case"), ASKED_OF.items(), ids=ASKED_OF)
def test_the_injector_is_asked(failing: Release, webhook: str, case: tuple[str, dict[str, Any]]) -> None:
    """A pod that asks, by its own label or its namespace's, is not created while nobody answers, if so wanted."""
    code, told = create(failing.server, f"{case[0]}-failing", case[1])
    assert code != 0
    assert f'failed calling webhook "{webhook}.inject.sluicegate.dev"' in told


@pytest.mark.parametrize(
    ("namespace", "agent"),
    [("plain", pod()), ("plain", pod(DECLINES)), ("asking", pod(DECLINES)), ("elsewhere", pod(ASKS))],
    ids=["not asked", "declined", "declined in spite of the namespace", "not served"],
)
def test_the_injector_is_not_asked(failing: Release, namespace: str, agent: dict[str, Any]) -> None:
    """Pods that do not ask, decline or are not served are created as ever."""
    assert create(failing.server, f"{namespace}-failing", agent) == (0, "")


def test_the_injector_does_not_wait_for_itself(failing: Release) -> None:
    """Though the release's own namespace asks for sidecars and nobody answers, the release's own pods are created."""
    failing.server.kubectl("label", "namespace", failing.namespace, "sluicegate.dev/inject=true")
    for number, one in enumerate(pods_of(failing.manifest())):
        one["metadata"]["name"] = f"own-{number}"
        assert create(failing.server, failing.namespace, one) == (0, "")
