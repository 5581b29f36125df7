"""The API server that tests run against is a real one, with access control in force, and survives its own death."""

import http.client
import ssl
from pathlib import Path

from api_server import GROUP, ApiServer, api_server


def test_the_kinds_of_the_chart_are_served(cluster: ApiServer, namespace: str) -> None:
    """The chart's resource definitions are installed, and a namespace is empty of them."""
    assert cluster.must("GET", f"{GROUP}/namespaces/{namespace}/experiments")["items"] == []
    assert "sgx" in cluster.kubectl("api-resources", "--api-group=sluicegate.dev")


def test_a_service_account_has_no_rights_but_its_own(cluster: ApiServer, namespace: str) -> None:
    """The token of a service account is good, and reads nothing that no role lets it read."""
    token = cluster.service_account_token(namespace, "nobody")
    trust = ssl.create_default_context(cafile=str(cluster.ca_file))
    connection = http.client.HTTPSConnection("127.0.0.1", cluster.port, timeout=30, context=trust)
    connection.request("GET", f"{GROUP}/experiments", headers={"Authorization": f"Bearer {token}"})
    reply = connection.getresponse()
    said = reply.read().decode()
    connection.close()
    assert reply.status == 403, said
    assert f"system:serviceaccount:{namespace}:nobody" in said


def test_what_was_written_outlives_both_processes(tmp_path: Path) -> None:
    """Killed and started again, API server and etcd have the same address and data."""
    with api_server(tmp_path) as server:
        server.create_namespace("kept")
        server.kill(etcd=True)
        server.start()
        assert server.get("/api/v1/namespaces/kept") is not None


def test_a_namespace_goes_with_its_controller(cluster: ApiServer, namespace: str) -> None:
    """A namespace without finalizers in it is gone once its controller runs."""
    with cluster.controllers("namespace-controller"):
        cluster.must("DELETE", f"/api/v1/namespaces/{namespace}")
        cluster.kubectl("wait", "--for=delete", f"namespace/{namespace}", "--timeout=50s")
    assert cluster.get(f"/api/v1/namespaces/{namespace}") is None
