"""Settings, read from the environment once, before any port is bound."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sluicegate_sidecar.errors import ConfigError
from sluicegate_sidecar.limits import Limits, read_limits

PREFIX = "SLUICEGATE_"
DEFAULTS = {
    "SLUICEGATE_LISTEN": "127.0.0.1:7070",
    "SLUICEGATE_ADMIN": "127.0.0.1:7071",
    "SLUICEGATE_REDIS_URL": "redis://127.0.0.1:6379/0",
    "SLUICEGATE_NAMESPACE": "default",
    "SLUICEGATE_AGENT": "",
    "SLUICEGATE_CONFIG": "",
    "SLUICEGATE_JUDGE": "inline",
    "SLUICEGATE_STATE": "",
    "SLUICEGATE_IDLE_SECONDS": "1800",
    "SLUICEGATE_LIMITS": "",
}
"""Every setting and its default; SLUICEGATE_AGENT has none and must be given."""

FOR_OTHERS = frozenset({"SLUICEGATE_TARGET"})
"""Variables that belong to the agent's container; met here when both share an environment, and left alone."""

SERVICE_LINK = re.compile(
    r"(SLUICEGATE.*?)_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
"""What Kubernetes puts into every pod for a Service whose name starts with `sluicegate`, all of it or nothing."""

NAME_LIMIT = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How one sidecar or judge runs."""

    listen: tuple[str, ...]
    """gRPC addresses: `host:port`, or `unix:/path`."""
    admin: str
    """`host:port` of /livez, /startupz and /metrics."""
    redis_url: str
    namespace: str
    agent: str
    config_path: str
    """A file or folder of resources; empty: the snapshot comes from Redis."""
    judge: Literal["inline", "off"]
    state: str
    """A folder for the spool; empty: no session is taken while Redis is away."""
    idle_seconds: int
    """An open session without an event for so long is closed as abandoned."""
    limits: Limits

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Config":
        """The settings in `environ`; ConfigError names a variable that is bad, missing or unknown."""
        for name in environ:
            if name.startswith(PREFIX) and not _known(name, environ):
                raise ConfigError(f"{name}: unknown setting; the settings are {', '.join(DEFAULTS)}")

        def setting(name: str) -> str:
            return environ.get(name, "").strip() or DEFAULTS[name]

        return cls(
            listen=_addresses("SLUICEGATE_LISTEN", setting("SLUICEGATE_LISTEN")),
            admin=_host_port("SLUICEGATE_ADMIN", setting("SLUICEGATE_ADMIN")),
            redis_url=_redis_url("SLUICEGATE_REDIS_URL", setting("SLUICEGATE_REDIS_URL")),
            namespace=_name("SLUICEGATE_NAMESPACE", setting("SLUICEGATE_NAMESPACE")),
            agent=_name("SLUICEGATE_AGENT", setting("SLUICEGATE_AGENT")),
            config_path=setting("SLUICEGATE_CONFIG"),
            judge=_judge("SLUICEGATE_JUDGE", setting("SLUICEGATE_JUDGE")),
            state=setting("SLUICEGATE_STATE"),
            idle_seconds=_seconds("SLUICEGATE_IDLE_SECONDS", setting("SLUICEGATE_IDLE_SECONDS")),
            limits=_limits("SLUICEGATE_LIMITS", setting("SLUICEGATE_LIMITS")),
        )


def _known(name: str, environ: Mapping[str, str]) -> bool:
    if name in DEFAULTS or name in FOR_OTHERS:
        return True
    link = SERVICE_LINK.fullmatch(name)
    return link is not None and f"{link[1]}_SERVICE_HOST" in environ


def _addresses(name: str, value: str) -> tuple[str, ...]:
    addresses = tuple(part.strip() for part in value.split(",") if part.strip())
    if not addresses:
        raise ConfigError(f"{name}: no address in {value!r}; give host:port or unix:/path, separated by commas")
    return tuple(part if _is_socket(name, part) else _host_port(name, part) for part in addresses)


def _is_socket(name: str, address: str) -> bool:
    if not address.startswith("unix:"):
        return False
    if not address.removeprefix("unix:").startswith("/"):
        raise ConfigError(f"{name}: {address!r} has no absolute path; give unix:/path/to/socket")
    return True


def _host_port(name: str, value: str) -> str:
    host, colon, port = value.rpartition(":")
    is_number = port.isascii() and port.isdigit() and len(port) <= 5
    if not colon or not host or not is_number or int(port) > 65535:
        raise ConfigError(f"{name}: {value!r} is not host:port with a port from 0 to 65535")
    return value


def _redis_url(name: str, value: str) -> str:
    if not value.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigError(f"{name}: {_without_password(value)!r} does not start with redis://, rediss:// or unix://")
    return value


def _without_password(url: str) -> str:
    """`url` without what can hold a password: the part before the last @, and the query."""
    before, at, after = url.rpartition("@")
    shown, query, _ = (f"…@{after}" if at and before else url).partition("?")
    return f"{shown}?…" if query else shown


def _name(name: str, value: str) -> str:
    if not value:
        raise ConfigError(f"{name}: not set; give the name of the agent that this sidecar serves")
    if len(value) > NAME_LIMIT or not all(c.isascii() and (c.isalnum() or c in "-._") for c in value):
        raise ConfigError(f"{name}: {value!r} is not a name of at most {NAME_LIMIT} letters, digits, '-', '.' or '_'")
    return value


def _seconds(name: str, value: str) -> int:
    is_number = value.isascii() and value.isdigit() and len(value) <= 5
    if not is_number or not 1 <= int(value) <= 86_400:
        raise ConfigError(f"{name}: {value!r} is not a whole number of seconds from 1 to 86400")
    return int(value)


def _limits(name: str, value: str) -> Limits:
    try:
        return read_limits(value)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error


def _judge(name: str, value: str) -> Literal["inline", "off"]:
    match value:
        case "inline" | "off":
            return value
        case _:
            raise ConfigError(f"{name}: {value!r} is not one of inline, off")
