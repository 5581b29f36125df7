"""Of several operators one acts: the one that holds the Lease, for as long as it can be sure of that."""

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from sluicegate_operator.cluster.api import Api, Object
from sluicegate_operator.errors import ApiRefused, ControlError, NotThere, Stale

HOLD_SECONDS = 10.0
"""A holder that is not heard of for so long has lost it."""
RENEW_SECONDS = 2.5
SURE_SECONDS = 7.0
"""A holder that could not renew for so long stops by itself, before another one may begin."""

log = logging.getLogger(__name__)


class Lease:
    """A claim on one Lease object. Times of others are not compared with our clock: what counts is how long we see
    the same one."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api = api
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = name
        self._identity = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._held_until = 0.0
        self._seen: tuple[str, float] = ("", 0.0)
        self.transitions = 0
        """Grows with every change of holder: the fencing token."""

    def is_held(self) -> bool:
        """Whether this operator may act now."""
        return time.monotonic() < self._held_until

    async def keep(self, begin: Callable[[], None]) -> None:
        """Claims it and renews it until cancelled; calls `begin` each time that it becomes ours."""
        was_held = False
        while True:
            asked_at = time.monotonic()
            try:
                if await self._claim():
                    self._held_until = asked_at + SURE_SECONDS
            except ControlError as error:
                log.warning("the lease cannot be renewed: %s; trying again", error)
            if self.is_held() and not was_held:
                log.info("holding the lease, transition %d: this operator acts", self.transitions)
                begin()
            if was_held and not self.is_held():
                log.warning("the lease is lost: this operator stands by")
            was_held = self.is_held()
            await asyncio.sleep(RENEW_SECONDS if self.is_held() else RENEW_SECONDS / 2)

    async def release(self) -> None:
        """Lets go of it, so that the next one need not wait. A failure only makes it wait."""
        if not self.is_held():
            return
        self._held_until = 0.0
        try:
            lease = await self._api.get(f"{self._path}/{self._name}")
            if lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"]["holderIdentity"] = ""
                await self._api.request("PUT", f"{self._path}/{self._name}", lease)
        except ControlError as error:
            log.info("the lease was not released: %s", error)

    async def _claim(self) -> bool:
        """Whether it is ours now."""
        try:
            lease = await self._api.get(f"{self._path}/{self._name}")
        except NotThere:
            return await self._create()
        spec = lease.setdefault("spec", {})
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self._identity) and not self._is_silent(lease["metadata"]["resourceVersion"]):
            return False
        transitions = int(spec.get("leaseTransitions") or 0)
        lease["spec"] = self._spec(transitions if holder == self._identity else transitions + 1)
        try:
            await self._api.request("PUT", f"{self._path}/{self._name}", lease)
        except Stale:
            return False
        self.transitions = lease["spec"]["leaseTransitions"]
        return True

    async def _create(self) -> bool:
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name},
            "spec": self._spec(1),
        }
        try:
            await self._api.request("POST", self._path, lease)
        except Stale:
            return False
        except ApiRefused as error:
            log.error("the lease cannot be made: %s", error)
            return False
        self.transitions = 1
        return True

    def _is_silent(self, version: str) -> bool:
        """Whether its holder has not renewed it for as long as it may be silent."""
        now = time.monotonic()
        if self._seen[0] != version:
            self._seen = (version, now)
        return now - self._seen[1] >= HOLD_SECONDS

    def _spec(self, transitions: int) -> Object:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(HOLD_SECONDS),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }
