"""The injector's settings: what is taken, and how what is not is told; and how the API server is found."""

import asyncio
import base64
import json
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import program

from sluicegate_operator.cluster.login import from_kubeconfig, login
from sluicegate_operator.errors import ConfigError
from sluicegate_operator.injection.app import is_native_in
from sluicegate_operator.injection.certificates import LIFETIME, new_pair
from sluicegate_operator.injection.config import DEFAULTS, Config

ENOUGH = {
    "SLUICEGATE_NAMESPACE": "sluicegate",
    "SLUICEGATE_SECRET": "certificate",
    "SLUICEGATE_WEBHOOK": "sluicegate-injector",
    "SLUICEGATE_SERVICE": "injector",
    "SLUICEGATE_SIDECAR_IMAGE": "sluicegate/sidecar:1",
}


def test_names_and_an_image_are_enough() -> None:
    """The rest has defaults; the certificate is for the Service, by the name that the API server calls it."""
    config = Config.from_env(ENOUGH)
    assert config.names == ("injector.sluicegate.svc",)
    assert (config.listen, config.admin) == ("0.0.0.0:8443", "127.0.0.1:7071")
    assert (config.certificates, config.lifetime) == ("selfManaged", LIFETIME)
    assert (config.sidecar.judge_mode, config.sidecar.pull_policy) == ("sidecar", "IfNotPresent")
    assert config.sidecar.resources["limits"] == {"memory": "512Mi"}


def test_every_setting_is_taken() -> None:
    """Each setting arrives."""
    settings = {
        "SLUICEGATE_LISTEN": "[::]:1",
        "SLUICEGATE_ADMIN": "0.0.0.0:2",
        "SLUICEGATE_CERTIFICATES": "provided",
        "SLUICEGATE_CERTIFICATE_SECONDS": "86400",
        "SLUICEGATE_SIDECAR_PULL_POLICY": "Always",
        "SLUICEGATE_SIDECAR_RESOURCES": '{"requests": {"cpu": "1"}, "limits": {"cpu": 2, "memory": 1e9}}',
        "SLUICEGATE_REDIS_URL": "rediss://redis:6380/1?ssl_ca_certs=/etc/sluicegate/redis/ca.crt",
        "SLUICEGATE_JUDGE_MODE": "deployment",
    }
    config = Config.from_env({**ENOUGH, **settings})
    assert (config.listen, config.admin, config.certificates) == ("[::]:1", "0.0.0.0:2", "provided")
    assert config.lifetime == timedelta(days=1)
    sidecar = config.sidecar
    assert (sidecar.pull_policy, sidecar.judge_mode) == ("Always", "deployment")
    assert sidecar.resources == {"requests": {"cpu": "1"}, "limits": {"cpu": 2, "memory": 1e9}}
    assert sidecar.redis_url == settings["SLUICEGATE_REDIS_URL"]


def test_an_empty_setting_is_no_setting() -> None:
    """A variable that is set to nothing has its default, as a chart's empty value must."""
    assert Config.from_env({**dict.fromkeys(DEFAULTS, " "), **ENOUGH}) == Config.from_env(ENOUGH)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLUICEGATE_NAMESPACE", ""),
        ("SLUICEGATE_SECRET", "a/b"),
        ("SLUICEGATE_WEBHOOK", "A"),
        ("SLUICEGATE_SERVICE", ""),
        ("SLUICEGATE_SIDECAR_IMAGE", ""),
        ("SLUICEGATE_SIDECAR_IMAGE", "a b"),
        ("SLUICEGATE_LISTEN", "8443"),
        ("SLUICEGATE_ADMIN", "0.0.0.0:70710"),
        ("SLUICEGATE_CERTIFICATES", "selfmanaged"),
        ("SLUICEGATE_CERTIFICATE_SECONDS", "9"),
        ("SLUICEGATE_CERTIFICATE_SECONDS", "9" * 5000),
        ("SLUICEGATE_SIDECAR_PULL_POLICY", "Sometimes"),
        ("SLUICEGATE_SIDECAR_RESOURCES", "{"),
        ("SLUICEGATE_SIDECAR_RESOURCES", "[" * 5000),
        ("SLUICEGATE_SIDECAR_RESOURCES", '{"limits": {"cpu": null}}'),
        ("SLUICEGATE_SIDECAR_RESOURCES", '{"limit": {"cpu": "1"}}'),
        ("SLUICEGATE_REDIS_URL", "http://redis"),
        ("SLUICEGATE_JUDGE_MODE", "inline"),
        ("SLUICEGATE_SIDECAR", "x"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str) -> None:
    """The error starts with the name of the variable that is bad, missing or unknown."""
    with pytest.raises(ConfigError, match=f"^{name}: "):
        Config.from_env({**ENOUGH, name: value})


@pytest.mark.parametrize(
    "url",
    ["redis://user:hunter2@redis", "redis://:hunter2@redis", "redis://redis?password=hunter2", "redis://[hunter2"],
)
def test_a_password_in_the_address_is_refused(url: str) -> None:
    """It would be in every pod for all to read; and it is not told."""
    with pytest.raises(ConfigError, match=r"^SLUICEGATE_REDIS_URL: ") as refused:
        Config.from_env({**ENOUGH, "SLUICEGATE_REDIS_URL": url})
    assert "hunter2" not in f"{refused.value} {refused.value.__cause__}"


@given(st.sampled_from(sorted(DEFAULTS)), st.text(st.characters(exclude_characters="\0"), max_size=40))
def test_any_value_is_taken_or_named(name: str, value: str) -> None:
    """No value of any setting ends in anything but settings, or an error that names the variable."""
    try:
        Config.from_env({**ENOUGH, name: value})
    except ConfigError as error:
        told = str(error)
    else:
        told = f"{name}: taken"
    assert told.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"SLUICEGATE_SECRET": ""}, "SLUICEGATE_SECRET: "),
        ({"KUBECONFIG": "/nowhere"}, "KUBECONFIG: /nowhere cannot be read"),
        ({"KUBECONFIG": ""}, "KUBECONFIG: not set"),
    ],
)
async def test_a_bad_setting_stops_the_start(settings: dict[str, str], told: str) -> None:
    """Exit code 2, and the variable's name on standard error."""
    free = {"SLUICEGATE_LISTEN": "127.0.0.1:0", "SLUICEGATE_ADMIN": "127.0.0.1:0"}
    async with program("injector", {**ENOUGH, **free, **settings}) as refused:
        assert await asyncio.wait_for(refused.process.wait(), 30) == 2
        await refused.logs(told)


async def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    """The second of two says which address it could not have."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        file = kubeconfig(tmp_path, {}, {"token": "t"})
        settings = {**ENOUGH, "SLUICEGATE_ADMIN": address, "KUBECONFIG": str(file)}
        async with program("injector", settings) as refused:
            assert await asyncio.wait_for(refused.process.wait(), 30) == 2
            await refused.logs(f"SLUICEGATE_ADMIN: {address} cannot be had")


def kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    """A kubeconfig; YAML takes JSON."""
    config = {
        "current-context": "c",
        "contexts": [{"name": "other", "context": {}}, {"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://api:6443/", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    (folder / "config").write_text(json.dumps(config))
    return folder / "config"


def test_a_kubeconfig_is_read(tmp_path: Path) -> None:
    """Token, token file or certificate; authority and certificate as files beside it, or within."""
    pair = new_pair(("user",), datetime.now(UTC))
    parts = {"ca.crt": pair.authority, "user.crt": pair.chain, "user.key": pair.key, "token": b"from-file\n"}
    for name, content in parts.items():
        (tmp_path / name).write_bytes(content)
    inside = {name: base64.b64encode(content).decode() for name, content in parts.items()}

    access = from_kubeconfig(kubeconfig(tmp_path, {"certificate-authority": "ca.crt"}, {"token": "t"}))
    assert (access.server, access.headers) == ("https://api:6443", {"Authorization": "Bearer t"})
    assert access.trust.cert_store_stats()["x509_ca"] == 1
    user: dict[str, Any] = {"tokenFile": "token"}
    access = from_kubeconfig(kubeconfig(tmp_path, {"certificate-authority-data": inside["ca.crt"]}, user))
    assert access.headers == {"Authorization": "Bearer from-file"}
    assert access.trust.cert_store_stats()["x509_ca"] == 1
    user = {"client-certificate": "user.crt", "client-key": "user.key"}
    assert from_kubeconfig(kubeconfig(tmp_path, {}, user)).headers == {}
    user = {"client-certificate-data": inside["user.crt"], "client-key-data": inside["user.key"]}
    assert isinstance(from_kubeconfig(kubeconfig(tmp_path, {}, user)).trust, ssl.SSLContext)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "a: [",
        "\x00",
        "current-context: x",
        json.dumps({"current-context": "c", "contexts": [], "clusters": [], "users": []}),
    ],
)
def test_what_is_no_kubeconfig_is_told(tmp_path: Path, content: str) -> None:
    """The error names the variable and the file."""
    (tmp_path / "config").write_text(content)
    with pytest.raises(ConfigError, match=f"^KUBECONFIG: {tmp_path}/config "):
        from_kubeconfig(tmp_path / "config")


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        ({}, {}),
        ({}, {"exec": {"command": "x"}}),
        ({}, {"tokenFile": "nowhere"}),
        ({"certificate-authority": "nowhere"}, {"token": "t"}),
        ({"certificate-authority-data": "!"}, {"token": "t"}),
        ({}, {"client-certificate-data": "QQ==", "client-key-data": "QQ=="}),
    ],
)
def test_a_way_in_that_is_not_known_is_told(tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any]) -> None:
    """A plugin, or a file that is not there, is an error that says so."""
    with pytest.raises(ConfigError):
        from_kubeconfig(kubeconfig(tmp_path, cluster, user))


def test_a_pod_uses_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a cluster: the address from the environment, and token and authority from the account's folder, read anew."""
    (tmp_path / "ca.crt").write_bytes(new_pair(("api",), datetime.now(UTC)).authority)
    (tmp_path / "token").write_text("one\n")
    monkeypatch.setattr("sluicegate_operator.cluster.login.ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    access = login()
    assert (access.server, access.headers) == ("https://10.0.0.1:443", {"Authorization": "Bearer one"})
    (tmp_path / "token").write_text("two")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    access = login()
    assert (access.server, access.headers) == ("https://[fd00::1]:443", {"Authorization": "Bearer two"})


@pytest.mark.parametrize(
    ("version", "native"),
    [
        ({"major": "1", "minor": "28"}, False),
        ({"major": "1", "minor": "28+"}, False),
        ({"major": "1", "minor": "29+"}, True),
        ({"major": "1", "minor": "34"}, True),
        ({"major": "2", "minor": "0"}, True),
        ({}, True),
        ({"major": "x", "minor": ""}, True),
    ],
)
def test_native_sidecars_since_1_29(version: dict[str, object], native: bool) -> None:
    """By what the cluster says of itself; one that says nothing is taken for a new one."""
    assert is_native_in(version) is native
