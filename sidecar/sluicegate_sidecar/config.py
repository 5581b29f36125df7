"""Settings, read from the environment once, before any port is bound."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from sluicegate.settings import BadSetting, host_port, one_of, reader, redis_url, seconds
from sluicegate_sidecar.errors import ConfigError
from sluicegate_sidecar.limits import Limits, read_limits

DEFAULTS = {
    "SLUICEGATE_LISTEN": "127.0.0.1:7070",
    "SLUICEGATE_ADMIN": "127.0.0.1:7071",
    "SLUICEGATE_REDIS_URL": "redis://127.0.0.1:6379/0",
    "SLUICEGATE_REDIS_CREDENTIALS": "",
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

NAME_LIMIT = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How one sidecar or judge runs."""

    listen: tuple[str, ...]
    """gRPC addresses: `host:port`, or `unix:/path`."""
    admin: str
    """Where /livez, /startupz and /metrics are: `host:port`, or `unix:/path`."""
    redis_url: str
    redis_credentials: str
    """A folder with the files `username` and `password`; empty: the URL has them, or none are needed."""
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
        try:
            return _read(reader(environ, DEFAULTS, FOR_OTHERS))
        except BadSetting as error:
            raise ConfigError(str(error)) from error


def _read(setting: Callable[[str], tuple[str, str]]) -> Config:
    """`setting` gives a variable's name and value."""
    return Config(
        listen=_addresses(*setting("SLUICEGATE_LISTEN")),
        admin=_address(*setting("SLUICEGATE_ADMIN")),
        redis_url=redis_url(*setting("SLUICEGATE_REDIS_URL")),
        redis_credentials=setting("SLUICEGATE_REDIS_CREDENTIALS")[1],
        namespace=_name(*setting("SLUICEGATE_NAMESPACE")),
        agent=_name(*setting("SLUICEGATE_AGENT")),
        config_path=setting("SLUICEGATE_CONFIG")[1],
        judge=one_of(*setting("SLUICEGATE_JUDGE"), "inline", "off"),
        state=setting("SLUICEGATE_STATE")[1],
        idle_seconds=seconds(*setting("SLUICEGATE_IDLE_SECONDS"), 1, 86_400),
        limits=_limits(*setting("SLUICEGATE_LIMITS")),
    )


def has_judge(environ: Mapping[str, str]) -> bool:
    """Whether `environ` names an endpoint for the judge, or gives a key for the usual one."""
    return bool(environ.get("OPENAI_API_KEY") or environ.get("OPENAI_BASE_URL"))


def _addresses(name: str, value: str) -> tuple[str, ...]:
    addresses = tuple(part.strip() for part in value.split(",") if part.strip())
    if not addresses:
        raise BadSetting(f"{name}: no address in {value!r}; give host:port or unix:/path, separated by commas")
    return tuple(_address(name, part) for part in addresses)


def _address(name: str, value: str) -> str:
    return value if _is_socket(name, value) else host_port(name, value)


def _is_socket(name: str, address: str) -> bool:
    if not address.startswith("unix:"):
        return False
    if not address.removeprefix("unix:").startswith("/"):
        raise BadSetting(f"{name}: {address!r} has no absolute path; give unix:/path/to/socket")
    return True


def _name(name: str, value: str) -> str:
    if not value:
        raise BadSetting(f"{name}: not set; give the name of the agent that this sidecar serves")
    if len(value) > NAME_LIMIT or not all(c.isascii() and (c.isalnum() or c in "-._") for c in value):
        raise BadSetting(f"{name}: {value!r} is not a name of at most {NAME_LIMIT} letters, digits, '-', '.' or '_'")
    return value


def _limits(name: str, value: str) -> Limits:
    try:
        return read_limits(value)
    except ValueError as error:
        raise BadSetting(f"{name}: {error}") from error
