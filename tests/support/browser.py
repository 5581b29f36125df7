"""A headless Chromium, driven over its own protocol: what a reader of a page would see.

A machine without one skips the test with the reason, and fails where CI=true.
"""

import asyncio
import base64
import contextlib
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiohttp
from needed import missing

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
START_SECONDS = 60.0
ANSWER_SECONDS = 30.0

Scheme = Literal["light", "dark"]


def binary() -> str:
    """Its path; the test ends here if there is none."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    missing("no Chromium on the PATH; install it (Debian, Ubuntu: apt install chromium)")


@dataclass(slots=True)
class Browser:
    """A running browser, spoken to by one test at a time."""

    socket: aiohttp.ClientWebSocketResponse
    number: int = 0

    async def call(self, method: str, session: str, hear: Callable[[dict[str, Any]], None], **params: Any) -> Any:
        """One command of the protocol and its result. `hear` gets whatever else is told meanwhile."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        await self.socket.send_json({**message, "sessionId": session} if session else message)
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                told = await self.socket.receive_json()
                if told.get("id") == self.number:
                    assert "error" not in told, f"{method}: {told['error']}"
                    return told["result"]
                hear(told)

    @asynccontextmanager
    async def tab(self) -> "AsyncIterator[Tab]":
        """An empty tab."""
        target = await self.call("Target.createTarget", "", _deaf, url="about:blank")
        joined = await self.call("Target.attachToTarget", "", _deaf, targetId=target["targetId"], flatten=True)
        tab = Tab(self, joined["sessionId"])
        for domain in ("Page", "Network", "Log", "Runtime"):
            await tab.call(f"{domain}.enable")
        yield tab
        await self.call("Target.closeTarget", "", _deaf, targetId=target["targetId"])


def _deaf(_: dict[str, Any]) -> None:
    pass


@dataclass(slots=True)
class Tab:
    """One page of a browser."""

    browser: Browser
    session: str
    requests: list[str] = field(default_factory=list)
    """URLs that the page asked for, its own first."""
    complaints: list[str] = field(default_factory=list)
    """What the browser logged: errors, and what a content security policy kept from happening."""

    async def call(self, method: str, **params: Any) -> Any:
        """One command of the protocol and its result."""
        return await self.browser.call(method, self.session, self._hear, **params)

    def _hear(self, told: dict[str, Any]) -> None:
        match told.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(told["params"]["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(told["params"]["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(told["params"]["exceptionDetails"]))

    async def open(self, file: Path, width: int, scheme: Scheme = "light") -> None:
        """Shows a file, by its absolute path, in a window so many pixels wide."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self.call("Emulation.setEmulatedMedia", features=[feature])
        await self.call("Page.navigate", url=f"file://{file}")
        async with asyncio.timeout(ANSWER_SECONDS):
            while await self.evaluate("document.readyState") != "complete":  # noqa: ASYNC110 - it is asked, not told
                await asyncio.sleep(0.01)

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page, as the test sees it: the page's own policy does not bind the test."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def screenshot(self) -> bytes:
        """All of the page, as a PNG."""
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])


@asynccontextmanager
async def a_browser(folder: Path) -> AsyncIterator[Browser]:
    """A browser with its data in `folder`, ended by its id."""
    words = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}", "--no-first-run"]
    words += ["--disable-gpu", "--disable-dev-shm-usage", "--no-sandbox", "--hide-scrollbars", "about:blank"]
    process = await asyncio.create_subprocess_exec(binary(), *words, stdout=DEVNULL, stderr=PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            line = b""
            while not line.startswith(b"DevTools listening on "):
                line = await process.stderr.readline()
                assert line, "Chromium ended before it was ready"
        drain = asyncio.create_task(process.stderr.read())
        url = line.decode().split()[-1]
        async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=0) as socket:
            yield Browser(socket)
        drain.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
