"""A small client of the API server: JSON there and back, errors as ours, everything with a limit."""

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from sluicegate_operator.errors import ApiAway, ApiRefused, NotThere, Stale

REQUEST_SECONDS = 15.0
CONNECT_SECONDS = 5.0
CONNECTIONS = 16
PAGE = 500
JSON_PATCH = "application/json-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
GROUP = "/apis/sluicegate.dev/v1alpha1"
API_VERSION = "sluicegate.dev/v1alpha1"
FIELD_MANAGER = "sluicegate-operator"

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Access:
    """How the API server is reached."""

    server: str
    headers: Mapping[str, str]
    trust: ssl.SSLContext


class Api:
    """Requests to one API server. ApiAway: try again; ApiRefused: do not, save where its kind says otherwise."""

    def __init__(self, session: aiohttp.ClientSession, login: Callable[[], Access]) -> None:
        self._session = session
        self._login = login
        self._access = login()

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        **query: str,
    ) -> Object:
        """The body of the answer."""
        sent = None if body is None else msgspec.json.encode(body)
        for attempt in ("as known", "logged in again"):
            headers = {**self._access.headers, "Content-Type": content_type, "Accept": accept}
            try:
                async with self._session.request(
                    method, self._access.server + path, data=sent, params=query, headers=headers, ssl=self._access.trust
                ) as reply:
                    read = await reply.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ApiAway(f"{method} {path}: {str(error) or type(error).__name__}") from error
            # The token of a service account lives for an hour, and a new one lies in its file in time.
            if reply.status == 401 and attempt == "as known":
                self._access = self._login()
                continue
            break
        return _answer(f"{method} {path}", reply.status, read)

    async def get(self, path: str) -> Object:
        """The object; NotThere if there is none."""
        return await self.request("GET", path)

    async def pages(self, path: str, accept: str = "application/json") -> AsyncIterator[list[Object]]:
        """All objects of a list, page by page."""
        query = {"limit": str(PAGE)}
        while True:
            page = await self.request("GET", path, accept=accept, **query)
            # A list of metadata alone that is empty is null, not [].
            yield page.get("items") or []
            following = page.get("metadata", {}).get("continue")
            if not following:
                return
            query["continue"] = following


def _answer(asked: str, status: int, read: bytes) -> Object:
    try:
        body = msgspec.json.decode(read) if read else {}
    except ValueError:
        body = {}
    if status < 300 and isinstance(body, dict):
        return body
    message = body.get("message", "") if isinstance(body, dict) else ""
    told = f"{asked}: {status} {message or read[:200].decode(errors='replace')}"
    match status:
        case 404:
            raise NotThere(status, told)
        case 409:
            raise Stale(status, told)
        # 410: a list that has grown too old between two pages; it is read anew.
        case 401 | 410 | 429:
            raise ApiAway(told)
        case _ if status < 300 or status >= 500:
            raise ApiAway(told)
        case _:
            raise ApiRefused(status, told)


@asynccontextmanager
async def api(login: Callable[[], Access]) -> AsyncIterator[Api]:
    """A client until the body ends. Nothing is connected before it is used."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, connect=CONNECT_SECONDS)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        yield Api(session, login)
