"""An API server that has nothing of ours yet: what is on it, helm put there."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_server import ApiServer, api_server
from helm_chart import Release

# The Prometheus operator's kind, as far as a ServiceMonitor needs one to be accepted.
MONITORING = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: ServiceMonitor, plural: servicemonitors}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for helm's own files."""
    return tmp_path_factory.mktemp("helm")


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A Kubernetes API server without our kinds."""
    with api_server(tmp_path_factory.mktemp("bare")) as server:
        server.kubectl("apply", "--server-side", "-f", "-", stdin=MONITORING)
        yield server


@pytest.fixture
def place(bare: ApiServer) -> str:
    """A namespace of the test's own on the bare server."""
    return bare.create_namespace(f"t-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def release(bare: ApiServer, place: str) -> Iterator[Release]:
    """A release that the test is to install; what it leaves behind is removed, the definitions too."""
    made = Release(bare, "sluicegate", place)
    yield made
    made.remove()
