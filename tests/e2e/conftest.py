"""The chart, installed once from the images of this checkout."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import cluster
import pytest
from installed import RELEASE, RESOURCES, SYSTEM, Agent, Sluicegate

from one_node.places import NODE, Places

NAMESPACES = ("dental", "legal")

# They need a node and the images: `make e2e` has both.
if "SLUICEGATE_E2E" not in os.environ:
    collect_ignore_glob = ["test_*.py"]

VOLUME = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "metadata": {"name": "redis"},
    "spec": {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "local": {},
        "nodeAffinity": {
            "required": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}
                ]
            }
        },
    },
}
"""The node has no provisioner of volumes."""


@pytest.fixture(scope="session")
def sluicegate() -> Sluicegate:
    """The chart, a judge for the whole cluster, and two namespaces with agents."""
    folder = Places.from_env(os.environ).home / "volumes" / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    volume = {**VOLUME, "spec": {**VOLUME["spec"], "local": {"path": str(folder)}}}  # type: ignore[dict-item]
    cluster.kubectl("apply", "-f", "-", given=json.dumps(volume))
    cluster.apply(RESOURCES / "judge.yaml")
    for namespace in (SYSTEM, *NAMESPACES):
        cluster.apply(RESOURCES / "namespace.yaml", NAMESPACE=namespace)
    installed = Sluicegate()
    installed.upgrade()
    cluster.rolled_out("deployment/judge", "judge")
    return installed


@pytest.fixture
def agent(sluicegate: Sluicegate, request: pytest.FixtureRequest) -> Iterator[Agent]:
    """An agent of the test's own, with a policy and without a pod; it goes with the test."""
    # A name of this time's own: on a node that was kept, a run that has ended never starts again.
    name = request.node.originalname.removeprefix("test_").replace("_", "-")[:35].strip("-")
    name = f"{name}-{secrets.token_hex(2)}"
    agent = Agent(name, "dental")
    cluster.apply(RESOURCES / "policy.yaml", AGENT=name, NAMESPACE=agent.namespace)
    yield agent
    for kind in ("deployment", "experiment", "evaluationpolicy"):
        cluster.kubectl("-n", agent.namespace, "delete", kind, name, "--ignore-not-found", "--wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A test that fails tells what the cluster looked like."""
    report = yield
    if report.failed:
        seen = ["get all,experiments,evaluationpolicies,secrets -A", "get events -A --sort-by=.lastTimestamp"]
        logs = [f"-n {SYSTEM} logs deployment/{RELEASE}-{part} --tail=60" for part in ("operator", "injector")]
        for words in (*seen, *logs):
            with suppress(cluster.Failed):
                report.sections.append((f"kubectl {words}", cluster.kubectl(*words.split())))
    return report
