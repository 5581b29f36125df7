"""A real Kubernetes API server over a real etcd, on free ports of this host, without a node.

RBAC is in force, as in a cluster: whoever is to be tested gets the token of a service account of its own. A machine
without the binaries skips with the reason, and fails where CI=true.
"""

import contextlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from needed import missing
from redis_servers import free_port

VERSION = "1.34.4"
START_SECONDS = 60.0
ADMIN_TOKEN = "the-tests-own-administrator"
CRDS = Path(__file__).parents[2] / "charts" / "sluicegate" / "files" / "crds"
GROUP = "/apis/sluicegate.dev/v1alpha1"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


def binary(name: str) -> Path:
    """The program: from KUBEBUILDER_ASSETS, else from the cache that `make kubernetes` fills, else from the PATH."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folders = [cache / "sluicegate" / f"kubernetes-{VERSION}" / "bin"]
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        folders.insert(0, Path(assets))
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            return folder / name
    if found := shutil.which(name):
        return Path(found)
    missing(f"no {name}: `make kubernetes` builds it (etcd: apt install etcd-server), or set KUBEBUILDER_ASSETS")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said: JSON, or a text."""

    status: int
    body: Any

    @property
    def message(self) -> str:
        """The message of a refusal, empty for anything else."""
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else ""


@dataclass(slots=True)
class ApiServer:
    """Both processes over a folder of their own; killed and started again, they have the same ports and data."""

    folder: Path
    etcd_port: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    _etcd: subprocess.Popen[bytes] | None = None
    _server: subprocess.Popen[bytes] | None = None
    _trust: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def start(self) -> None:
        """Starts what is not running, and waits until it is ready; AssertionError with its log if it never is."""
        if self._trust is None:
            self._trust = self._credentials()
        if self._etcd is None or self._etcd.poll() is not None:
            self._etcd = self._run("etcd", self._etcd_options())
        if self._server is None or self._server.poll() is not None:
            self._server = self._run("kube-apiserver", self._server_options())
        until = time.monotonic() + START_SECONDS
        while not self._is_ready():
            is_hopeless = self._server.poll() is not None or time.monotonic() > until
            assert not is_hopeless, self._log("kube-apiserver")
            time.sleep(0.1)

    def kill(self, *, etcd: bool = False) -> None:
        """Ends the API server as a power cut would, and etcd with it if so asked."""
        for process in (self._server, self._etcd if etcd else None):
            if process is not None:
                process.kill()
                process.wait()

    def request(
        self, method: str, path: str, body: object = None, content_type: str = "application/json", **query: str
    ) -> Answer:
        """One request as the administrator. The body is JSON, or a text that goes as it is."""
        sent = body if isinstance(body, str) or body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": content_type}
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=self._trust)
        with contextlib.closing(connection):
            target = f"{path}?{urlencode(query)}" if query else path
            connection.request(method, target, sent.encode() if sent is not None else None, headers)
            reply = connection.getresponse()
            read, is_json = reply.read().decode(), "json" in reply.getheader("Content-Type", "")
        return Answer(reply.status, json.loads(read) if is_json else read)

    def must(self, method: str, path: str, body: object = None, *args: str, **query: str) -> Any:
        """The body of the answer to a request that must not be refused."""
        answer = self.request(method, path, body, *args, **query)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body}"
        return answer.body

    def get(self, path: str) -> Any:
        """The object, or None if there is none."""
        answer = self.request("GET", path)
        assert answer.status in (200, 404), f"{path}: {answer.body}"
        return answer.body if answer.status == 200 else None

    def create_namespace(self, name: str) -> str:
        self.must("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def install_crds(self) -> None:
        """Applies the chart's resource definitions, and waits until their kinds are served."""
        for file in sorted(CRDS.glob("*.yaml")):
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{file.stem}.sluicegate.dev"
            self.must("PATCH", path, file.read_text(), APPLY, fieldManager="tests", force="true")
            until = time.monotonic() + START_SECONDS
            while not _established(self.get(path)):
                assert time.monotonic() < until, f"{file.name} is not established: {self.get(path)['status']}"
                time.sleep(0.05)
        for kind in ("experiments", "evaluationpolicies"):
            while self.request("GET", f"{GROUP}/{kind}").status != 200:
                time.sleep(0.05)

    def service_account_token(self, namespace: str, name: str) -> str:
        """A token of a service account, which is made if it is not there. It has no rights but those bound to it."""
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        if self.get(f"{accounts}/{name}") is None:
            self.must("POST", accounts, {"metadata": {"name": name}})
        asked = {"spec": {"expirationSeconds": 36_000}}
        return str(self.must("POST", f"{accounts}/{name}/token", asked)["status"]["token"])

    def kubeconfig(self, name: str, token: str = ADMIN_TOKEN) -> Path:
        """A kubeconfig file called `name`, for kubectl, helm and the operator."""
        cluster = {"server": self.url, "certificate-authority": str(self.ca_file)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": cluster}],
            "users": [{"name": "it", "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """The output of a kubectl command as the administrator; AssertionError with what it complained of."""
        command = [str(binary("kubectl")), "--kubeconfig", str(self.kubeconfig("admin")), *words]
        # Its cache of what the server serves would otherwise be shared with all other servers of this user.
        environment = {**os.environ, "HOME": str(self.folder), "KUBECACHEDIR": str(self.folder / "kube-cache")}
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, timeout=60)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    @contextmanager
    def controllers(self, *names: str) -> Iterator[None]:
        """The named controllers of kube-controller-manager at work, such as `namespace-controller`."""
        options = {
            "kubeconfig": str(self.kubeconfig("controllers")),
            "controllers": ",".join(names),
            "leader-elect": "false",
            "secure-port": "0",
            "kube-api-qps": "300",
            "kube-api-burst": "600",
        }
        process = self._run("kube-controller-manager", options)
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def _is_ready(self) -> bool:
        try:
            return self.request("GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def _run(self, name: str, options: Mapping[str, str]) -> subprocess.Popen[bytes]:
        command = [str(binary(name)), *(f"--{option}={value}" for option, value in options.items())]
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def _log(self, name: str) -> str:
        return f"{name} is not ready:\n" + (self.folder / f"{name}.log").read_text(errors="replace")[-5_000:]

    def _etcd_options(self) -> dict[str, str]:
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{free_port()}"
        return {
            "name": "it",
            "data-dir": str(self.folder / "etcd"),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"it={peer}",
            # A killed process leaves what it wrote with the kernel; only a power cut would not.
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }

    def _server_options(self) -> dict[str, str]:
        return {
            "etcd-servers": f"http://127.0.0.1:{self.etcd_port}",
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": str(self.port),
            "endpoint-reconciler-type": "none",
            "service-cluster-ip-range": "10.0.0.0/24",
            "cert-dir": str(self.folder),
            "tls-cert-file": str(self.folder / "server.pem"),
            "tls-private-key-file": str(self.folder / "server.key"),
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": str(self.folder / "accounts.key"),
            "service-account-signing-key-file": str(self.folder / "accounts.key"),
            "token-auth-file": str(self.folder / "tokens.csv"),
            "authorization-mode": "RBAC",
            # Nobody makes the accounts called `default` that it wants every pod to have.
            "disable-admission-plugins": "ServiceAccount",
            "allow-privileged": "true",
        }

    def _credentials(self) -> ssl.SSLContext:
        """Writes the server's certificate, the key of service accounts and the tokens; what a client is to trust."""
        self.folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(self.ca_file)
        certificate.private_key_pem.write_to_path(self.folder / "server.key")
        chain = b"".join(part.bytes() for part in certificate.cert_chain_pems)
        (self.folder / "server.pem").write_bytes(chain)
        accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        encoding, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
        pem = accounts.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, no_password)
        (self.folder / "accounts.key").write_bytes(pem)
        (self.folder / "tokens.csv").write_text(f'{ADMIN_TOKEN},administrator,1,"system:masters"\n')
        return ssl.create_default_context(cafile=str(self.ca_file))


def _established(definition: Any) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """One at work, without our kinds, until the body ends."""
    for name in ("etcd", "kube-apiserver"):
        binary(name)
    server = ApiServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill(etcd=True)


if __name__ == "__main__":
    # For trying things by hand: python tests/support/api_server.py FOLDER
    with api_server(Path(sys.argv[1])) as running:
        running.install_crds()
        print(f"export KUBECONFIG={running.kubeconfig('admin')}", flush=True)
        sys.stdin.read()
