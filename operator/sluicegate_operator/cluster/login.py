"""How the API server is reached: as the service account of this pod, else as KUBECONFIG says."""

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sluicegate_operator.cluster.api import Access
from sluicegate_operator.errors import ConfigError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def login() -> Access:
    """The access that this process has now; read anew each time, since tokens change. ConfigError if it has none."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if host and (ACCOUNT / "token").exists():
        server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        return Access(server, _bearer(ACCOUNT / "token"), ssl.create_default_context(cafile=ACCOUNT / "ca.crt"))
    if path := os.environ.get("KUBECONFIG"):
        return from_kubeconfig(Path(path))
    raise ConfigError("KUBECONFIG: not set, and this is no pod with a service account; name a kubeconfig file")


def from_kubeconfig(path: Path) -> Access:
    """What the current context of a kubeconfig says; ConfigError names what is missing in it."""
    try:
        config = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        context = _named(config, "contexts", "context", config["current-context"])
        cluster = _named(config, "clusters", "cluster", context["cluster"])
        user = _named(config, "users", "user", context["user"])
        trust = _trust(cluster, path.parent)
        _present(user, trust, path.parent)
        return Access(str(cluster["server"]).rstrip("/"), _headers(user, path.parent), trust)
    except (OSError, YAMLError, ssl.SSLError, binascii.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"KUBECONFIG: {path} cannot be read: {error}") from error
    except (KeyError, TypeError) as error:
        raise ConfigError(f"KUBECONFIG: {path} is no kubeconfig with a current context: {error}") from error


def _named(config: Any, kind: str, field: str, name: str) -> Mapping[str, Any]:
    for entry in config[kind]:
        if entry["name"] == name:
            found: Mapping[str, Any] = entry[field]
            return found
    raise KeyError(f"{kind}: {name}")


def _trust(cluster: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    if pem := cluster.get("certificate-authority-data"):
        return ssl.create_default_context(cadata=base64.b64decode(pem, validate=True).decode())
    file = cluster.get("certificate-authority")
    return ssl.create_default_context(cafile=folder / file if file else None)


def _headers(user: Mapping[str, Any], folder: Path) -> dict[str, str]:
    if token := user.get("token"):
        return {"Authorization": f"Bearer {token}"}
    if file := user.get("tokenFile"):
        return _bearer(folder / file)
    if user.get("client-certificate") or user.get("client-certificate-data"):
        return {}
    raise KeyError("users: neither token, tokenFile nor client-certificate; other ways in are not known here")


def _present(user: Mapping[str, Any], trust: ssl.SSLContext, folder: Path) -> None:
    """Has the client's certificate shown, if there is one. OpenSSL reads files alone."""
    if data := user.get("client-certificate-data"):
        with tempfile.NamedTemporaryFile(suffix=".pem") as pem:
            pem.write(
                base64.b64decode(user["client-key-data"], validate=True) + b"\n" + base64.b64decode(data, validate=True)
            )
            pem.flush()
            trust.load_cert_chain(pem.name)
    elif file := user.get("client-certificate"):
        trust.load_cert_chain(folder / file, folder / user["client-key"])


def _bearer(file: Path) -> dict[str, str]:
    try:
        return {"Authorization": f"Bearer {file.read_text(encoding='utf-8').strip()}"}
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
