"""Settings of the operator, read from the environment once, before anything is connected.

The rights that it needs of the API server, in the namespaces that it watches (all of them, without WATCH_NAMESPACES):

    sluicegate.dev: experiments, evaluationpolicies                  get, list, watch
    sluicegate.dev: experiments/status, evaluationpolicies/status    patch
    "": configmaps                                                   get
    "": events                                                       create
    "": secrets (only where REDIS_ACCESS is managed)                 create; get for the one called sluicegate-redis
    coordination.k8s.io: leases (in LEASE_NAMESPACE)                 create; get, update for the one called LEASE_NAME

Its Redis user: all keys and channels of `sg1:*`, and, where REDIS_ACCESS is managed, ACL SETUSER.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from sluicegate.settings import BadSetting, host_port, one_of, reader, redis_url
from sluicegate_operator.errors import ConfigError

DEFAULTS = {
    "SLUICEGATE_REDIS_URL": "redis://127.0.0.1:6379/0",
    "SLUICEGATE_WATCH_NAMESPACES": "",
    "SLUICEGATE_ADMIN": "127.0.0.1:7071",
    "SLUICEGATE_REDIS_ACCESS": "managed",
    "SLUICEGATE_JUDGE_MODE": "sidecar",
    "SLUICEGATE_LEASE_NAMESPACE": "default",
    "SLUICEGATE_LEASE_NAME": "sluicegate-operator",
}
"""Every setting of the operator, and its default."""

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How one operator runs."""

    redis_url: str
    watch_namespaces: tuple[str, ...]
    """Empty: all of them."""
    admin: str
    """`host:port` of /livez, /startupz and /metrics."""
    redis_access: Literal["managed", "given"]
    """managed: each namespace gets a Redis user and a Secret with its password; given: somebody else sees to that."""
    judge_mode: Literal["sidecar", "deployment"]
    """Who judges: the sidecars, so that a namespace's user may score; or pods of their own, with a user of theirs."""
    lease_namespace: str
    lease_name: str

    @property
    def is_redis_cluster(self) -> bool:
        return parse_qs(urlsplit(self.redis_url).query).get("cluster") == ["true"]

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Config":
        """The settings in `environ`; ConfigError names a variable that is bad or unknown."""
        try:
            return _read(reader(environ, DEFAULTS))
        except BadSetting as error:
            raise ConfigError(str(error)) from error


def _read(setting: Callable[[str], tuple[str, str]]) -> Config:
    """`setting` gives a variable's name and value."""
    namespaces, listed = setting("SLUICEGATE_WATCH_NAMESPACES")
    config = Config(
        redis_url=redis_url(*setting("SLUICEGATE_REDIS_URL")),
        watch_namespaces=tuple(_name(namespaces, part.strip()) for part in listed.split(",") if part.strip()),
        admin=host_port(*setting("SLUICEGATE_ADMIN")),
        redis_access=one_of(*setting("SLUICEGATE_REDIS_ACCESS"), "managed", "given"),
        judge_mode=one_of(*setting("SLUICEGATE_JUDGE_MODE"), "sidecar", "deployment"),
        lease_namespace=_name(*setting("SLUICEGATE_LEASE_NAMESPACE")),
        lease_name=_name(*setting("SLUICEGATE_LEASE_NAME")),
    )
    if config.is_redis_cluster and config.redis_access == "managed":
        raise BadSetting(
            "SLUICEGATE_REDIS_ACCESS: managed, but the nodes of a cluster have users of their own each: make the "
            "users and Secrets, and set it to given"
        )
    return config


def _name(name: str, value: str) -> str:
    if not NAME.fullmatch(value):
        raise BadSetting(f"{name}: {value!r} is not a name of lower-case letters, digits and hyphens")
    return value
