"""The whole round trip, with real processes, on every kind of Redis that is supported."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from captured import eventually
from processes import Sidecar, program, sidecar
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError
from redis_servers import KINDS, Running, serving
from told import POLICY, says

from sluicegate.keys import Keys
from sluicegate.resources.load import load
from sluicegate.resources.watch import for_agent
from sluicegate.v1 import (
    assignment_pb2,
    assignment_pb2_grpc,
    quality_pb2,
    quality_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
)
from sluicegate_cli import offline_judge
from sluicegate_cli.account import read_account
from sluicegate_cli.replay import Conversation, send
from sluicegate_cli.synthetic_callers import caller_id, conversation
from sluicegate_operator.analysis.scores import Scores
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_operator.rollout.state import RolloutState
from sluicegate_operator.rollout.transitions import Transition
from sluicegate_operator.standalone import Controller
from sluicegate_sidecar.redis_client import connected

AGENT = "receptionist"
KEYS = Keys("default", AGENT)
WARM = "warmer-greeting/1/warm"
DONE_SECONDS = 60.0
NEW = itertools.count(10_000)
VERSIONS = {
    "valkey-9": ("valkey_version", "9."),
    "redis-6.2": ("redis_version", "6.2."),
    "redis-7-tls": ("redis_version", ""),
    "valkey-9-cluster": ("valkey_version", "9."),
}
RESOURCES = """\
apiVersion: sluicegate.dev/v1alpha1
kind: EvaluationPolicy
metadata: {name: policy}
spec:
  agent: receptionist
  sampling: {rate: 0}
---
apiVersion: sluicegate.dev/v1alpha1
kind: Experiment
metadata: {name: warmer-greeting}
spec:
  agent: receptionist
  variants:
    - {name: control, control: true, config: {systemPrompt: "Be polite."}}
    - {name: warm, config: {systemPrompt: "Be warm."}}
  ramp:
    steps: [{weight: 50, minSessions: 10}, {weight: 80, minSessions: 1000}]
    margin: 2
  analysis: {wait: 5s}
  sampling: {rate: 1.0}
"""
GOOD = ("I need an appointment.", "Certainly, with pleasure. You are booked. Thank you, and welcome.")
BAD = ("That is useless. Forget it.", "I cannot do that. Whatever, that is not my problem.")


@pytest.fixture(params=KINDS)
async def every_redis(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Running]:
    """Each kind in turn, empty, and of the version that it claims to be."""
    async with serving(request.param, tmp_path / "redis") as running:
        name, version = VERSIONS[request.param]
        assert (await running.info())[name].startswith(version)
        yield running


@pytest.fixture
async def judge_url() -> AsyncIterator[str]:
    async with offline_judge.serving() as url:
        yield url


def _judge_settings(redis_url: str, judge_url: str, config: str = "") -> dict[str, str]:
    return {
        "SLUICEGATE_REDIS_URL": redis_url,
        "SLUICEGATE_AGENT": AGENT,
        "SLUICEGATE_ADMIN": "127.0.0.1:0",
        "SLUICEGATE_CONFIG": config,
        **offline_judge.environment(judge_url),
    }


class Desk:
    """The controller of the test's resources, and what it told."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        path = folder / "resources.yaml"
        path.write_text(RESOURCES)
        self._own = for_agent(load([path]), "default", AGENT, "")
        self.told: list[Transition] = []
        self._controller = Controller(Delivery(redis, KEYS), Scores(redis, KEYS), self.told.append)

    async def look(self) -> RolloutState:
        state = await self._controller.look(self._own.experiment, self._own.policy, time.time())
        assert state is not None
        return state


class Agent:
    """An agent beside one sidecar, that has calls."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._assignments = assignment_pb2_grpc.AssignmentServiceStub(channel)
        self._sessions = session_pb2_grpc.SessionServiceStub(channel)
        self._quality = quality_pb2_grpc.QualityServiceStub(channel)

    async def assign(self, number: int) -> assignment_pb2.Assignment:
        request = assignment_pb2.AssignRequest(session_id=f"s-{number}", caller_id=f"+1555{number}")
        (assignment,) = (await self._assignments.Assign(request, timeout=10)).assignments
        return assignment

    async def record(self, session_id: str, said: tuple[str, str]) -> session_pb2.RecordSessionResponse:
        items = [says(session_pb2.ROLE_USER, said[0]), says(session_pb2.ROLE_ASSISTANT, said[1])]
        caller_id = f"+1555{session_id.removeprefix('s-')}"
        session = session_pb2.Session(session_id=session_id, caller_id=caller_id, items=items)
        return await self._sessions.RecordSession(session_pb2.RecordSessionRequest(session=session), timeout=20)

    async def calls(self, numbers: range, warm: tuple[str, str]) -> Counter[str]:
        """One call after the other, those of `warm` as said; how many each variant had."""
        variants: Counter[str] = Counter()
        for number in numbers:
            variant = (await self.assign(number)).variant
            answer = await self.record(f"s-{number}", warm if variant == "warm" else GOOD)
            assert (answer.outcome, answer.sampled) == (session_pb2.RECORD_OUTCOME_ACCEPTED, True)
            variants[variant] += 1
        return variants

    async def gates(self) -> quality_pb2.GetGatesResponse:
        return await self._quality.GetGates(quality_pb2.GetGatesRequest(), timeout=10)


async def _judged(redis: Redis) -> None:
    """Returns when nothing waits for a judge; goes on asking while Redis is away."""
    async with asyncio.timeout(DONE_SECONDS):
        while not await _has(redis, 0, KEYS.queue):  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.02)


async def _has(redis: Redis, length: int, stream: str) -> bool:
    try:
        return bool(await redis.xlen(stream) == length)
    except (RedisError, OSError):
        return False


async def test_the_whole_round_trip(every_redis: Running, judge_url: str, tmp_path: Path) -> None:
    """A good variant advances; it turns bad and is halted at every sidecar; gates, run and account say so."""
    url = every_redis.url
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connected(url, KEYS))
        desk = Desk(redis, tmp_path)
        await desk.look()
        first = await stack.enter_async_context(sidecar(url, AGENT))
        second = await stack.enter_async_context(sidecar(url, AGENT))
        await stack.enter_async_context(program("judge", _judge_settings(url, judge_url)))
        agent = Agent(await stack.enter_async_context(grpc.aio.insecure_channel(first.target)))
        other = Agent(await stack.enter_async_context(grpc.aio.insecure_channel(second.target)))

        assert (await agent.calls(range(30), GOOD)).keys() == {"control", "warm"}
        assert (await other.record("s-1", GOOD)).outcome == session_pb2.RECORD_OUTCOME_DUPLICATE
        assert not (await agent.record("no caller", GOOD)).sampled
        await _judged(redis)
        async with asyncio.timeout(DONE_SECONDS):
            while (await desk.look()).step == 0:  # noqa: ASYNC110 - the evidence waits for its time
                await asyncio.sleep(0.1)
        await eventually(lambda: _has_weight(other, 0.8))

        await agent.calls(range(30, 100), BAD)
        await second.program.logs(f"halted: {WARM}")
        assert (await other.assign(1_000)).variant == "control"
        await _judged(redis)
        assert (await desk.look()).phase == "RolledBack"
        told = await other.gates()
        account = await read_account(url, "default", AGENT)
    assert [halt.variant for halt in told.halts] == ["warm"]
    broken = {gate.variant for gate in told.gates if gate.state == quality_pb2.GATE_STATE_BROKEN}
    assert "warm" in broken
    assert "control" not in broken
    assert [transition.kind for transition in desk.told] == ["Started", "Advanced", "RolledBack"]
    assert account.balanced
    assert (account.acknowledged, account.scored, account.not_sampled) == (101, 100, 1)


async def test_a_full_redis_takes_nothing_and_tells_everything(every_redis: Running, tmp_path: Path) -> None:
    """A session is refused by name and taken when there is room; a sidecar that starts meanwhile has the snapshot."""
    url = every_redis.url
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connected(url, KEYS))
        await Desk(redis, tmp_path).look()
        first = await stack.enter_async_context(sidecar(url, AGENT))
        agent = Agent(await stack.enter_async_context(grpc.aio.insecure_channel(first.target)))
        await redis.config_set("maxmemory", 1)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await agent.record("s-1", GOOD)
        second = await stack.enter_async_context(sidecar(url, AGENT))
        other = Agent(await stack.enter_async_context(grpc.aio.insecure_channel(second.target)))
        assert (await other.assign(1)).experiment == "warmer-greeting"
        await redis.config_set("maxmemory", 0)
        assert (await agent.record("s-1", GOOD)).outcome == session_pb2.RECORD_OUTCOME_ACCEPTED
        assert (await read_account(url, "default", AGENT)).balanced
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def _has_weight(agent: Agent, weight: float) -> bool:
    """Asked of a session that is new each time: one that is known keeps what it has."""
    return (await agent.assign(next(NEW))).weight == weight


async def test_the_node_of_a_cluster_that_has_the_agent_is_killed(tmp_path: Path, judge_url: str) -> None:
    """kill -9 of the slot's owner in the middle: it comes back from its file, and the account balances."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(serving("valkey-9-cluster", tmp_path / "redis"))
        redis = await stack.enter_async_context(connected(cluster.url, KEYS))
        running = await stack.enter_async_context(sidecar(cluster.url, AGENT, config=str(policy)))
        settings = _judge_settings(cluster.url, judge_url, str(policy))
        await stack.enter_async_context(program("judge", settings))
        replay = asyncio.create_task(_replay(running, 1_500))
        await eventually(lambda: _scored(redis, 20))
        owner = await cluster.owner(key_slot(KEYS.queue.encode()))
        await owner.kill()
        assert not replay.done()
        await owner.start()
        outcomes = await replay
        await _judged(redis)
        account = await read_account(cluster.url, "default", AGENT)
        print(account)
    # A reply that was lost with the node makes a session a duplicate when it is sent again: kept all the same.
    assert outcomes["accepted, to be judged"] + outcomes["duplicate"] == 1_500
    assert account.balanced
    assert (account.acknowledged, account.scored) == (1_500, 1_500)


async def _scored(redis: Redis, at_least: int) -> bool:
    return bool(await redis.xlen(KEYS.log) >= at_least)


async def _replay(running: Sidecar, count: int) -> Counter[str]:
    prompt = "You are the receptionist of a dental practice."
    calls = [
        Conversation(f"session-{n}", caller_id("cluster", n), conversation("cluster", n, prompt)) for n in range(count)
    ]
    return Counter([outcome async for outcome in send(calls, running.target, 8)])
