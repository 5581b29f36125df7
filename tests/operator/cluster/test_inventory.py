"""Listing what there is, on a real API server: what watching missed is found."""

import ssl
from collections.abc import AsyncIterator

import pytest
from api_server import ADMIN_TOKEN, ApiServer
from operators import Experiments
from told import EXPERIMENT, POLICY

from sluicegate_operator.cluster.api import Access, Api, api
from sluicegate_operator.cluster.inventory import Inventory
from sluicegate_operator.cluster.known import KnownResources
from sluicegate_operator.cluster.queue import AgentKey
from sluicegate_operator.errors import ApiAway, ApiRefused, NotThere, Stale


@pytest.fixture
async def client(cluster: ApiServer) -> AsyncIterator[Api]:
    trust = ssl.create_default_context(cafile=str(cluster.ca_file))
    async with api(lambda: Access(cluster.url, {"Authorization": f"Bearer {ADMIN_TOKEN}"}, trust)) as client:
        yield client


async def test_what_was_missed_is_found(cluster: ApiServer, client: Api, namespace: str) -> None:
    """Created, changed and deleted without a word, as after a watch that was cut off: each agent is named, once."""
    resources, known = Experiments(cluster, namespace), KnownResources()
    inventory = Inventory(client, known, (namespace,))
    await inventory.served()
    resources.apply(EXPERIMENT)
    await inventory.take_all()
    agent = AgentKey(namespace, "receptionist")
    assert known.agents() == {agent}
    assert await inventory.compare() == set()
    resources.annotate("warmer-greeting", abort="1")
    assert await inventory.compare() == {agent}
    resources.apply(POLICY.replace("receptionist", "telephone"))
    assert await inventory.compare() == {AgentKey(namespace, "telephone")}
    resources.delete("warmer-greeting")
    assert await inventory.compare() == {agent}
    assert await inventory.compare() == set()
    assert not known.has(agent)


async def test_refusals_have_names(cluster: ApiServer, client: Api, namespace: str) -> None:
    """Absent, taken and wrong are told apart, and each message says what was asked for."""
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    with pytest.raises(NotThere, match="configmaps/none"):
        await client.get(f"{maps}/none")
    await client.request("POST", maps, {"metadata": {"name": "one"}})
    with pytest.raises(Stale, match="already exists"):
        await client.request("POST", maps, {"metadata": {"name": "one"}})
    with pytest.raises(ApiRefused, match="a lowercase RFC 1123"):
        await client.request("POST", maps, {"metadata": {"name": "One"}})


async def test_a_server_that_is_not_there_is_away(cluster: ApiServer) -> None:
    """Something to try again, and nothing to give up for."""
    nowhere = Access("https://127.0.0.1:1", {}, ssl.create_default_context())
    async with api(lambda: nowhere) as client:
        with pytest.raises(ApiAway, match="GET /version"):
            await client.get("/version")


async def test_an_expired_token_is_read_again(cluster: ApiServer) -> None:
    """The one in the file is new by then."""
    trust = ssl.create_default_context(cafile=str(cluster.ca_file))
    tokens = iter(("expired", ADMIN_TOKEN))
    async with api(lambda: Access(cluster.url, {"Authorization": f"Bearer {next(tokens)}"}, trust)) as client:
        assert "gitVersion" in await client.get("/version")
        assert (await client.get("/api/v1/namespaces/default"))["metadata"]["name"] == "default"
