"""The webhook: HTTP here, pure answers behind it, and a limit on everything."""

import asyncio

from aiohttp import web

from sluicegate_operator.injection.review import NoReview, answer
from sluicegate_operator.injection.sidecar import SidecarSettings
from sluicegate_operator.injection.telemetry import Telemetry

MOST_BYTES = 4 * 1024 * 1024
"""The API server itself takes 3 MiB; the question repeats it with some words around."""
READ_SECONDS = 2.0
"""The API server waits no longer for the whole answer."""
KEEPALIVE_SECONDS = 120.0


class Webhook:
    """Answers questions about pods."""

    def __init__(self, settings: SidecarSettings, telemetry: Telemetry, *, native: bool) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._native = native
        self.is_ending = False
        """Callers are told to connect anew: to somebody else."""

    def application(self) -> web.Application:
        application = web.Application(client_max_size=MOST_BYTES)
        application.router.add_post("/inject", self._inject)
        return application

    async def _inject(self, request: web.Request) -> web.Response:
        response = await self._answered(request)
        if self.is_ending:
            response.force_close()
        return response

    async def _answered(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(READ_SECONDS):
                question = await request.read()
            found = answer(question, self._settings, native=self._native)
        except NoReview as error:
            self._telemetry.refused()
            return web.Response(status=400, text=f"{error}\n")
        except web.HTTPRequestEntityTooLarge:
            self._telemetry.refused()
            return web.Response(status=413, text=f"more than {MOST_BYTES} bytes\n")
        except TimeoutError:
            self._telemetry.refused()
            return web.Response(status=408, text=f"nothing whole within {READ_SECONDS:g} s\n")
        self._telemetry.answered(found.outcome)
        return web.Response(body=found.body, content_type="application/json")
