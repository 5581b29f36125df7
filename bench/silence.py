"""A way to Redis that can fall silent: a connection stays open, and nothing comes through it any more."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Silence:
    """Forwards connections; `fall` silences those that have subscribed to something, and later ones are forwarded."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._pairs: set[tuple[asyncio.Task[None], asyncio.Task[None]]] = set()
        self._subscribed: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def fall(self, *, everywhere: bool = False) -> int:
        """Silences the subscriptions, or all that is connected now; how many connections that are."""
        silenced = [pair for pair in self._pairs if everywhere or pair[0] in self._subscribed]
        silenced = [pair for pair in silenced if not pair[0].done() and not pair[1].done()]
        for pair in silenced:
            for direction in pair:
                direction.cancel()
            self._pairs.discard(pair)
        return len(silenced)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, back}
        asked = asyncio.create_task(self._forward(reader, back))
        answered = asyncio.create_task(self._forward(there, writer))
        self._pairs.add((asked, answered))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while told := await reader.read(65_536):
                if b"SUBSCRIBE" in told:
                    task = asyncio.current_task()
                    assert task is not None
                    self._subscribed.add(task)
                writer.write(told)
            writer.close()

    def close(self) -> None:
        self.fall(everywhere=True)
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def silence_before(host: str, port: int) -> AsyncIterator[tuple[Silence, str]]:
    """The way to a Redis, and the URL that goes it."""
    way = Silence(host, port)
    server = await asyncio.start_server(way.take, "127.0.0.1", 0)
    try:
        yield way, f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()
        way.close()
