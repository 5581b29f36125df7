"""Asks the admin listener of a sidecar, as a probe does where nobody else can reach it.

A pod in its node's network has no port of its own, and Kubernetes knocks at ports alone.
"""

import contextlib
import http.client
import socket
import time

ANSWER_SECONDS = 2.0
AGAIN_SECONDS = 0.1


def ask(admin: str, path: str, within: float) -> tuple[bool, str]:
    """Whether `path` answers 200 within so many seconds (0: at the first try), and what was said last.

    `admin`: `host:port`, or `unix:/path`, as in SLUICEGATE_ADMIN.
    """
    until = time.monotonic() + within
    while True:
        is_well, told = _once(admin, path)
        if is_well or time.monotonic() >= until:
            return is_well, told
        time.sleep(AGAIN_SECONDS)


def _once(admin: str, path: str) -> tuple[bool, str]:
    try:
        with contextlib.closing(_connection(admin)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status == 200, answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return False, f"{admin} does not answer: {error}"


def _connection(admin: str) -> http.client.HTTPConnection:
    if admin.startswith("unix:"):
        return _OverSocket(admin.removeprefix("unix:"))
    host, _, port = admin.rpartition(":")
    return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=ANSWER_SECONDS)


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.connect(self._path)
