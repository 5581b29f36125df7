"""A release's life on a real API server, by the real helm: nothing that others wrote into it is lost or in the way."""

import base64
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from api_server import GROUP, ApiServer
from helm_chart import CHART, Refused, Release

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CA_BUNDLE = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n").decode()
POLICY = {"apiVersion": "sluicegate.dev/v1alpha1", "kind": "EvaluationPolicy", "spec": {"agent": "receptionist"}}


def webhook_path(release: Release) -> str:
    return f"{WEBHOOKS}/{release.name}-injector.{release.namespace}"


def secret_path(release: Release, name: str) -> str:
    return f"/api/v1/namespaces/{release.namespace}/secrets/{release.name}-{name}"


def written_by_others(release: Release) -> None:
    """What the injector does: its certificate into the Secret, the authority into each webhook."""
    server = release.server
    certificate = server.must("GET", secret_path(release, "injector"))
    certificate["data"] = {"tls.crt": CA_BUNDLE, "tls.key": CA_BUNDLE, "ca.crt": CA_BUNDLE}
    server.must("PUT", secret_path(release, "injector"), certificate)
    hooks = server.must("GET", webhook_path(release))["webhooks"]
    steps = [
        {"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": CA_BUNDLE}
        for number in range(len(hooks))
    ]
    server.must("PATCH", webhook_path(release), steps, "application/json-patch+json")


def assert_kept(release: Release) -> None:
    """The certificate and the authority are as the injector wrote them."""
    assert release.server.must("GET", secret_path(release, "injector"))["data"]["tls.key"] == CA_BUNDLE
    bundles = [
        hook["clientConfig"]["caBundle"] for hook in release.server.must("GET", webhook_path(release))["webhooks"]
    ]
    assert bundles == [CA_BUNDLE] * 2


def passwords(release: Release) -> Any:
    return release.server.must("GET", secret_path(release, "redis-users"))["data"]


def short_names(release: Release) -> Any:
    return release.server.must("GET", f"{DEFINITIONS}/experiments.sluicegate.dev")["spec"]["names"]["shortNames"]


def test_install_makes_everything(release: Release) -> None:
    """After one `helm install` every object of the release is there, and our kinds are served."""
    release.install()
    for one in release.manifest():
        namespace = one["metadata"].get("namespace")
        where = ["--namespace", namespace] if namespace else []
        release.server.kubectl("get", f"{one['kind']}/{one['metadata']['name']}", *where)
    assert release.server.must("GET", f"{GROUP}/namespaces/{release.namespace}/experiments")["items"] == []


@pytest.mark.parametrize("server_side", [True, False], ids=["helm-4", "helm-3"])
def test_upgrade_keeps_what_others_wrote(release: Release, server_side: bool) -> None:
    """An upgrade takes new values, and leaves certificate, authority and passwords as they are."""
    release.install(server_side=server_side)
    written_by_others(release)
    before = passwords(release)
    release.upgrade("injector.failurePolicy=Fail", "injector.replicas=3")
    assert_kept(release)
    assert passwords(release) == before
    hooks = release.server.must("GET", webhook_path(release))["webhooks"]
    assert [hook["failurePolicy"] for hook in hooks] == ["Fail", "Fail"]


@pytest.mark.parametrize("server_side", [True, False], ids=["helm-4", "helm-3"])
def test_rollback_keeps_what_others_wrote(release: Release, server_side: bool) -> None:
    """A rollback takes the earlier values back, and leaves certificate, authority and passwords as they are."""
    release.install(server_side=server_side)
    written_by_others(release)
    before = passwords(release)
    release.upgrade("injector.failurePolicy=Fail")
    release.helm("rollback", release.name, "1")
    assert_kept(release)
    assert passwords(release) == before
    hooks = release.server.must("GET", webhook_path(release))["webhooks"]
    assert [hook["failurePolicy"] for hook in hooks] == ["Ignore", "Ignore"]


def test_a_change_of_mode_and_back(release: Release) -> None:
    """Redis, judges and namespaces are changed by upgrades, and what is no longer meant is gone."""
    release.install()
    server, place = release.server, release.namespace
    stateful_set = f"/apis/apps/v1/namespaces/{place}/statefulsets/{release.name}-redis"
    everywhere = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{release.name}-operator.{place}"
    assert server.get(stateful_set) is not None
    assert server.get(everywhere) is not None
    release.upgrade(
        *("redis.mode=external", "redis.external.url=redis://redis:6379/0", "redis.external.secret=redis"),
        *("judge.mode=deployment", "judge.redisSecret=judges"),
        *("judge.agents[0].namespace=dental", "judge.agents[0].agent=receptionist"),
        f"watchNamespaces={{{place}}}",
    )
    assert server.get(stateful_set) is None
    assert server.get(everywhere) is None
    release.upgrade()
    assert server.get(stateful_set) is not None
    assert server.get(everywhere) is not None


def test_uninstall_keeps_resources(release: Release) -> None:
    """After an uninstall only the kinds and what people made of them are left; a new install takes them over."""
    release.install()
    policies = f"{GROUP}/namespaces/{release.namespace}/evaluationpolicies"
    release.server.must("POST", policies, {**POLICY, "metadata": {"name": "kept"}})
    listed = [one for one in release.manifest() if one["kind"] != "CustomResourceDefinition"]
    release.helm("uninstall", release.name)
    for one in listed:
        namespace = one["metadata"].get("namespace")
        where = ["--namespace", namespace] if namespace else []
        left = release.server.kubectl("get", f"{one['kind']}/{one['metadata']['name']}", "--ignore-not-found", *where)
        assert left == "", f"{one['kind']}/{one['metadata']['name']} is left"
    assert release.server.get(f"{policies}/kept") is not None
    release.install()
    assert release.server.get(f"{policies}/kept") is not None


def test_two_installs_side_by_side(release: Release, bare: ApiServer) -> None:
    """A second install in another namespace, without the definitions, shares nothing with the first; either can go."""
    first_serves, second_serves = f"watchNamespaces={{{release.namespace}}}", "watchNamespaces={default}"
    release.install(first_serves)
    second = Release(bare, release.name, bare.create_namespace(f"{release.namespace}-2"))
    with pytest.raises(Refused, match="ownership"):
        second.install(second_serves)
    second.install(second_serves, "crds.install=false")
    written_by_others(release)
    second.helm("uninstall", second.name)
    assert_kept(release)
    release.upgrade(first_serves)
    assert bare.get(f"{DEFINITIONS}/experiments.sluicegate.dev") is not None


def test_definitions_are_upgraded(release: Release, tmp_path: Path) -> None:
    """An upgrade brings the definitions of its own chart, though Helm alone would leave an older one as it is."""
    older = replace(release, chart=shutil.copytree(CHART, tmp_path / "older"))
    file = older.chart / "files" / "crds" / "experiments.yaml"
    file.write_text(file.read_text().replace("shortNames: [sgx]", "shortNames: [older]"))
    older.install()
    assert short_names(release) == ["older"]
    release.upgrade()
    assert short_names(release) == ["sgx"]
