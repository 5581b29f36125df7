"""Writes of status: none without a change, transitions at once, numbers now and then, all under one budget."""

import time
from collections.abc import Mapping
from typing import Any

from sluicegate_operator.cluster.api import FIELD_MANAGER, GROUP, JSON_PATCH, Api, Object
from sluicegate_operator.cluster.known import PLURALS, Kind, KnownResources
from sluicegate_operator.cluster.lease import Lease
from sluicegate_operator.cluster.status import urgent
from sluicegate_operator.errors import NotThere, Outrun, Stale

NUMBERS_SECONDS = 10.0
"""Between two writes of one resource that only carry numbers."""
NUMBERS_A_SECOND = 20.0
"""Of all resources together; an API server takes some 140 writes a second."""


class StatusWrites:
    """The whole status at once, with the resourceVersion that was looked at: whoever looked at an older one is told so.

    As a JSON patch: to apply it on the server's side costs the server several times as much, for a status of that size,
    and nobody else has a share in it.
    """

    def __init__(self, api: Api, known: KnownResources, lease: Lease) -> None:
        self._api = api
        self._known = known
        self._lease = lease
        self._numbers_at: dict[str, float] = {}
        self._budget = NUMBERS_A_SECOND
        self._budget_at = time.monotonic()
        self.count = 0

    async def write(self, kind: Kind, body: Object, status: Object) -> bool:
        """Writes the status if it is time to; `body` gets it. Whether nothing is left to write.

        Outrun: the resource is not what was looked at any more, or it is somebody else's turn.
        """
        before = body["status"]
        if status == before:
            return True
        if urgent(status) == urgent(before) and not self._may_write_numbers(body["metadata"]["uid"]):
            return False
        await self._apply(kind, body, status)
        return True

    def _may_write_numbers(self, uid: str) -> bool:
        now = time.monotonic()
        self._budget = min(NUMBERS_A_SECOND, self._budget + (now - self._budget_at) * NUMBERS_A_SECOND)
        self._budget_at = now
        if self._budget < 1 or now - self._numbers_at.get(uid, -NUMBERS_SECONDS) < NUMBERS_SECONDS:
            return False
        self._budget -= 1
        return True

    async def _apply(self, kind: Kind, body: Object, status: Mapping[str, Any]) -> None:
        metadata = body["metadata"]
        if not self._lease.is_held():
            raise Outrun("the lease is another operator's now")
        path = f"{GROUP}/namespaces/{metadata['namespace']}/{PLURALS[kind]}/{metadata['name']}/status"
        sent = [
            {"op": "add", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
            {"op": "add", "path": "/status", "value": status},
        ]
        self.count += 1
        try:
            written = await self._api.request("PATCH", path, sent, JSON_PATCH, fieldManager=FIELD_MANAGER)
        except (Stale, NotThere) as error:
            raise Outrun(f"{kind} {metadata['namespace']}/{metadata['name']} has changed: {error}") from error
        self._numbers_at[metadata["uid"]] = time.monotonic()
        self._known.take(kind, written)
        body["metadata"]["resourceVersion"] = written["metadata"]["resourceVersion"]
        body["status"] = written.get("status", {})

    def forget(self, uids: set[str]) -> None:
        """Keeps no trace of resources that are gone; `uids` are those that are there."""
        self._numbers_at = {uid: at for uid, at in self._numbers_at.items() if uid in uids}
