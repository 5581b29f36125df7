"""What the chart renders: as written down in snapshots, as the API server wants it, and restricted."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from api_server import ApiServer
from helm_chart import (
    CHART,
    CLUSTERWIDE,
    SNAPSHOTS,
    VARIANTS,
    Object,
    Refused,
    helm,
    objects,
    pods_of,
    rendered,
    snapshot,
)

RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}


def test_lint_has_no_complaint(home: Path) -> None:
    """`helm lint --strict` finds nothing but that there is no icon."""
    told = helm("lint", "--strict", str(CHART), home=home)
    assert [line for line in told.splitlines() if line.startswith("[")] == ["[INFO] Chart.yaml: icon is recommended"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_snapshot(home: Path, variant: str) -> None:
    """What is rendered is what was last looked at; after a change: `make chart`, and look at the difference."""
    assert snapshot(home, variant) == (SNAPSHOTS / f"{variant}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_api_server_accepts_every_object(bare: ApiServer, home: Path, variant: str) -> None:
    """Every object is accepted, every field is known, and nothing is warned of."""
    for name in ("sluicegate", "hotel", "clinic"):
        bare.kubectl("apply", "-f", "-", stdin=f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}")
    text = rendered(home, *VARIANTS[variant])
    told = bare.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
    assert len(told.splitlines()) == len(objects(text))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_pod_is_restricted(bare: ApiServer, home: Path, place: str, variant: str) -> None:
    """A namespace that enforces the Pod Security Standard `restricted` admits every pod, with a read-only root."""
    bare.kubectl("label", "namespace", place, *(f"{key}={value}" for key, value in RESTRICTED.items()))
    pods = pods_of(objects(rendered(home, *VARIANTS[variant], namespace=place)))
    assert len(pods) >= 3
    for number, pod in enumerate(pods):
        pod["metadata"]["name"] = f"pod-{number}"
        bare.must("POST", f"/api/v1/namespaces/{place}/pods", pod, dryRun="All")
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["resources"]["limits"]["memory"]
            assert {"requests", "limits"} <= set(container["resources"])
    unrestricted = copy.deepcopy(pods[0])
    del unrestricted["spec"]["securityContext"]
    refused = bare.request("POST", f"/api/v1/namespaces/{place}/pods", unrestricted, dryRun="All")
    assert refused.status == 403, "the namespace does not enforce it, so that this test shows nothing"


def test_only_what_has_to_be_is_cluster_wide(home: Path) -> None:
    """An install for some namespaces has two cluster-wide objects for RBAC, its webhook and its admission policy."""
    found = objects(rendered(home, "watchNamespaces={dental,clinic}", "crds.install=false", namespace="sg"))
    assert sorted(f"{one['kind']}/{one['metadata']['name']}" for one in found if one["kind"] in CLUSTERWIDE) == [
        "ClusterRole/sluicegate-injector.sg",
        "ClusterRoleBinding/sluicegate-injector.sg",
        "MutatingWebhookConfiguration/sluicegate-injector.sg",
        "ValidatingAdmissionPolicy/sluicegate-missing-sidecar.sg",
        "ValidatingAdmissionPolicyBinding/sluicegate-missing-sidecar.sg",
    ]


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_installs_have_no_object_in_common(home: Path, variant: str) -> None:
    """The same release in another namespace, without the definitions, names other objects."""

    def named(namespace: str) -> set[tuple[Any, ...]]:
        found = objects(rendered(home, *VARIANTS[variant], "crds.install=false", namespace=namespace))
        return {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in found}

    assert not named("sg-one") & named("sg-two")


def test_what_belongs_to_a_namespace_says_so(home: Path) -> None:
    """Every object but the cluster-wide ones names its namespace, so that a rendered file can be applied as it is."""
    for one in objects(rendered(home, namespace="sg")):
        assert ("namespace" in one["metadata"]) != (one["kind"] in CLUSTERWIDE), one["kind"]


def test_every_object_says_whose_it_is(home: Path) -> None:
    """Each object has the recommended labels, by which a release's parts are found."""
    for one in objects(rendered(home, "crds.install=false", release="mine")):
        labels = one["metadata"]["labels"]
        told = [labels[f"app.kubernetes.io/{name}"] for name in ("name", "instance", "managed-by", "version")]
        assert told == ["sluicegate", "mine", "Helm", "0.1.0"]
        assert labels["helm.sh/chart"] == "sluicegate-0.1.0"
        assert labels["app.kubernetes.io/component"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_fit(home: Path, variant: str) -> None:
    """The longest name of a release makes no name of a Service, and no label, that is longer than 63."""
    found = objects(rendered(home, *VARIANTS[variant], "crds.install=false", release="a" * 53))
    for one in found:
        if one["kind"] not in CLUSTERWIDE and one["kind"] not in ("Role", "RoleBinding"):
            assert len(one["metadata"]["name"]) <= 63, one["metadata"]["name"]
        assert all(len(value) <= 63 for value in one["metadata"]["labels"].values())


def test_an_older_cluster_gets_what_it_knows(home: Path) -> None:
    """Before 1.30 there is no admission policy to make; before 1.28 the chart says that it cannot be installed."""
    for version, policies in (("1.29.0", 0), ("1.30.0", 1)):
        found = objects(helm("template", str(CHART), "--kube-version", version, home=home))
        assert [one["kind"] for one in found].count("ValidatingAdmissionPolicy") == policies
    with pytest.raises(Refused, match="kubeVersion"):
        helm("template", str(CHART), "--kube-version", "1.27.0", home=home)


def test_no_webhook_names_a_ca_bundle(home: Path) -> None:
    """`caBundle` is the injector's: rendered, even empty, it would make every upgrade a conflict."""
    assert "caBundle:" not in rendered(home)


def test_a_password_is_no_part_of_a_pod(home: Path) -> None:
    """Passwords are read from the Secret; a pod's spec has none."""
    text = rendered(home)
    found = re.findall(r"^  (?:operator|judge): (\S{40,})$", text, re.MULTILINE)
    assert len(found) == 2
    assert all(text.count(one) == 1 for one in found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_of_the_release_has_a_name_that_sidecars_look_for(home: Path, variant: str) -> None:
    """An install beside agents makes neither of the two Secrets that are theirs: a sidecar would read our passwords."""
    found = objects(rendered(home, *VARIANTS[variant]))
    names = {one["metadata"]["name"] for one in found if one["kind"] == "Secret"}
    assert not names & {"sluicegate-redis", "sluicegate-judge"}


def environment(pod: Object) -> dict[str, Any]:
    return {one["name"]: one.get("value") for container in pod["spec"]["containers"] for one in container["env"]}


def test_sidecars_get_no_credentials(home: Path) -> None:
    """The URL that the injector gives to sidecars has neither user nor password."""
    (injector,) = [pod for pod in pods_of(objects(rendered(home))) if "injector" in str(pod["metadata"])]
    assert environment(injector)["SLUICEGATE_REDIS_URL"] == "redis://sluicegate-redis.sluicegate.svc:6379/0"
