"""The client of the API server, with watches."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from sluicegate_operator.cluster.api import CONNECT_SECONDS, REQUEST_SECONDS, Access, Api, Object
from sluicegate_operator.errors import ApiAway

WATCH_SECONDS = 270
MOST_EVENT_BYTES = 4 * 1024 * 1024


class WatchingApi(Api):
    """Requests to one API server, and what becomes of one object."""

    async def watch(self, path: str) -> AsyncIterator[Object]:
        """What the object at `path` is and becomes, an event a time: `type` and `object`. Ends when the server ends it.

        ApiAway: begin again, from what it is then.
        """
        folder, _, name = path.rpartition("/")
        query = {"watch": "true", "timeoutSeconds": str(WATCH_SECONDS), "fieldSelector": f"metadata.name={name}"}
        # Longer than the server's: a connection that is silent beyond that is dead.
        timeout = aiohttp.ClientTimeout(connect=CONNECT_SECONDS, sock_read=WATCH_SECONDS + REQUEST_SECONDS)
        line = b""
        try:
            async with self._session.get(
                self._access.server + folder,
                params=query,
                headers=self._access.headers,
                ssl=self._access.trust,
                timeout=timeout,
            ) as reply:
                if reply.status == 401:
                    self._access = self._login()
                if reply.status != 200:
                    raise ApiAway(f"WATCH {path}: {reply.status}")
                async for read in reply.content.iter_any():
                    *lines, line = (line + read).split(b"\n")
                    for complete in lines:
                        yield _event(path, complete)
                    if len(line) > MOST_EVENT_BYTES:
                        raise ApiAway(f"WATCH {path}: an event of more than {MOST_EVENT_BYTES} bytes")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiAway(f"WATCH {path}: {str(error) or type(error).__name__}") from error


def _event(path: str, line: bytes) -> Object:
    try:
        event = msgspec.json.decode(line, type=Object)
    except ValueError as error:
        raise ApiAway(f"WATCH {path}: {error}") from error
    if event.get("type") == "ERROR":
        raise ApiAway(f"WATCH {path}: {event.get('object', {}).get('message', 'the server gave up')}")
    return event


@asynccontextmanager
async def watching_api(login: Callable[[], Access]) -> AsyncIterator[WatchingApi]:
    """A client until the body ends. Nothing is connected before it is used."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, connect=CONNECT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield WatchingApi(session, login)
