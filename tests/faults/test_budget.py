"""A judge whose budget is spent: sessions wait, none is lost, and the rest is judged when there is money again."""

from contextlib import AsyncExitStack
from pathlib import Path

import grpc
from captured import eventually
from processes import program, sidecar
from redis.asyncio import Redis
from told import POLICY, a_session

from sluicegate.keys import Keys
from sluicegate.v1 import session_pb2, session_pb2_grpc
from sluicegate_cli import offline_judge
from sluicegate_cli.account import read_account
from sluicegate_sidecar.judging.worker import CONCURRENCY

AGENT = "receptionist"
KEYS = Keys("default", AGENT)
COUNT = 30
LIMIT = 5


async def test_the_budget_of_the_judge_is_spent(valkey_url: str, redis: Redis, tmp_path: Path) -> None:
    """It is overrun by what the worker has in hand and no more; a larger budget in the file lets the rest go on."""
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY + f"  judge: {{budget: {{sessionsPerHour: {LIMIT}}}}}\n")
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(sidecar(valkey_url, AGENT, config=str(file)))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(running.target))
        for number in range(COUNT):
            request = session_pb2.RecordSessionRequest(session=a_session(f"s-{number}"))
            await session_pb2_grpc.SessionServiceStub(channel).RecordSession(request, timeout=30)
        settings = {
            "SLUICEGATE_REDIS_URL": valkey_url,
            "SLUICEGATE_AGENT": AGENT,
            "SLUICEGATE_CONFIG": str(file),
            "SLUICEGATE_ADMIN": "127.0.0.1:0",
            **offline_judge.environment(await stack.enter_async_context(offline_judge.serving())),
        }
        worker = await stack.enter_async_context(program("judge", settings))
        await worker.logs(rf"the judge's budget of {LIMIT} sessions an hour is spent")
        account = await read_account(valkey_url, "default", AGENT)
        print(account)
        assert account.balanced
        assert LIMIT <= account.scored < LIMIT + CONCURRENCY
        assert account.scored + account.waiting == COUNT

        file.write_text(POLICY + "  judge: {budget: {sessionsPerHour: 1000}}\n")

        async def all_scored() -> bool:
            return (await read_account(valkey_url, "default", AGENT)).scored == COUNT

        await eventually(all_scored)
        account = await read_account(valkey_url, "default", AGENT)
        print(account)
        assert account.balanced
