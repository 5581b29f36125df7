"""What all tests share: a real Redis, started once, emptied for each test, and a real Kubernetes API server."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from api_server import ApiServer, api_server
from redis.asyncio import Redis
from redis_servers import KINDS, serving

from sluicegate.keys import Keys
from sluicegate_sidecar.redis_client import connected

KEYS = Keys("default", "receptionist")
"""The keys of most tests: on a cluster, those that a client is for."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--redis", choices=KINDS, default=KINDS[0], help="the kind of Redis that tests share")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def valkey_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of a Redis on a free port, append-only as in production."""
    async with serving(request.config.getoption("--redis"), tmp_path_factory.mktemp("redis")) as running:
        yield running.url


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Redis."""
    async with connected(valkey_url, KEYS) as client:
        await client.flushall()
        yield client


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A Kubernetes API server with our kinds, without a node, for as long as the tests run."""
    with api_server(tmp_path_factory.mktemp("cluster")) as server:
        server.install_crds()
        yield server


@pytest.fixture
def namespace(cluster: ApiServer) -> str:
    """A namespace of the test's own."""
    return cluster.create_namespace(f"t-{uuid.uuid4().hex[:12]}")
