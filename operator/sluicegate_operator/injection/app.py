"""The one place where the parts of the injector are built and joined."""

import asyncio
import contextlib
import logging
import re
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from aiohttp import web

from sluicegate_operator.cluster.admin import admin
from sluicegate_operator.cluster.api import Api
from sluicegate_operator.cluster.login import login
from sluicegate_operator.errors import ApiAway, ApiRefused
from sluicegate_operator.injection.certificates import utc_now
from sluicegate_operator.injection.config import Config
from sluicegate_operator.injection.keeper import RETRY_SECONDS, Keeper
from sluicegate_operator.injection.served import Served
from sluicegate_operator.injection.telemetry import Telemetry
from sluicegate_operator.injection.watching import watching_api
from sluicegate_operator.injection.webhook import KEEPALIVE_SECONDS, Webhook

DRAIN_SECONDS = 5.0
"""From the word to end until nobody is sent here any more: Services are told of it at the same time as we are."""
FINISH_SECONDS = 5.0
NATIVE_SINCE = 29
"""From Kubernetes 1.29 on init containers may go on running."""

T = TypeVar("T")

log = logging.getLogger(__name__)


async def serve(config: Config) -> None:
    """The injector, until it is told to stop. OSError names an address that cannot be bound."""
    telemetry, served, stopped = Telemetry(utc_now), Served(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(watching_api(login))
        keeper = Keeper(client, config, served, telemetry, utc_now)

        def is_started() -> bool:
            return keeper.ready.is_set() and not stopped.is_set()

        # It answers on the loop that answers pods, too: if that is stuck, nobody says that it lives.
        admin_at = await stack.enter_async_context(admin(config.admin, lambda: True, is_started, telemetry.metrics))
        native = await until_stopped(stopped, is_native(client))
        if native is None:
            return
        webhook = Webhook(config.sidecar, telemetry, native=native)
        at = await stack.enter_async_context(listening(webhook.application(), config.listen, served.tls))
        await stack.enter_async_context(background(keeper.run, stopped))
        if await until_stopped(stopped, keeper.ready.wait()):
            kind = "native sidecars" if native else "sidecars as plain containers: the cluster is older than 1.29"
            log.info("injecting on %s, admin on %s; %s", at, admin_at, kind)
            await stopped.wait()
            webhook.is_ending = True
            await asyncio.sleep(DRAIN_SECONDS)


async def is_native(client: Api) -> bool:
    """Whether the cluster knows native sidecars; asked until there is an answer."""
    for failures in range(1_000_000):
        try:
            return is_native_in(await client.get("/version"))
        except ApiAway as error:
            if failures == 0:
                log.warning("%s; trying again", error)
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
        except ApiRefused as error:
            log.warning("%s; taken for one that has native sidecars", error)
            break
    return True


def is_native_in(version: dict[str, object]) -> bool:
    """Some say `29+`."""
    major, minor = (re.match(r"\d+", str(version.get(part, ""))) for part in ("major", "minor"))
    return not major or not minor or (int(major[0]), int(minor[0])) >= (1, NATIVE_SINCE)


async def until_stopped(stopped: asyncio.Event, work: Awaitable[T]) -> T | None:
    """What `work` gives; None if the word to end comes before it."""
    working, ending = asyncio.ensure_future(work), asyncio.ensure_future(stopped.wait())
    await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if working.done():
        return working.result()
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    return None


@asynccontextmanager
async def listening(application: web.Application, address: str, tls: ssl.SSLContext) -> AsyncIterator[str]:
    """Serves until the body ends, then finishes what is in hand. OSError names an address that cannot be bound."""
    host, _, port = address.rpartition(":")
    runner = web.AppRunner(
        application, access_log=None, keepalive_timeout=KEEPALIVE_SECONDS, shutdown_timeout=FINISH_SECONDS
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host.strip("[]"), int(port), ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            raise OSError(f"SLUICEGATE_LISTEN: {address} cannot be bound: {error.strerror or error}") from error
        bound = runner.addresses[0]
        yield f"{bound[0]}:{bound[1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def background(work: Callable[[], Awaitable[None]], stopped: asyncio.Event) -> AsyncIterator[None]:
    """Runs `work` beside the body, and ends it with the body. If it fails by itself, that is a bug, and told."""

    async def run() -> None:
        try:
            await work()
        except Exception:
            log.exception("a part of the injector failed; stopping")
            stopped.set()

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
