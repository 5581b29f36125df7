"""Two replicas that write at the same time, step by step, against a real API server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from injectors import Installation

from sluicegate_operator.cluster.login import from_kubeconfig
from sluicegate_operator.errors import Stale
from sluicegate_operator.injection.certificates import utc_now
from sluicegate_operator.injection.config import Config
from sluicegate_operator.injection.keeper import Keeper
from sluicegate_operator.injection.served import Served
from sluicegate_operator.injection.telemetry import Telemetry
from sluicegate_operator.injection.watching import WatchingApi

Meanwhile = Callable[[], Awaitable[None]]


class Overtaken(WatchingApi):
    """A client before whose first request of some kind somebody else is faster, and that knows what it asked for."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.before = ""
        self.meanwhile: Meanwhile | None = None
        self.methods: set[str] = set()

    async def request(self, method: str, path: str, *args: Any, **query: Any) -> Any:
        self.methods.add(method)
        if method == self.before and self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return await super().request(method, path, *args, **query)


@asynccontextmanager
async def replica(installed: Installation) -> AsyncIterator[tuple[Keeper, Overtaken]]:
    settings = installed.settings()
    kubeconfig = settings.pop("KUBECONFIG")
    async with aiohttp.ClientSession() as session:
        api = Overtaken(session, lambda: from_kubeconfig(installed.api.folder / kubeconfig))
        yield Keeper(api, Config.from_env(settings), Served(), Telemetry(utc_now), utc_now), api


@pytest.mark.parametrize("before", ["PUT", "PATCH"])
async def test_who_comes_second_takes_what_is_there(installed: Installation, before: str) -> None:
    """Of two that fill the Secret, or tell the API server, one is refused; it looks again, and has the other's."""
    async with replica(installed) as (slow, api), replica(installed) as (fast, _):
        api.before, api.meanwhile = before, fast.look
        with pytest.raises(Stale):
            await slow.look()
        filled, told = installed.secret(), installed.trusted()
        assert told == {filled["ca.crt"]}
        await slow.look()
        assert (installed.secret(), installed.trusted()) == (filled, told)
        assert slow.ready.is_set()


async def test_a_look_without_need_writes_nothing(installed: Installation) -> None:
    """As long as all is well, looking changes neither the Secret nor the configuration, nor tries to."""
    async with replica(installed) as (one, asked), replica(installed) as (other, also_asked):
        await one.look()
        asked.methods.clear()
        before = [installed.api.must("GET", path) for path in (installed.secret_path, installed.webhook_path)]
        for keeper in (one, other, one):
            await keeper.look()
        after = [installed.api.must("GET", path) for path in (installed.secret_path, installed.webhook_path)]
        assert after == before
        assert asked.methods == also_asked.methods == {"GET"}
