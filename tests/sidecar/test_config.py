"""Settings: what is taken, and how what is not is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate_sidecar.config import DEFAULTS, Config
from sluicegate_sidecar.errors import ConfigError

ENOUGH = {"SLUICEGATE_AGENT": "receptionist"}


def test_the_agent_is_enough() -> None:
    """Everything but the agent's name has a default, and nothing listens beyond this host."""
    config = Config.from_env(ENOUGH)
    assert config.agent == "receptionist"
    assert config.namespace == "default"
    assert config.listen == ("127.0.0.1:7070",)
    assert config.admin == "127.0.0.1:7071"
    assert config.redis_url == "redis://127.0.0.1:6379/0"
    assert config.config_path == ""
    assert config.judge == "inline"


def test_every_setting_is_taken() -> None:
    """Each setting arrives, without the white space around it; several addresses are separated by commas."""
    config = Config.from_env(
        {
            "SLUICEGATE_LISTEN": " 127.0.0.1:1 , unix:/run/s.sock, [::1]:0 ,",
            "SLUICEGATE_ADMIN": "0.0.0.0:65535",
            "SLUICEGATE_REDIS_URL": "rediss://user:secret@redis:6380/3",
            "SLUICEGATE_NAMESPACE": "prod",
            "SLUICEGATE_AGENT": " desk-1 ",
            "SLUICEGATE_CONFIG": "/etc/sluicegate",
            "SLUICEGATE_JUDGE": "off",
        }
    )
    assert config.listen == ("127.0.0.1:1", "unix:/run/s.sock", "[::1]:0")
    assert (config.admin, config.redis_url) == ("0.0.0.0:65535", "rediss://user:secret@redis:6380/3")
    assert (config.namespace, config.agent, config.config_path) == ("prod", "desk-1", "/etc/sluicegate")
    assert config.judge == "off"


def test_an_empty_setting_is_no_setting() -> None:
    """A variable that is set to nothing has its default, as a chart's empty value must."""
    assert Config.from_env({**dict.fromkeys(DEFAULTS, " "), **ENOUGH}) == Config.from_env(ENOUGH)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLUICEGATE_AGENT", ""),
        ("SLUICEGATE_AGENT", "a/b"),
        ("SLUICEGATE_AGENT", "{a}"),
        ("SLUICEGATE_AGENT", "ä"),
        ("SLUICEGATE_AGENT", "a" * 254),
        ("SLUICEGATE_NAMESPACE", "a b"),
        ("SLUICEGATE_JUDGE", "INLINE"),
        ("SLUICEGATE_JUDGE", "deployment"),
        ("SLUICEGATE_LISTEN", ","),
        ("SLUICEGATE_LISTEN", "7070"),
        ("SLUICEGATE_LISTEN", ":7070"),
        ("SLUICEGATE_LISTEN", "127.0.0.1:"),
        ("SLUICEGATE_LISTEN", "127.0.0.1:65536"),
        ("SLUICEGATE_LISTEN", "127.0.0.1:-1"),
        ("SLUICEGATE_LISTEN", "127.0.0.1:٣"),
        ("SLUICEGATE_LISTEN", "127.0.0.1:1,127.0.0.1"),
        ("SLUICEGATE_LISTEN", "unix:s.sock"),
        ("SLUICEGATE_LISTEN", "unix:"),
        ("SLUICEGATE_ADMIN", "unix:admin.sock"),
        ("SLUICEGATE_ADMIN", "7071"),
        ("SLUICEGATE_ADMIN", "127.0.0.1:" + "9" * 5000),
        ("SLUICEGATE_REDIS_URL", "127.0.0.1:6379"),
        ("SLUICEGATE_REDIS_URL", "http://redis"),
        ("SLUICEGATE_IDLE_SECONDS", "0"),
        ("SLUICEGATE_IDLE_SECONDS", "1.5"),
        ("SLUICEGATE_IDLE_SECONDS", "9" * 5000),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str) -> None:
    """The error starts with the name of the variable that is bad."""
    with pytest.raises(ConfigError, match=f"^{name}: "):
        Config.from_env({**ENOUGH, name: value})


@pytest.mark.parametrize("name", ["SLUICEGATE_AGNET", "SLUICEGATE_REDIS", "SLUICEGATE_", "SLUICEGATE_REDIS_URL_"])
def test_an_unknown_setting_is_named(name: str) -> None:
    """A misspelt variable is an error that lists the right ones, not a default that nobody asked for."""
    with pytest.raises(ConfigError, match=f"^{name}: unknown setting") as refused:
        Config.from_env({**ENOUGH, name: "x"})
    assert all(known in str(refused.value) for known in DEFAULTS)


def test_variables_of_others_are_left_alone() -> None:
    """What is not ours, and what is the client's, changes nothing."""
    others = {"SLUICEGATE_TARGET": "127.0.0.1:7070", "PATH": "/bin", "sluicegate_agent": "x", "OPENAI_API_KEY": "k"}
    assert Config.from_env({**ENOUGH, **others}) == Config.from_env(ENOUGH)


@pytest.mark.parametrize(
    "name",
    [
        "SLUICEGATE_SERVICE_HOST",
        "SLUICEGATE_SERVICE_PORT",
        "SLUICEGATE_PORT",
        "SLUICEGATE_REDIS_SERVICE_HOST",
        "SLUICEGATE_REDIS_SERVICE_PORT",
        "SLUICEGATE_REDIS_SERVICE_PORT_REDIS_TLS",
        "SLUICEGATE_REDIS_PORT",
        "SLUICEGATE_REDIS_PORT_6379_TCP",
        "SLUICEGATE_REDIS_PORT_6379_TCP_PROTO",
        "SLUICEGATE_REDIS_PORT_6379_TCP_PORT",
        "SLUICEGATE_REDIS_PORT_6379_TCP_ADDR",
        "SLUICEGATE_DNS_PORT_53_UDP_ADDR",
    ],
)
def test_the_links_of_kubernetes_services_are_no_settings(name: str) -> None:
    """What Kubernetes puts into a pod for a Service called sluicegate-… neither stops the start nor changes it."""
    links = {name: "tcp://10.0.0.1:6379", f"{name.split('_PORT')[0].split('_SERVICE')[0]}_SERVICE_HOST": "10.0.0.1"}
    assert Config.from_env({**ENOUGH, **links}) == Config.from_env(ENOUGH)


@pytest.mark.parametrize("name", ["SLUICEGATE_LISTEN_PORT", "SLUICEGATE_PORT", "SLUICEGATE_REDIS_SERVICE_PORT"])
def test_a_setting_that_only_looks_like_a_link_is_unknown(name: str) -> None:
    """Kubernetes never gives a port without the host beside it: somebody guessed the name of a setting."""
    with pytest.raises(ConfigError, match=f"^{name}: unknown setting"):
        Config.from_env({**ENOUGH, name: "7070"})


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@redis:6379",
        "http://user:hunter2@with@at@redis",
        "user:hunter2@redis:6379",
        "redis:user:hunter2@redis",
        "http://redis?password=hunter2",
        "http://user@redis/0?a=b&password=hunter2",
    ],
)
def test_a_password_is_never_told(url: str) -> None:
    """The error of a bad Redis URL shows where it points, and nothing that could be a password."""
    with pytest.raises(ConfigError, match=r"^SLUICEGATE_REDIS_URL: .*redis") as refused:
        Config.from_env({**ENOUGH, "SLUICEGATE_REDIS_URL": url})
    assert "hunter2" not in str(refused.value)


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
