"""What surrounds a run: policies, a Redis that is away, resource definitions that come late, probes and a bad start."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from api_server import ApiServer, api_server
from captured import eventually
from operators import Experiments, operator
from processes import Program, program
from redis.asyncio import Redis
from redis_servers import serving
from told import EXPERIMENT, POLICY

from sluicegate.keys import Keys
from sluicegate.policy import Policy
from sluicegate_operator.delivery.snapshot import Delivery

NAME = "warmer-greeting"
SECOND_POLICY = POLICY.replace("name: policy", "name: second").replace("rate: 1.0", "rate: 0.5")
RUNAWAY = POLICY + "  capture: {patterns: [{name: mine, pattern: '(a+)+b'}]}\n"


async def published(redis: Redis, namespace: str) -> Policy | None:
    stored, _, _ = await Delivery(redis, Keys(namespace, "receptionist")).read()
    return stored.policy if stored else None


def ready(cluster: ApiServer, namespace: str, name: str) -> str:
    """The reason of a policy's condition Ready."""
    body = cluster.get(Experiments(cluster, namespace).path(name, "evaluationpolicies")) or {}
    return next((one["reason"] for one in body.get("status", {}).get("conditions", [])), "")


async def test_a_policy_alone_is_published(cluster: ApiServer, valkey_url: str, redis: Redis, namespace: str) -> None:
    """An agent is judged without any experiment; a second policy of the agent is told so and changes nothing."""
    resources = Experiments(cluster, namespace)
    async with operator(cluster, valkey_url, namespace):
        resources.apply(POLICY)

        async def in_force() -> bool:
            policy = await published(redis, namespace)
            return policy is not None and ready(cluster, namespace, "policy") == "InForce"

        await eventually(in_force)
        resources.apply(SECOND_POLICY)

        async def refused() -> bool:
            return ready(cluster, namespace, "second") == "AgentHasPolicy"

        await eventually(refused)
        policy = await published(redis, namespace)
        assert policy is not None
        assert policy.sampling_rate == 1.0


async def test_a_policy_that_only_the_operator_can_refuse(
    cluster: ApiServer, valkey_url: str, redis: Redis, namespace: str
) -> None:
    """A pattern that could run away: nothing starts under it, and what was in force stays in force."""
    resources = Experiments(cluster, namespace)
    async with operator(cluster, valkey_url, namespace):
        resources.apply(RUNAWAY)
        resources.apply(EXPERIMENT)
        await resources.condition(NAME, "Ready", "False", "PolicyInvalid")
        assert await published(redis, namespace) is None
        resources.apply(POLICY + "  capture: {patterns: []}\n")
        await resources.until(NAME, phase="Ramping")
        good = await published(redis, namespace)
        resources.apply(RUNAWAY)

        async def refused() -> bool:
            return ready(cluster, namespace, "policy") == "InvalidPattern"

        await eventually(refused)
        assert await published(redis, namespace) == good
        assert resources.status(NAME)["phase"] == "Ramping"


async def test_a_redis_that_is_away_is_told_of_and_made_up_for(
    cluster: ApiServer, namespace: str, tmp_path: Path
) -> None:
    """A condition says so after a while; once Redis is back, the run goes on with what was asked for meanwhile."""
    resources = Experiments(cluster, namespace)
    async with serving("valkey-9", tmp_path) as running, operator(cluster, running.url, namespace):
        resources.apply(EXPERIMENT)
        await resources.until(NAME, stepText="1/2")
        (server,) = running.servers
        await server.kill()
        resources.annotate(NAME, promote="1/1")
        await resources.condition(NAME, "Ready", "False", "RedisAway", seconds=60)
        await server.start()
        await resources.until(NAME, stepText="2/2", seconds=60)
        await resources.condition(NAME, "Ready", "True", "InForce")


async def test_resource_definitions_may_come_late(tmp_path: Path, valkey_url: str, redis: Redis) -> None:
    """The operator waits for them, says so, and is not alive and idle once they are there."""
    with api_server(tmp_path) as server:
        resources = Experiments(server, server.create_namespace("dental"))
        async with operator(server, valkey_url, "dental") as running:
            await running.logs("waiting for the resource definitions")
            address = (await running.logs(r"metrics on (\S+)"))[1]
            assert await probe(address, "/startupz") == 503
            assert await probe(address, "/livez") == 200
            await asyncio.to_thread(server.install_crds)
            resources.apply(EXPERIMENT)
            await resources.until(NAME, phase="Ramping", seconds=60)
            assert await probe(address, "/startupz") == 200
            # Watched, not only listed: what comes after the start is seen too.
            resources.annotate(NAME, abort="1")
            await resources.until(NAME, phase="RolledBack")


async def test_an_operator_that_waits_ends_when_it_is_told_to(tmp_path: Path, valkey_url: str) -> None:
    """Also while there are no resource definitions."""
    with api_server(tmp_path) as server:
        namespace = server.create_namespace("dental")
        async with operator(server, valkey_url, namespace) as running:
            await running.logs("waiting for the resource definitions")
            assert await running.end() == 0


async def probe(address: str, path: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as reply:
        return reply.status


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"SLUICEGATE_JUDGE_MODE": "inline"}, "SLUICEGATE_JUDGE_MODE"),
        ({"SLUICEGATE_REDIS_URL": "redis://h:port"}, "SLUICEGATE_REDIS_URL"),
        ({"KUBECONFIG": "/nowhere"}, "KUBECONFIG"),
    ],
)
async def test_a_bad_setting_ends_the_start(settings: dict[str, str], told: str) -> None:
    """With the name of the variable, and a code that says that it failed."""
    async with program("operator", {"KUBECONFIG": "/nowhere", **settings}) as running:
        await running.logs(f"error: {told}")
        assert await running.process.wait() == 1


async def test_other_namespaces_are_left_alone(cluster: ApiServer, valkey_url: str, namespace: str) -> None:
    """The operator's work ends where it was told to work."""
    other = cluster.create_namespace(f"{namespace}-b")
    async with operator(cluster, valkey_url, namespace) as running:
        await running.logs("this operator acts")
        Experiments(cluster, other).apply(EXPERIMENT)
        Experiments(cluster, namespace).apply(EXPERIMENT)
        await Experiments(cluster, namespace).until(NAME, phase="Ramping")
        assert Experiments(cluster, other).status(NAME) == {}


async def test_who_may_do_what_is_enough(cluster: ApiServer, valkey_url: str, namespace: str) -> None:
    """Nothing that the operator asks for is forbidden by the rights that it says it needs."""
    resources = Experiments(cluster, namespace)
    async with operator(cluster, valkey_url, namespace) as running:
        resources.apply(f"{POLICY}---\n{EXPERIMENT}")
        await resources.until(NAME, phase="Ramping")
        resources.annotate(NAME, abort="1")
        await resources.until(NAME, phase="RolledBack")
        assert refusals(running) == []


def refusals(running: Program) -> list[str]:
    return [line for line in running.log if "403" in line or "forbidden" in line.lower()]
