"""A judge endpoint that can be told to misbehave."""

from collections.abc import AsyncIterator

import pytest
from judge_server import JudgeServer, judge_server


@pytest.fixture
async def endpoint() -> AsyncIterator[JudgeServer]:
    async with judge_server() as server:
        yield server
