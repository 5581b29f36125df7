"""The admin listener: /livez, /startupz and /metrics, served by a thread of its own.

A thread, so that a stuck event loop is seen as what it is, not as a probe that never comes back.
"""

import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer

from prometheus_client import REGISTRY, generate_latest

from sluicegate_sidecar import unix_socket

STUCK_AFTER_SECONDS = 10.0


class Admin:
    """Answers probes from what the event loop last said of itself."""

    def __init__(self, address: str) -> None:
        """Binds `address` (host:port, port 0 for any free one; or unix:/path). OSError if it cannot."""
        self._last_beat = time.monotonic()
        self._started = False
        routes: dict[str, Callable[[], tuple[int, bytes]]] = {
            "/livez": self._live,
            "/startupz": self._startup,
            "/metrics": lambda: (200, generate_latest(REGISTRY)),
        }

        class Handler(BaseHTTPRequestHandler):
            timeout = 5.0

            def do_GET(self) -> None:
                route = routes.get(self.path.partition("?")[0])
                status, body = route() if route else (404, b"not found: /livez, /startupz and /metrics are here\n")
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Probes are no news."""

        self._server = _server(address, Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="admin", daemon=True).start()

    @property
    def address(self) -> str:
        if isinstance(self._server, _OnSocket):
            return f"unix:{self._server.server_address!s}"
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def beat(self) -> None:
        """The event loop runs."""
        self._last_beat = time.monotonic()

    def started(self) -> None:
        """The sidecar serves."""
        self._started = True

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _live(self) -> tuple[int, bytes]:
        silent = time.monotonic() - self._last_beat
        return (200, b"ok\n") if silent < STUCK_AFTER_SECONDS else (503, b"the event loop is stuck\n")

    def _startup(self) -> tuple[int, bytes]:
        return (200, b"ok\n") if self._started else (503, b"starting\n")


def _server(address: str, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        unix_socket.clear(Path(path))
        return _OnSocket(path, handler)
    host, _, port = address.rpartition(":")
    return ThreadingHTTPServer((host.strip("[]"), int(port)), handler)


class _OnSocket(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def __init__(self, path: str, handler: type[BaseHTTPRequestHandler]) -> None:
        # A path where the type of the base class wants host and port: the family says which it is.
        super().__init__(path, handler)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        """Without asking for the name of a host, of which a path has none."""
        TCPServer.server_bind(self)
