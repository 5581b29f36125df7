"""/livez, /startupz and /metrics of the operator.

Alive means that its own loop turns. That the API server or Redis is away is told by /metrics, the log and the status of
experiments: no restart would mend it.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from sluicegate_operator.errors import ConfigError


@asynccontextmanager
async def admin(
    address: str,
    is_alive: Callable[[], bool],
    has_started: Callable[[], bool],
    metrics: Callable[[], Mapping[str, float]],
) -> AsyncIterator[str]:
    """Serves until the body ends; yields the address. ConfigError if it cannot be had."""

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="alive\n") if is_alive() else web.Response(status=500, text="the work stands still\n")

    async def startupz(_: web.Request) -> web.Response:
        return web.Response(text="started\n") if has_started() else web.Response(status=503, text="not yet\n")

    async def told(_: web.Request) -> web.Response:
        lines = [f"{name} {value:g}\n" for name, value in metrics().items()]
        return web.Response(text="".join(lines), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    application = web.Application()
    application.add_routes([web.get("/livez", livez), web.get("/startupz", startupz), web.get("/metrics", told)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    host, _, port = address.rpartition(":")
    try:
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            raise ConfigError(f"SLUICEGATE_ADMIN: {address} cannot be had: {error.strerror}") from error
        bound = runner.addresses[0]
        yield f"{bound[0]}:{bound[1]}"
    finally:
        await runner.cleanup()
