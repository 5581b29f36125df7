"""What kopf calls: each event is handed on, and nothing is done here. kopf keeps nothing in the resources."""

from collections.abc import Awaitable, Callable, Collection
from typing import Any

import kopf

from sluicegate_operator.cluster.known import PLURALS, Kind

GROUP, VERSION = "sluicegate.dev", "v1alpha1"

Seen = Callable[[Kind, bool, Any], None]
"""A resource was seen: its kind, whether it is gone, and the object."""


class _NoDiffBase(kopf.DiffBaseStorage):
    """The default writes annotations, and fails where a resource is near its limit of size."""

    def fetch(self, *, body: Any) -> None:
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """The same: events have no progress to keep."""

    def fetch(self, *, key: Any, body: Any) -> None:
        return None

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        return None

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        return None

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


def registry(
    seen: Seen,
    login: Callable[[], kopf.ConnectionInfo],
    served: Callable[[], Awaitable[None]],
    ended: Callable[[], Awaitable[None]],
) -> kopf.OperatorRegistry:
    """All handlers: on.event alone, since timers and daemons would add finalizers."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def logged_in(**_: Any) -> kopf.ConnectionInfo:
        return login()

    @kopf.on.startup(registry=handlers)
    async def started(**_: Any) -> None:
        await served()

    @kopf.on.cleanup(registry=handlers)
    async def cleaned_up(**_: Any) -> None:
        await ended()

    for kind in PLURALS:
        _watch(handlers, kind, seen)
    return handlers


def _watch(handlers: kopf.OperatorRegistry, kind: Kind, seen: Seen) -> None:
    @kopf.on.event(GROUP, VERSION, PLURALS[kind], registry=handlers, id=PLURALS[kind])
    def happened(event: Any, **_: Any) -> None:
        seen(kind, event["type"] == "DELETED", event["object"])


def settings() -> kopf.OperatorSettings:
    """Measured with 1,000 experiments, and with API servers that went away."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.scanning.disabled = True
    chosen.posting.enabled = False
    chosen.watching.server_timeout = 270
    chosen.watching.client_timeout = 360
    chosen.watching.connect_timeout = 10
    chosen.watching.chunk_size = 100
    chosen.networking.request_timeout = 15
    chosen.networking.connect_timeout = 5
    chosen.networking.error_backoffs = _Backoffs()
    chosen.persistence.diffbase_storage = _NoDiffBase()
    chosen.persistence.progress_storage = _NoProgress()
    return chosen


class _Backoffs(Collection[float]):
    """0.2, 0.5, 1, 2, 2, … seconds, for ever: kopf's own end the operator after a minute without an API server."""

    def __iter__(self) -> Any:
        yield from (0.2, 0.5, 1.0)
        while True:
            yield 2.0

    def __len__(self) -> int:
        return 1_000_000

    def __contains__(self, value: object) -> bool:
        return value in (0.2, 0.5, 1.0, 2.0)
