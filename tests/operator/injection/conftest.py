"""A real API server that calls Services, for the tests of this folder."""

from collections.abc import Iterator

import pytest
from api_server import ApiServer
from injectors import Installation, Service, routed_api_server


@pytest.fixture(scope="session")
def routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ApiServer, Service]]:
    with routed_api_server(tmp_path_factory.mktemp("routed")) as both:
        yield both


@pytest.fixture
def installed(routed: tuple[ApiServer, Service]) -> Iterator[Installation]:
    """The injector's part of the chart, installed, with nothing running yet."""
    installation = Installation(*routed)
    yield installation
    installation.api.must("DELETE", installation.webhook_path)
