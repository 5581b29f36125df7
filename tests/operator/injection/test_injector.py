"""The injector's real process, called by a real API server with the chart's rights."""

import asyncio
import base64
import io
import itertools
import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from api_server import ApiServer, binary
from captured import eventually, until
from injectors import WEBHOOKS, Injector, Installation, Service, is_injected, pod, routed_api_server
from pods import a_pod

from sluicegate_operator.injection.certificates import Kept, new_pair, to_secret
from sluicegate_operator.injection.webhook import MOST_BYTES

NATIVE = "sluicegate-sidecar"


class Stream:
    """Pods that are created one after the other, and what became of them."""

    def __init__(self, installed: Installation) -> None:
        self._installed = installed
        self.injected = 0
        self.others: list[Any] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Stream"]:
        """Creates until the body ends."""
        stopped = asyncio.Event()

        async def create() -> None:
            for number in itertools.count():
                if stopped.is_set():
                    return
                # A dry run goes the same way, and leaves nothing behind.
                created = await asyncio.to_thread(self._installed.create, f"p-{number}", dryRun="All")
                # Else the API server would hold on to the connections that it has, and look at no certificate again.
                await asyncio.to_thread(self._installed.service.cut)
                if is_injected(created):
                    self.injected += 1
                else:
                    self.others.append(created.body)

        task = asyncio.create_task(create())
        try:
            yield self
        finally:
            stopped.set()
            await task

    async def goes_on(self, pods: int = 10) -> None:
        """Returns after so many more pods."""
        enough = self.injected + len(self.others) + pods
        await until(lambda: self.injected + len(self.others) >= enough, 60)


async def created(installed: Installation, name: str = "desk", **query: str) -> Any:
    return await asyncio.to_thread(installed.create, name, **query)


def served_by(injector: Injector) -> bytes:
    """The certificate that it shows."""
    host, _, port = injector.address.rpartition(":")
    return ssl.get_server_certificate((host, int(port)), timeout=10).encode()


async def test_a_pod_that_asks_is_given_a_sidecar(installed: Installation) -> None:
    """From an empty Secret: the certificate is made, trusted and served, and a pod that is created has its sidecar."""
    async with installed.injector():
        answer = await created(installed)
        assert is_injected(answer), answer.body
        assert installed.secret().keys() == {"tls.crt", "tls.key", "ca.crt"}
        assert installed.trusted() == {installed.secret()["ca.crt"]}
        stored = installed.api.must("GET", f"/api/v1/namespaces/{installed.namespace}/pods/desk")
        assert stored["spec"]["initContainers"][0]["restartPolicy"] == "Always"
        assert stored["metadata"]["annotations"]["sluicegate.dev/injected"].startswith("sha256:")


MANY = {
    "as it is": a_pod(),
    "in its node's network": a_pod(hostNetwork=True),
    "with our port": a_pod(containers=[{"name": "a", "image": "a:1", "ports": [{"containerPort": 7071}]}]),
    "with a volume of ours": a_pod(volumes=[{"name": "sluicegate-state", "emptyDir": {}}]),
    "with everything already": a_pod(
        initContainers=[{"name": "init", "image": "i:1", "env": [{"name": "A", "value": "b"}]}],
        containers=[
            {
                "name": name,
                "image": "a:1",
                "env": [{"name": "SLUICEGATE_TARGET", "value": "x"}],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
            for name in ("agent", "other")
        ],
        volumes=[{"name": "data", "emptyDir": {}}],
        securityContext={"runAsUser": 1000, "fsGroup": 2000},
    ),
}


async def test_pods_of_many_shapes_are_valid_with_a_sidecar(installed: Installation) -> None:
    """The API server takes each patched pod, and one that was stored with its sidecar is not patched again."""
    async with installed.injector():
        for number, (what, shape) in enumerate(MANY.items()):
            shape["metadata"]["name"] = f"shape-{number}"
            path = f"/api/v1/namespaces/{installed.namespace}/pods"
            answer = await asyncio.to_thread(installed.api.request, "POST", path, shape)
            names = [one["name"] for one in answer.body.get("spec", {}).get("initContainers", [])]
            assert names[:1] == [NATIVE], (what, answer.body)
            # As it was stored, with all that the API server filled in: created again it stays as it is.
            again = {**answer.body, "metadata": {**answer.body["metadata"], "name": f"again-{number}"}}
            for name in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
                again["metadata"].pop(name, None)
            copied = await asyncio.to_thread(installed.api.must, "POST", path, again)
            assert copied["spec"] == answer.body["spec"], what


async def test_the_sidecar_keeps_the_restricted_standard(installed: Installation) -> None:
    """Where it is enforced, a pod that keeps it is created with its sidecar."""
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    installed.api.must("PATCH", f"/api/v1/namespaces/{installed.namespace}", label, "application/merge-patch+json")
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod_wide = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    strict = a_pod(containers=[{"name": "agent", "image": "a:1", "securityContext": own}], securityContext=pod_wide)
    async with installed.injector():
        path = f"/api/v1/namespaces/{installed.namespace}/pods"
        assert is_injected(await asyncio.to_thread(installed.api.request, "POST", path, strict))


async def test_whoever_names_no_agent_is_told(installed: Installation) -> None:
    """`kubectl` prints the warning with the way out, and the pod is created as it was written."""
    silent = pod("silent", annotations={})
    async with installed.injector():
        done = await asyncio.to_thread(kubectl_create, installed, silent)
        assert done.returncode == 0, done.stderr
        assert "Warning: no Sluicegate sidecar: name the agent by the annotation sluicegate.dev/agent" in done.stderr
        stored = installed.api.must("GET", f"/api/v1/namespaces/{installed.namespace}/pods/silent")
        assert "initContainers" not in stored["spec"]


def kubectl_create(installed: Installation, body: Any) -> subprocess.CompletedProcess[str]:
    command = [binary("kubectl"), "--kubeconfig", installed.api.kubeconfig("admin"), "-n", installed.namespace]
    full = {"apiVersion": "v1", "kind": "Pod", **body}
    return subprocess.run(
        [*map(str, command), "create", "-f", "-"],
        input=json.dumps(full),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KUBECACHEDIR": str(installed.api.folder / "kube-cache")},
        timeout=60,
    )


async def test_all_pods_are_injected_through_three_rotations(installed: Installation) -> None:
    """Two replicas, no forgiveness (failurePolicy Fail), a new handshake for each pod: not one goes without."""
    async with (
        installed.injector(certificate_seconds="10") as one,
        installed.injector(certificate_seconds="10") as other,
        Stream(installed).running() as stream,
    ):
        seen = {served_by(one)}

        def rotated() -> bool:
            seen.add(served_by(one))
            return len(seen) >= 4

        await eventually(lambda: asyncio.to_thread(rotated), 100)
        await stream.goes_on()
        await eventually(lambda: asyncio.to_thread(lambda: served_by(one) == served_by(other)))
    print(f"{stream.injected} injected through {len(seen) - 1} rotations, {len(stream.others)} not")
    assert stream.others == []
    assert stream.injected >= 100


async def test_replicas_that_start_at_once_agree(installed: Installation) -> None:
    """Both find the Secret empty; one fills it, the other takes what is there, and both serve the same."""
    async with AsyncExitStack() as stack:
        starting = [stack.enter_async_context(installed.injector()) for _ in range(3)]
        injectors = [await one for one in starting]
        shown = {served_by(injector) for injector in injectors}
        assert shown == {installed.secret()["tls.crt"]}
        assert is_injected(await created(installed))


async def test_replicas_come_and_go_unnoticed(installed: Installation) -> None:
    """Each replica ends in its turn, as in a rollout, and is sent callers for a while yet: every pod is injected."""
    async with AsyncExitStack() as stack:
        stack.callback(setattr, installed.service, "knows_the_dead", True)
        installed.service.knows_the_dead = False
        old = [await stack.enter_async_context(installed.injector()) for _ in range(2)]
        stream = await stack.enter_async_context(Stream(installed).running())
        for injector in old:
            await stream.goes_on()
            await stack.enter_async_context(installed.injector())
            ending = asyncio.create_task(injector.program.end())
            await stream.goes_on(5)
            assert not ending.done()
            installed.service.replicas.remove(injector.address)  # As Kubernetes does, a moment later.
            assert await ending == 0
            await stream.goes_on()
        assert stream.others == []


async def test_a_killed_replica_is_passed_over(installed: Installation) -> None:
    """The other one answers, with the same certificate, and a new one serves that, too."""
    async with installed.injector() as one, installed.injector() as other:
        assert is_injected(await created(installed, "before"))
        await one.program.kill()
        await eventually(lambda: _is_injected(installed))
        shown = served_by(other)
        async with installed.injector() as third:
            assert served_by(third) == shown
            assert is_injected(await created(installed, "after"))


async def _is_injected(installed: Installation) -> bool:
    return is_injected(await created(installed, "any", dryRun="All"))


async def test_without_any_replica_pods_are_created_if_so_asked(routed: tuple[ApiServer, Service]) -> None:
    """With the chart's default, Ignore, an agent starts without a sidecar rather than not at all."""
    installed = Installation(*routed, failure_policy="Ignore")
    async with installed.injector() as only:
        assert is_injected(await created(installed, "with"))
        await only.program.kill()
        answer = await created(installed, "without")
        assert answer.status == 201
        assert "initContainers" not in answer.body["spec"]
    installed.api.must("DELETE", installed.webhook_path)


async def test_an_emptied_secret_is_put_back(installed: Installation) -> None:
    """Somebody empties it: what is served goes back into it, and not one pod notices."""
    async with installed.injector(), installed.injector(), Stream(installed).running() as stream:
        before = installed.secret()
        await stream.goes_on()
        secret = installed.api.must("GET", installed.secret_path)
        installed.api.must("PUT", installed.secret_path, {**secret, "data": {}})
        await until(lambda: installed.secret() == before)
        await stream.goes_on()
    assert stream.others == []


async def test_a_spoilt_secret_is_mended(installed: Installation) -> None:
    """A key of somebody else's is not served: what is served goes back into the Secret."""
    async with installed.injector():
        before = installed.secret()
        patch = {"data": {"tls.key": base64.b64encode(b"junk").decode()}}
        installed.api.must("PATCH", installed.secret_path, patch, "application/merge-patch+json")
        await until(lambda: installed.secret() == before)
        assert is_injected(await created(installed))


async def test_a_deleted_secret_is_asked_for(installed: Installation) -> None:
    """It may not be created here: the log says what to do, pods are injected, and a new empty one is filled."""
    async with installed.injector() as injector:
        before = installed.secret()
        installed.api.must("DELETE", installed.secret_path)
        await injector.program.logs(f"there is no Secret {installed.namespace}/certificate; create it")
        assert is_injected(await created(installed))
        empty = {"metadata": {"name": "certificate"}, "type": "Opaque"}
        installed.api.must("POST", installed.secret_path.rpartition("/")[0], empty)
        await until(lambda: installed.secret() == before, 60)


@pytest.mark.parametrize("bundle", ["", base64.b64encode(new_pair(("x",), datetime.now(UTC)).authority).decode()])
async def test_a_clobbered_bundle_is_patched_back(installed: Installation, bundle: str) -> None:
    """An upgrade that takes the authorities away, or puts others there, is mended, and nothing else is touched."""
    async with installed.injector():
        before = installed.trusted()
        configuration = installed.api.must("GET", installed.webhook_path)
        for webhook in configuration["webhooks"]:
            webhook["clientConfig"]["caBundle"] = bundle
            webhook["timeoutSeconds"] = 7
        changed = installed.api.must("PUT", installed.webhook_path, configuration)
        await until(lambda: installed.trusted() == before)
        await eventually(lambda: _is_injected(installed))
        mended = installed.api.must("GET", installed.webhook_path)
        for webhook in (*changed["webhooks"], *mended["webhooks"]):
            webhook["clientConfig"].pop("caBundle", None)
        assert mended["webhooks"] == changed["webhooks"]


async def test_a_webhook_that_is_made_anew_is_told(installed: Installation) -> None:
    """Uninstalled and installed again beside a running injector, the configuration gets its authorities."""
    async with installed.injector():
        before = installed.trusted()
        installed.api.must("DELETE", installed.webhook_path)
        installed.register()
        await until(lambda: installed.trusted() == before)
        await eventually(lambda: _is_injected(installed))


async def test_a_certificate_that_is_kept_is_used(installed: Installation) -> None:
    """An injector that starts serves what the Secret has, without a change to it; one that has ended it replaces."""
    name = f"injector.{installed.namespace}.svc"
    kept = to_secret(Kept(new_pair((name,), datetime.now(UTC))))
    put(installed, kept)
    async with installed.injector() as injector:
        assert served_by(injector) == kept["tls.crt"]
        assert installed.secret() == kept
        assert is_injected(await created(installed, "kept"))
    put(installed, to_secret(Kept(new_pair((name,), datetime.now(UTC) - timedelta(days=91)))))
    async with installed.injector() as injector:
        assert installed.secret()["tls.crt"] == served_by(injector)
        assert is_injected(await created(installed, "anew"))


def put(installed: Installation, content: dict[str, bytes]) -> None:
    data = {name: base64.b64encode(value).decode() for name, value in content.items()}
    secret = installed.api.must("GET", installed.secret_path)
    installed.api.must("PUT", installed.secret_path, {**secret, "data": data})


async def test_a_provided_certificate_is_taken_and_followed(installed: Installation) -> None:
    """Somebody else fills the Secret: it is served and its authority told, whenever it changes; it is never written."""
    name = f"injector.{installed.namespace}.svc"
    first, second = (new_pair((name,), datetime.now(UTC)) for _ in range(2))

    def provided(chain: bytes, key: bytes, authorities: bytes) -> dict[str, bytes]:
        return {"tls.crt": chain, "tls.key": key, "ca.crt": authorities}

    put(installed, provided(first.chain, first.key, first.authority))
    async with installed.injector(certificates="provided") as injector:
        assert is_injected(await created(installed, "first"))
        assert served_by(injector) == first.chain
        put(installed, provided(second.chain, second.key, first.authority + second.authority))
        await eventually(lambda: asyncio.to_thread(lambda: served_by(injector) == second.chain))
        await eventually(lambda: _is_injected(installed))
        put(installed, provided(b"junk", second.key, b""))
        await injector.program.logs(r"the certificate cannot be kept \(tls.crt, tls.key: cannot be served")
        assert served_by(injector) == second.chain
        assert installed.secret() == provided(b"junk", second.key, b"")


@asynccontextmanager
async def asking(injector: Injector) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that asks the webhook itself."""
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    connector = aiohttp.TCPConnector(ssl=anybody)
    async with aiohttp.ClientSession(f"https://{injector.address}", connector=connector) as session:
        yield session


def review(**request: Any) -> bytes:
    asked = {"uid": "u", "kind": {"kind": "Pod"}, "operation": "CREATE", "namespace": "n", "object": a_pod(), **request}
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}).encode()


GARBAGE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"\xff\xfe",
    b"[" * 100_000,
    b"{}",
    review().replace(b"admission.k8s.io/v1", b"admission.k8s.io/v1beta1"),
    review().replace(b'"uid"', b'"id"'),
    review(uid=1),
    review(namespace=""),
    review(object=[]),
    review(object={}),
    review(object={"spec": {"containers": [{"name": None}]}}),
    review(object={"metadata": {"annotations": 1}, "spec": {"containers": [{"name": "a"}]}}),
    review()[:-10],
    review() + b"x",
]


async def test_garbage_is_refused_and_told(installed: Installation) -> None:
    """What is no question is answered with 400 and why, too much with 413, elsewhere 404 and 405: never 500."""
    async with installed.injector() as injector, asking(injector) as client:
        for body in GARBAGE:
            async with client.post("/inject", data=body) as answer:
                told = await answer.text()
                assert (answer.status, "not an AdmissionReview" in told) == (400, True), (body[:80], told)
        async with client.post("/inject", data=io.BytesIO(b" " * (MOST_BYTES + 1))) as answer:
            assert answer.status == 413
        async with client.get("/inject") as answer:
            assert answer.status == 405
        async with client.post("/") as answer:
            assert answer.status == 404
        for request in ({"operation": "UPDATE"}, {"kind": {"kind": "Service"}}, {"object": None}):
            async with client.post("/inject", data=review(**request)) as answer:
                assert (await answer.json())["response"] == {"uid": "u", "allowed": True}
        assert not any("Traceback" in line for line in injector.program.log)


async def test_a_caller_that_never_finishes_is_left(installed: Installation) -> None:
    """A body that does not come, or a handshake that is none, keeps nobody else from an answer."""
    async with installed.injector() as injector, asking(injector) as client:
        host, _, port = injector.address.rpartition(":")

        async def slow() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.Event().wait()

        with socket.create_connection((host, int(port))) as silent, socket.create_connection((host, int(port))) as rude:
            silent.settimeout(1)
            rude.sendall(b"GET / HTTP/1.1\r\n\r\n")
            async with client.post("/inject", data=slow()) as answer:
                assert answer.status == 408
            assert is_injected(await created(installed))


async def test_probes_and_metrics(installed: Installation) -> None:
    """Up while it serves; from the word to end it is not ready, answers all the same, and asks callers to go."""
    async with installed.injector() as injector, asking(injector) as client, aiohttp.ClientSession() as plain:
        assert is_injected(await created(installed))

        async def says(path: str) -> tuple[int, str]:
            async with plain.get(f"http://{injector.admin}{path}") as answer:
                return answer.status, await answer.text()

        assert await says("/livez") == (200, "alive\n")
        assert await says("/startupz") == (200, "started\n")
        status, metrics = await says("/metrics")
        assert (status, 'sluicegate_injector_pods_total{outcome="injected"} 1\n' in metrics) == (200, True)
        assert "sluicegate_injector_certificate_seconds_left 7.77" in metrics
        injector.program.process.send_signal(signal.SIGTERM)

        async def is_not_ready() -> bool:
            return (await says("/startupz"))[0] == 503

        await eventually(is_not_ready)
        assert await says("/livez") == (200, "alive\n")
        async with client.post("/inject", data=review()) as answer:
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert await asyncio.wait_for(injector.program.process.wait(), 30) == 0


async def test_it_outlives_the_api_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The API server is away and comes back with everybody's data: pods are injected, and the bundle is kept again."""
    with routed_api_server(tmp_path_factory.mktemp("restarted")) as (api, service):
        installed = Installation(api, service)
        async with installed.injector() as injector:
            shown = served_by(injector)
            api.kill(etcd=True)
            await injector.program.logs("cannot be kept|WATCH")
            await asyncio.to_thread(api.start)
            await eventually(lambda: _is_injected(installed), 60)
            assert served_by(injector) == shown
            before = installed.trusted()
            installed.api.must("DELETE", installed.webhook_path)
            assert api.get(f"{WEBHOOKS}/{installed.namespace}") is None
            installed.register()
            await until(lambda: installed.trusted() == before, 60)
