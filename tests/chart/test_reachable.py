"""What the pod of `helm test` runs: real listeners, a real Redis, and what it says of those that are not there."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from helm_chart import objects, pods_of, rendered
from redis_servers import free_port

Script = list[str]


@pytest.fixture(scope="module")
def script(home: Path) -> Script:
    """The command of the pod, as it is rendered."""
    (pod,) = [
        one for one in pods_of(objects(rendered(home))) if "helm.sh/hook" in one["metadata"].get("annotations", {})
    ]
    python, *words = pod["spec"]["containers"][0]["command"]
    assert python == "python3"
    return [sys.executable, *words]


@contextmanager
def listener(status: int) -> Iterator[str]:
    """Something that answers /startupz with this status, as an admin listener does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/startupz" else 404)
            self.end_headers()
            self.wfile.write(b"ok\n")

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def run(script: Script, addresses: str, redis_url: str) -> tuple[int, str]:
    environment = {**os.environ, "ADDRESSES": addresses, "SLUICEGATE_REDIS_URL": redis_url}
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_all_is_well(script: Script, valkey_url: str) -> None:
    """Each part that answers has a line, and the pod succeeds."""
    with listener(200) as operator, listener(200) as injector:
        code, told = run(script, f"{operator} {injector}", valkey_url)
    assert (code, told.splitlines()) == (0, [f"{operator}: ok", f"{injector}: ok", "Redis: ok"])


def test_whoever_is_not_there_is_named(script: Script, valkey_url: str) -> None:
    """A part that has not started, one that is not there and a Redis that is away are told apart; the pod fails."""
    gone = f"127.0.0.1:{free_port()}"
    with listener(503) as operator:
        code, told = run(script, f"{operator} {gone}", valkey_url)
    first, second, third = told.splitlines()
    assert code == 1
    assert first.startswith(f"{operator}: HTTP Error 503")
    assert second.startswith(f"{gone}: ")
    assert third == "Redis: ok"
    code, told = run(script, "", f"redis://{gone}/0")
    assert code == 1
    assert told.startswith("Redis: ")
