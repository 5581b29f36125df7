"""A judge endpoint that misbehaves, before real worker processes. Each test ends with the account."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web
from processes import program, sidecar
from redis.asyncio import Redis
from told import POLICY, a_session

from sluicegate.keys import Keys
from sluicegate.v1 import session_pb2, session_pb2_grpc
from sluicegate_cli import offline_judge
from sluicegate_cli.account import Account, read_account

AGENT = "receptionist"
KEYS = Keys("default", AGENT)
SECONDS = 100.0

Misbehaviour = Callable[[dict[str, Any]], Awaitable[web.Response]]


def _completion(text: str, **choice: Any) -> web.Response:
    message = {"role": "assistant", "content": text, **choice.pop("message", {})}
    choices = [{"index": 0, "finish_reason": "stop", "message": message, **choice}]
    body = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": choices}
    return web.json_response(body)


def _changed(asked: dict[str, Any], **change: Any) -> web.Response:
    """A good answer, but for one score."""
    verdict = offline_judge.answer(asked)
    verdict["tone"] = {**verdict["tone"], **change}
    return _completion(json.dumps(verdict))


async def _too_many(asked: dict[str, Any]) -> web.Response:
    return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "1"})


async def _broken(asked: dict[str, Any]) -> web.Response:
    return web.json_response({"error": {"message": "out of order"}}, status=500)


async def _half(asked: dict[str, Any]) -> web.Response:
    return _completion(json.dumps(offline_judge.answer(asked))[:-20])


async def _refuses(asked: dict[str, Any]) -> web.Response:
    return _completion("", message={"refusal": "I would rather not."})


async def _cut_off(asked: dict[str, Any]) -> web.Response:
    return _completion(json.dumps(offline_judge.answer(asked)), finish_reason="length")


async def _seven(asked: dict[str, Any]) -> web.Response:
    return _changed(asked, score=7)


async def _text_four(asked: dict[str, Any]) -> web.Response:
    return _changed(asked, score="4")


async def _nothing(asked: dict[str, Any]) -> web.Response:
    return _changed(asked, score=None)


async def _html(asked: dict[str, Any]) -> web.Response:
    return web.Response(text="<html>It works!</html>", content_type="text/html")


@asynccontextmanager
async def _endpoint(answer: Callable[[dict[str, Any]], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A chat completions endpoint of the test's own."""

    async def complete(request: web.Request) -> web.StreamResponse:
        return await answer(await request.json())

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/v1"
    finally:
        await runner.cleanup()


async def _judged(
    valkey_url: str, tmp_path: Path, answer: Misbehaviour, contents: Sequence[str], *, policy: str = POLICY
) -> Account:
    """Records sessions, lets a real worker judge them at that endpoint, and gives the account when nothing waits."""
    (tmp_path / "policy.yaml").write_text(policy)
    async with AsyncExitStack() as stack:
        config = str(tmp_path / "policy.yaml")
        running = await stack.enter_async_context(sidecar(valkey_url, AGENT, config=config))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(running.target))
        for number, content in enumerate(contents):
            request = session_pb2.RecordSessionRequest(session=a_session(f"s-{number}", content=content))
            await session_pb2_grpc.SessionServiceStub(channel).RecordSession(request, timeout=SECONDS)
        url = await stack.enter_async_context(_endpoint(answer))
        settings = {
            "SLUICEGATE_REDIS_URL": valkey_url,
            "SLUICEGATE_AGENT": AGENT,
            "SLUICEGATE_CONFIG": config,
            "SLUICEGATE_ADMIN": "127.0.0.1:0",
            **offline_judge.environment(url),
        }
        await stack.enter_async_context(program("judge", settings))
        async with asyncio.timeout(SECONDS), Redis.from_url(valkey_url) as redis:
            while await redis.xlen(KEYS.queue):  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.05)
        account = await read_account(valkey_url, "default", AGENT)
    print(account)
    return account


GARBAGE: dict[str, Misbehaviour] = {
    kind.__name__: kind for kind in (_half, _refuses, _cut_off, _seven, _text_four, _nothing, _html)
}


async def test_garbage_is_never_a_score(valkey_url: str, redis: Redis, tmp_path: Path) -> None:
    """Each kind of answer that is no verdict makes its session a dead letter with the reason, and never a number."""

    async def garbage(asked: dict[str, Any]) -> web.Response:
        told = asked["messages"][-1]["content"]
        return await next(answer for kind, answer in GARBAGE.items() if f"kind {kind}." in told)(asked)

    contents = [f"Please answer with the kind {kind}." for kind in GARBAGE]
    account = await _judged(valkey_url, tmp_path, garbage, contents)
    assert (account.balanced, account.scored, account.dead_lettered) == (True, 0, len(GARBAGE))
    letters = [fields for _, fields in await redis.xrange(KEYS.dead)]
    assert {letter[b"session"].decode() for letter in letters} == {f"s-{n}" for n in range(len(GARBAGE))}
    assert all(letter[b"reason"] for letter in letters)


@pytest.mark.parametrize("misbehaviour", [_too_many, _broken, _half, _seven])
async def test_an_endpoint_that_recovers_costs_no_session(
    valkey_url: str, redis: Redis, tmp_path: Path, misbehaviour: Misbehaviour
) -> None:
    """The first calls go wrong, the later ones right: every session is scored once, none is set aside."""
    calls: Counter[str] = Counter()

    async def recovers(asked: dict[str, Any]) -> web.Response:
        calls["all"] += 1
        if calls["all"] <= 5:
            return await misbehaviour(asked)
        return _completion(json.dumps(offline_judge.answer(asked)))

    account = await _judged(valkey_url, tmp_path, recovers, ["Hello?"] * 5)
    assert (account.balanced, account.scored, account.dead_lettered) == (True, 5, 0)


async def test_an_endpoint_that_hangs_is_given_up_in_time(valkey_url: str, redis: Redis, tmp_path: Path) -> None:
    """A call that hangs ends at the policy's time limit; the next one is answered, and the session is scored."""
    calls: Counter[str] = Counter()

    async def hangs_once(asked: dict[str, Any]) -> web.Response:
        calls["all"] += 1
        if calls["all"] <= 3:
            await asyncio.Event().wait()
        return _completion(json.dumps(offline_judge.answer(asked)))

    policy = POLICY + "  judge: {timeoutSeconds: 1}\n"
    account = await _judged(valkey_url, tmp_path, hangs_once, ["Hello?"], policy=policy)
    assert (account.balanced, account.scored, account.dead_lettered) == (True, 1, 0)
