"""Settings out of an environment, read alike by every program: what is wrong or unknown is told by its name. Pure."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

PREFIX = "SLUICEGATE_"

_SERVICE_LINK = re.compile(
    r"(SLUICEGATE.*?)_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
"""What Kubernetes puts into every pod for a Service whose name starts with `sluicegate`, all of it or nothing."""

Choice = TypeVar("Choice", bound=str)


class BadSetting(ValueError):
    """A setting that cannot be used. The message names it, and says what it can be."""


def reader(
    environ: Mapping[str, str], defaults: Mapping[str, str], others: Collection[str] = ()
) -> Callable[[str], tuple[str, str]]:
    """Gives the name and the value of a setting: that in `environ`, or else its default.

    BadSetting if `environ` has a variable of ours that is no setting; `others` are left alone.
    """
    for name in environ:
        if name.startswith(PREFIX) and name not in defaults and name not in others and not _is_link(name, environ):
            raise BadSetting(f"{name}: unknown setting; the settings are {', '.join(defaults)}")
    return lambda name: (name, environ.get(name, "").strip() or defaults[name])


def _is_link(name: str, environ: Mapping[str, str]) -> bool:
    link = _SERVICE_LINK.fullmatch(name)
    return link is not None and f"{link[1]}_SERVICE_HOST" in environ


def host_port(name: str, value: str) -> str:
    """`value`, if it is an address to listen on."""
    host, colon, port = value.rpartition(":")
    is_number = port.isascii() and port.isdigit() and len(port) <= 5
    if not colon or not host or not is_number or int(port) > 65535:
        raise BadSetting(f"{name}: {value!r} is not host:port with a port from 0 to 65535")
    return value


def seconds(name: str, value: str, least: int, most: int) -> int:
    """`value` as a number of seconds."""
    is_number = value.isascii() and value.isdigit() and len(value) <= 12
    if not is_number or not least <= int(value) <= most:
        raise BadSetting(f"{name}: {value!r} is not a whole number of seconds from {least} to {most}")
    return int(value)


def one_of(name: str, value: str, *choices: Choice) -> Choice:
    """The choice that `value` is."""
    for choice in choices:
        if choice == value:
            return choice
    raise BadSetting(f"{name}: {value!r} is not one of {', '.join(choices)}")


def redis_url(name: str, value: str) -> str:
    """`value`, if it may be the URL of a Redis. What could be a password is never told."""
    if not value.startswith(("redis://", "rediss://", "unix://")):
        raise BadSetting(f"{name}: {_without_password(value)!r} does not start with redis://, rediss:// or unix://")
    return value


def _without_password(url: str) -> str:
    """`url` without what can hold a password: the part before the last @, and the query."""
    before, at, after = url.rpartition("@")
    shown, query, _ = (f"…@{after}" if at and before else url).partition("?")
    return f"{shown}?…" if query else shown
