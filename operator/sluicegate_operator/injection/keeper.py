"""Keeps the certificate: what certificates.py decides goes into the Secret, into what is served, to the API server.

Of several replicas each may do so at any time. Whoever writes second is refused, and takes what is there.
"""

import asyncio
import base64
import binascii
import logging
import random
from collections.abc import Callable, Mapping
from datetime import datetime

from sluicegate_operator.cluster.api import Object
from sluicegate_operator.errors import ControlError, NotThere, Stale
from sluicegate_operator.injection.certificates import (
    Kept,
    Unusable,
    decide,
    expires,
    from_secret,
    next_look,
    to_secret,
)
from sluicegate_operator.injection.config import Config
from sluicegate_operator.injection.served import Served
from sluicegate_operator.injection.telemetry import Telemetry
from sluicegate_operator.injection.watching import WatchingApi

FIELD_MANAGER = "sluicegate-injector"
STRATEGIC = "application/strategic-merge-patch+json"
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits after the first, second … failure in a row; the last one repeats."""
LOOK_SECONDS = 60.0
"""For what the watches may have missed."""

log = logging.getLogger(__name__)


class Keeper:
    """The certificate of one webhook."""

    def __init__(
        self, api: WatchingApi, config: Config, served: Served, telemetry: Telemetry, clock: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._config = config
        self._served = served
        self._telemetry = telemetry
        self._clock = clock
        self._secret = f"/api/v1/namespaces/{config.namespace}/secrets/{config.secret}"
        self._webhook = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{config.webhook}"
        self._kept: Kept | None = None
        self._changed = asyncio.Event()
        self.ready = asyncio.Event()
        """A certificate is served, and the API server trusts it."""

    async def run(self) -> None:
        """Runs until cancelled. What fails is logged once, and tried again for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(self._secret))
            tasks.create_task(self._watch(self._webhook))
            tasks.create_task(self._look_on_change())

    async def _watch(self, path: str) -> None:
        failures = 0
        while True:
            try:
                async for _event in self._api.watch(path):
                    self._changed.set()
                    failures = 0
            except ControlError as error:
                log.debug("%s", error)
                failures += 1
            await _wait(failures)
            # Something may have happened between two watches.
            self._changed.set()

    async def _look_on_change(self) -> None:
        failures = 0
        while True:
            self._changed.clear()
            try:
                await self.look()
                failures = 0
            except Stale:
                # Somebody else was faster: look at what is there now.
                await _wait(0)
                continue
            except ControlError as error:
                if failures in (0, len(RETRY_SECONDS)):
                    log.error("the certificate cannot be kept (%s); trying again", error)
                await _wait(failures)
                failures += 1
                continue
            try:
                async with asyncio.timeout(self._until_next_look()):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _until_next_look(self) -> float:
        if self._kept is None:
            return LOOK_SECONDS
        due = next_look(self._kept, self._clock(), self._config.lifetime)
        return min(due.total_seconds(), LOOK_SECONDS)

    async def look(self) -> None:
        """Once: reads both, does what is to be done. Stale: somebody else did something meanwhile."""
        # The configuration first: what is patched into it rests on a Secret that was read later, or else is refused.
        webhooks = await self._read_webhooks()
        secret = await self._read_secret()
        content = _content(secret)
        if self._config.certificates == "selfManaged":
            kept = await self._keep(secret, content, webhooks)
            self._serve(kept.current.chain, kept.current.key)
            trusted = b"".join(kept.trusted)
        else:
            self._serve(content.get("tls.crt", b""), content.get("tls.key", b""))
            # Without authorities somebody else sees to it that the API server has them.
            trusted = content.get("ca.crt", b"")
        if webhooks and trusted:
            await self._tell(webhooks, trusted)
        if webhooks:
            self.ready.set()

    async def _read_webhooks(self) -> Object | None:
        try:
            return await self._api.get(self._webhook)
        except NotThere:
            log.warning("there is no MutatingWebhookConfiguration %s: nobody will ask", self._config.webhook)
            return None

    async def _read_secret(self) -> Object:
        try:
            return await self._api.get(self._secret)
        except NotThere as error:
            name = f"{self._config.namespace}/{self._config.secret}"
            raise Unusable(f"there is no Secret {name}; create it, empty if certificates are selfManaged") from error

    async def _keep(self, secret: Object, content: Mapping[str, bytes], webhooks: Object | None) -> Kept:
        """What the Secret holds now, after it was made to hold what it should."""
        try:
            stored = from_secret(content)
        except Unusable as error:
            if content:
                log.warning("the Secret %s is of no use (%s); it is filled again", self._config.secret, error)
            stored = None
        known, now = _known(webhooks), self._clock()
        kept = decide(stored, self._kept, known, self._config.names, now, self._config.lifetime)
        if kept is not stored:
            filled = {name: base64.b64encode(value).decode() for name, value in to_secret(kept).items()}
            await self._api.request("PUT", self._secret, {**secret, "data": filled}, fieldManager=FIELD_MANAGER)
            log.info("the Secret %s: %s", self._config.secret, _change(stored, kept))
        self._kept = kept
        return kept

    def _serve(self, chain: bytes, key: bytes) -> None:
        if self._served.take(chain, key):
            until = expires(chain)
            self._telemetry.serves(until)
            log.info("serving a certificate that ends at %s", until.isoformat())

    async def _tell(self, webhooks: Object, trusted: bytes) -> None:
        """Has the API server trust these authorities, and touches nothing else."""
        bundle = base64.b64encode(trusted).decode()
        names = [one["name"] for one in webhooks.get("webhooks", []) if one["clientConfig"].get("caBundle") != bundle]
        if not names:
            return
        patch = {
            "metadata": {"resourceVersion": webhooks["metadata"]["resourceVersion"]},
            "webhooks": [{"name": name, "clientConfig": {"caBundle": bundle}} for name in names],
        }
        await self._api.request("PATCH", self._webhook, patch, STRATEGIC, fieldManager=FIELD_MANAGER)
        log.info("the API server is told whom to trust, in %s of %s", ", ".join(names), self._config.webhook)


async def _wait(failures: int) -> None:
    await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)] * random.uniform(0.5, 1.0))


def _content(secret: Object) -> dict[str, bytes]:
    return {name: _decoded(value) for name, value in (secret.get("data") or {}).items()}


def _known(webhooks: Object | None) -> bytes:
    """The authorities that all webhooks of the configuration have; empty if they differ."""
    all_of_them = (webhooks or {}).get("webhooks") or []
    bundles = {one["clientConfig"].get("caBundle") or "" for one in all_of_them}
    return _decoded(bundles.pop()) if len(bundles) == 1 else b""


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""


def _change(stored: Kept | None, kept: Kept) -> str:
    if stored is None or stored.current == kept.current:
        return "the next certificate is made" if kept.next else "filled"
    return "the next certificate is the current one" if stored.next else "made anew"
