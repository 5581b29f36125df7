"""Settings of the injector, read from the environment once, before any port is bound.

The rights that it needs of the API server:

    "": secrets (in NAMESPACE, the one called SECRET)                        get, list, watch; update if selfManaged
    admissionregistration.k8s.io: mutatingwebhookconfigurations (WEBHOOK)    get, list, watch, patch
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec

from sluicegate.settings import BadSetting, host_port, one_of, reader, seconds
from sluicegate_operator.errors import ConfigError
from sluicegate_operator.injection.certificates import LIFETIME
from sluicegate_operator.injection.sidecar import SidecarSettings

DEFAULTS = {
    "SLUICEGATE_LISTEN": "0.0.0.0:8443",
    "SLUICEGATE_ADMIN": "127.0.0.1:7071",
    "SLUICEGATE_NAMESPACE": "",
    "SLUICEGATE_SECRET": "",
    "SLUICEGATE_WEBHOOK": "",
    "SLUICEGATE_SERVICE": "",
    "SLUICEGATE_CERTIFICATES": "selfManaged",
    "SLUICEGATE_CERTIFICATE_SECONDS": str(int(LIFETIME.total_seconds())),
    "SLUICEGATE_SIDECAR_IMAGE": "",
    "SLUICEGATE_SIDECAR_PULL_POLICY": "IfNotPresent",
    "SLUICEGATE_SIDECAR_RESOURCES": '{"requests": {"cpu": "50m", "memory": "160Mi"}, "limits": {"memory": "512Mi"}}',
    "SLUICEGATE_REDIS_URL": "redis://127.0.0.1:6379/0",
    "SLUICEGATE_JUDGE_MODE": "sidecar",
}
"""Every setting of the injector, and its default; those without one must be given."""

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
SHORTEST_SECONDS, LONGEST_SECONDS = 10, 10 * 365 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How one injector runs."""

    listen: str
    """`host:port` of the webhook."""
    admin: str
    """`host:port` of /livez, /startupz and /metrics."""
    namespace: str
    secret: str
    """The Secret with the certificate; it must be there, and may be empty."""
    webhook: str
    """The MutatingWebhookConfiguration whose authorities are kept; its other fields are somebody else's."""
    service: str
    """The Service by which the API server calls."""
    certificates: Literal["selfManaged", "provided"]
    """selfManaged: made and renewed here; provided: somebody else fills the Secret."""
    lifetime: timedelta
    """Of a certificate that is made here; at two thirds of it the next one is."""
    sidecar: SidecarSettings

    @property
    def names(self) -> tuple[str, ...]:
        """What the certificate is for."""
        return (f"{self.service}.{self.namespace}.svc",)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Config":
        """The settings in `environ`; ConfigError names a variable that is bad, missing or unknown."""
        try:
            return _read(reader(environ, DEFAULTS))
        except BadSetting as error:
            raise ConfigError(str(error)) from error


def _read(setting: Callable[[str], tuple[str, str]]) -> Config:
    """`setting` gives a variable's name and value."""
    lifetime = seconds(*setting("SLUICEGATE_CERTIFICATE_SECONDS"), SHORTEST_SECONDS, LONGEST_SECONDS)
    return Config(
        listen=host_port(*setting("SLUICEGATE_LISTEN")),
        admin=host_port(*setting("SLUICEGATE_ADMIN")),
        namespace=_name(*setting("SLUICEGATE_NAMESPACE")),
        secret=_name(*setting("SLUICEGATE_SECRET")),
        webhook=_name(*setting("SLUICEGATE_WEBHOOK")),
        service=_name(*setting("SLUICEGATE_SERVICE")),
        certificates=one_of(*setting("SLUICEGATE_CERTIFICATES"), "selfManaged", "provided"),
        lifetime=timedelta(seconds=lifetime),
        sidecar=SidecarSettings(
            image=_image(*setting("SLUICEGATE_SIDECAR_IMAGE")),
            pull_policy=one_of(*setting("SLUICEGATE_SIDECAR_PULL_POLICY"), "Always", "IfNotPresent", "Never"),
            resources=_resources(*setting("SLUICEGATE_SIDECAR_RESOURCES")),
            redis_url=_redis_url(*setting("SLUICEGATE_REDIS_URL")),
            judge_mode=one_of(*setting("SLUICEGATE_JUDGE_MODE"), "sidecar", "deployment"),
        ),
    )


def _name(name: str, value: str) -> str:
    if not NAME.fullmatch(value):
        raise BadSetting(f"{name}: {value!r} is not a name of lower-case letters, digits, '-' and '.'")
    return value


def _image(name: str, value: str) -> str:
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise BadSetting(f"{name}: {value!r} is not an image; give the image of the sidecar, with its tag")
    return value


def _resources(name: str, value: str) -> dict[str, Any]:
    """Quantities are the API server's to check: it knows them best."""
    try:
        resources = msgspec.json.decode(value, type=dict[str, dict[str, str | int | float]])
    except (ValueError, RecursionError) as error:
        raise BadSetting(f"{name}: not a container's resources as JSON, such as {DEFAULTS[name]}: {error}") from error
    if unknown := resources.keys() - {"requests", "limits"}:
        raise BadSetting(f"{name}: {', '.join(sorted(unknown))}: there are requests and limits")
    return resources


def _redis_url(name: str, value: str) -> str:
    """Without what it is, when it is refused: it may hold a password."""
    if not value.startswith(("redis://", "rediss://")):
        raise BadSetting(f"{name}: does not start with redis:// or rediss://")
    try:
        parts = urlsplit(value)
        has_credentials = "@" in parts.netloc or {"username", "password"} & parse_qs(parts.query).keys()
    except ValueError:
        raise BadSetting(f"{name}: cannot be read; give redis://host:port/database") from None
    if has_credentials:
        raise BadSetting(f"{name}: has a user or a password, which all who read pods would see; leave them out")
    return value
