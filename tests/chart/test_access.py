"""What the chart's service accounts may do on a real API server with RBAC in force, and what they may not."""

import time
from collections.abc import Iterator

import pytest
from api_server import GROUP, ApiServer
from helm_chart import Release

PEOPLE = ("view", "edit", "admin")
AGGREGATED_WITHIN_SECONDS = 30.0
OPERATOR, INJECTOR = "sluicegate-operator", "sluicegate-injector"

# (verb, resource, name) in a served namespace.
OPERATOR_MAY = [
    ("get", "experiments.sluicegate.dev", ""),
    ("list", "experiments.sluicegate.dev", ""),
    ("watch", "evaluationpolicies.sluicegate.dev", ""),
    ("patch", "experiments.sluicegate.dev/status", ""),
    ("patch", "evaluationpolicies.sluicegate.dev/status", ""),
    ("get", "configmaps", ""),
    ("create", "events", ""),
    ("create", "secrets", ""),
    ("get", "secrets", "sluicegate-redis"),
]
OPERATOR_MAY_NOT = [
    ("patch", "experiments.sluicegate.dev", ""),
    ("update", "experiments.sluicegate.dev", ""),
    ("delete", "experiments.sluicegate.dev", ""),
    ("create", "experiments.sluicegate.dev", ""),
    ("patch", "evaluationpolicies.sluicegate.dev", ""),
    ("get", "secrets", "somebody-elses"),
    ("list", "secrets", ""),
    ("watch", "secrets", ""),
    ("patch", "secrets", "sluicegate-redis"),
    ("delete", "secrets", "sluicegate-redis"),
    ("list", "configmaps", ""),
    ("watch", "configmaps", ""),
    ("patch", "configmaps", ""),
    ("get", "pods", ""),
    ("create", "pods", ""),
    ("create", "pods/exec", ""),
    ("create", "roles.rbac.authorization.k8s.io", ""),
    ("create", "serviceaccounts/token", ""),
]


def may(server: ApiServer, who: tuple[str, str], verb: str, what: str, name: str, where: str) -> bool:
    """Whether the service account `who` (namespace, name) may, in a namespace or, if that is empty, everywhere."""
    resource, _, subresource = what.partition("/")
    kind, _, group = resource.partition(".")
    asked = {
        "verb": verb,
        "group": group,
        "resource": kind,
        "subresource": subresource,
        "name": name,
        "namespace": where,
    }
    account = f"system:serviceaccount:{who[0]}:{who[1]}"
    review = {"spec": {"user": account, "groups": ["system:authenticated"], "resourceAttributes": asked}}
    reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(server.must("POST", reviews, review)["status"]["allowed"])


@pytest.fixture(scope="module")
def everywhere(bare: ApiServer) -> Iterator[Release]:
    """A release that serves all namespaces."""
    release = Release(bare, "sluicegate", bare.create_namespace("access-everywhere"))
    release.install()
    yield release
    release.remove()


@pytest.fixture(scope="module")
def one_served(bare: ApiServer, everywhere: Release) -> Iterator[Release]:
    """A second release, that serves the namespace `served` alone."""
    bare.create_namespace("served")
    release = Release(bare, "sluicegate", bare.create_namespace("access-served"))
    release.install("watchNamespaces={served}", "crds.install=false", "redis.access=given")
    yield release
    release.helm("uninstall", release.name)


@pytest.mark.parametrize(("verb", "what", "name"), OPERATOR_MAY)
def test_the_operator_may(everywhere: Release, verb: str, what: str, name: str) -> None:
    """What the operator does, it may do in every namespace."""
    assert may(everywhere.server, (everywhere.namespace, OPERATOR), verb, what, name, "any")


@pytest.mark.parametrize(("verb", "what", "name"), OPERATOR_MAY_NOT)
def test_the_operator_may_not(everywhere: Release, verb: str, what: str, name: str) -> None:
    """The operator never writes a spec, reads nobody's Secrets, and starts nothing."""
    assert not may(everywhere.server, (everywhere.namespace, OPERATOR), verb, what, name, "any")


def test_the_operator_has_its_lease_and_no_other(everywhere: Release) -> None:
    """In the release's namespace it makes and keeps the Lease that carries its name."""
    who = (everywhere.namespace, OPERATOR)
    lease = "leases.coordination.k8s.io"
    for verb in ("get", "update"):
        assert may(everywhere.server, who, verb, lease, OPERATOR, everywhere.namespace)
        assert not may(everywhere.server, who, verb, lease, "another", everywhere.namespace)
        assert not may(everywhere.server, who, verb, lease, OPERATOR, "any")
    assert may(everywhere.server, who, "create", lease, "", everywhere.namespace)


def test_served_namespaces_bound_the_operator(one_served: Release) -> None:
    """An operator for one namespace may there what it may, without Secrets if they are given, and elsewhere nothing."""
    who = (one_served.namespace, OPERATOR)
    for verb, what, name in OPERATOR_MAY:
        assert may(one_served.server, who, verb, what, name, "served") == (what != "secrets")
        for elsewhere in ("default", one_served.namespace, ""):
            assert not may(one_served.server, who, verb, what, name, elsewhere)
    for verb, what, name in OPERATOR_MAY_NOT:
        assert not may(one_served.server, who, verb, what, name, "served")


def test_the_injector_has_its_secret_and_its_webhook(everywhere: Release, one_served: Release) -> None:
    """The injector reads and writes one Secret and one webhook configuration, its own, and nothing of an agent's."""
    server, who, own = everywhere.server, (everywhere.namespace, INJECTOR), everywhere.namespace
    webhooks = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
    for verb in ("get", "list", "watch", "update"):
        assert may(server, who, verb, "secrets", INJECTOR, own)
        assert not may(server, who, verb, "secrets", "sluicegate-redis-users", own)
        assert not may(server, who, verb, "secrets", INJECTOR, "any")
    for verb in ("get", "list", "watch", "patch"):
        assert may(server, who, verb, webhooks, f"{INJECTOR}.{own}", "")
        assert not may(server, who, verb, webhooks, f"{INJECTOR}.{one_served.namespace}", "")
        assert not may(server, who, verb, webhooks, "", "")
    for verb, what in (("create", "secrets"), ("get", "pods"), ("create", webhooks), ("delete", webhooks)):
        assert not may(server, who, verb, what, "", own)
        assert not may(server, who, verb, what, "", "")


def test_the_operators_token_is_worth_what_the_role_says(everywhere: Release) -> None:
    """With the operator's own token kubectl lists experiments everywhere, and is refused the Secrets."""
    server = everywhere.server
    token = server.service_account_token(everywhere.namespace, OPERATOR)
    kubeconfig = str(server.kubeconfig("as-operator", token))
    assert server.kubectl("--kubeconfig", kubeconfig, "get", "experiments", "-A", "-o", "name") == ""
    with pytest.raises(AssertionError, match="forbidden"):
        server.kubectl("--kubeconfig", kubeconfig, "get", "secrets", "-n", everywhere.namespace)


@pytest.fixture(scope="module")
def aggregated(everywhere: Release) -> Release:
    """The same release, once the cluster's own roles have taken the chart's in."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    until = time.monotonic() + AGGREGATED_WITHIN_SECONDS
    with everywhere.server.controllers("clusterrole-aggregation-controller"):
        while not all("sluicegate.dev" in str(everywhere.server.get(f"{path}/{role}")) for role in PEOPLE):
            assert time.monotonic() < until, f"{', '.join(PEOPLE)} never took in the roles of the chart"
            time.sleep(0.1)
    return everywhere


@pytest.mark.parametrize("role", PEOPLE)
def test_people_need_no_role_of_their_own(aggregated: Release, role: str) -> None:
    """Who may view, edit or administer a namespace may do the same with its experiments; nobody may write status."""
    server, where = aggregated.server, aggregated.server.create_namespace(f"people-{role}")
    them = ["them", f"--clusterrole={role}", f"--serviceaccount={where}:them", f"--namespace={where}"]
    server.kubectl("create", "rolebinding", *them)
    for what in ("experiments.sluicegate.dev", "evaluationpolicies.sluicegate.dev"):
        assert may(server, (where, "them"), "get", what, "", where)
        assert may(server, (where, "them"), "patch", what, "", where) == (role != "view")
        assert not may(server, (where, "them"), "patch", f"{what}/status", "", where)


def test_agents_have_no_rights(everywhere: Release) -> None:
    """The chart gives nothing to anybody else: an agent's own service account may not even see experiments."""
    assert not may(everywhere.server, ("any", "default"), "get", "experiments.sluicegate.dev", "", "any")
    assert everywhere.server.request("GET", f"{GROUP}/experiments").status == 200
