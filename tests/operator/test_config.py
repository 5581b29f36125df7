"""The operator's settings: what is wrong is named before anything is connected."""

import pytest

from sluicegate_operator.config import Config
from sluicegate_operator.errors import ConfigError


def test_everything_has_a_default() -> None:
    """An empty environment is a good one."""
    config = Config.from_env({})
    assert config.watch_namespaces == ()
    assert (config.redis_access, config.judge_mode) == ("managed", "sidecar")
    assert (config.lease_namespace, config.lease_name) == ("default", "sluicegate-operator")
    assert config.admin == "127.0.0.1:7071"
    assert not config.is_redis_cluster


def test_all_settings_are_read() -> None:
    """Each variable has its place."""
    config = Config.from_env(
        {
            "SLUICEGATE_REDIS_URL": "rediss://u:p@redis:6379?cluster=true",
            "SLUICEGATE_WATCH_NAMESPACES": "dental, vision",
            "SLUICEGATE_ADMIN": "0.0.0.0:7071",
            "SLUICEGATE_REDIS_ACCESS": "given",
            "SLUICEGATE_JUDGE_MODE": "deployment",
            "SLUICEGATE_LEASE_NAMESPACE": "sluicegate",
            "SLUICEGATE_LEASE_NAME": "theirs",
            "SLUICEGATE_REDIS_SERVICE_HOST": "10.0.0.1",
            "PATH": "/bin",
        }
    )
    assert config.watch_namespaces == ("dental", "vision")
    assert config.is_redis_cluster
    assert (config.redis_access, config.judge_mode) == ("given", "deployment")
    assert (config.lease_namespace, config.lease_name) == ("sluicegate", "theirs")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLUICEGATE_REDIS_URL", "http://redis"),
        ("SLUICEGATE_WATCH_NAMESPACES", "Dental"),
        ("SLUICEGATE_ADMIN", "7071"),
        ("SLUICEGATE_ADMIN", "localhost:70710"),
        ("SLUICEGATE_REDIS_ACCESS", "mine"),
        ("SLUICEGATE_JUDGE_MODE", "inline"),
        ("SLUICEGATE_LEASE_NAMESPACE", "a_b"),
        ("SLUICEGATE_LEASE_NAME", "-"),
        ("SLUICEGATE_LEASE", "x"),
    ],
)
def test_a_bad_or_unknown_variable_is_named(name: str, value: str) -> None:
    """And a password in a URL is not told."""
    with pytest.raises(ConfigError, match=f"^{name}: "):
        Config.from_env({name: value})


def test_users_of_a_cluster_are_made_by_somebody_else() -> None:
    """A node does not tell the others of a user."""
    with pytest.raises(ConfigError, match=r"^SLUICEGATE_REDIS_ACCESS: "):
        Config.from_env({"SLUICEGATE_REDIS_URL": "redis://redis?cluster=true"})


def test_a_url_that_is_wrong_is_not_repeated() -> None:
    """It may hold a password."""
    with pytest.raises(ConfigError) as told:
        Config.from_env({"SLUICEGATE_REDIS_URL": "redys://user:hush@redis"})
    assert "hush" not in str(told.value)
