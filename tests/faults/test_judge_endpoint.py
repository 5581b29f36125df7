"""A judge endpoint that misbehaves, before real worker processes. Each test ends with the account."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web
from asked import AGENT, KEYS, account_when_judged, record_by
from judge_server import black_hole
from processes import Program, program, sidecar
from redis.asyncio import Redis
from told import POLICY, a_session

from sluicegate_cli import offline_judge
from sluicegate_cli.account import Account

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
async def _endpoint(
    answer: Callable[[dict[str, Any]], Awaitable[web.StreamResponse]], port: int = 0
) -> AsyncIterator[str]:
    """A chat completions endpoint of the test's own."""

    async def complete(request: web.Request) -> web.StreamResponse:
        return await answer(await request.json())

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/v1"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _judging(
    valkey_url: str, tmp_path: Path, url: str, contents: Sequence[str], policy: str = POLICY
) -> AsyncIterator[Program]:
    """Records sessions, and has a real worker judge them at that endpoint."""
    (tmp_path / "policy.yaml").write_text(policy)
    async with AsyncExitStack() as stack:
        config = str(tmp_path / "policy.yaml")
        running = await stack.enter_async_context(sidecar(valkey_url, AGENT, config=config))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(running.target))
        for number, content in enumerate(contents):
            assert await record_by(channel, a_session(f"s-{number}", content=content)) == "ACCEPTED"
        settings = {
            "SLUICEGATE_REDIS_URL": valkey_url,
            "SLUICEGATE_AGENT": AGENT,
            "SLUICEGATE_CONFIG": config,
            "SLUICEGATE_ADMIN": "127.0.0.1:0",
            **offline_judge.environment(url),
        }
        yield await stack.enter_async_context(program("judge", settings))


async def _judged(
    valkey_url: str, tmp_path: Path, answer: Misbehaviour, contents: Sequence[str], *, policy: str = POLICY
) -> Account:
    """The account when a worker has judged these sessions at an endpoint that answers so, and nothing waits."""
    async with _endpoint(answer) as url, _judging(valkey_url, tmp_path, url, contents, policy):
        return await account_when_judged(valkey_url)


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


@pytest.mark.parametrize(
    "misbehaviour", [_too_many, _broken, _half, _seven], ids=["429 with Retry-After", "500", "half a JSON", "score 7"]
)
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


@contextmanager
def _nobody() -> Iterator[str]:
    """The URL of an endpoint that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}/v1"


@pytest.mark.parametrize(
    "absent", [pytest.param(_nobody, id="connection refused"), pytest.param(black_hole, id="no answer to a handshake")]
)
async def test_an_endpoint_that_is_away_costs_no_session(
    valkey_url: str, redis: Redis, tmp_path: Path, absent: Callable[[], AbstractContextManager[str]]
) -> None:
    """Sessions wait while there is nobody, and are scored when there is somebody: it was not their fault."""

    async def well(asked: dict[str, Any]) -> web.Response:
        return _completion(json.dumps(offline_judge.answer(asked)))

    policy = POLICY + "  judge: {timeoutSeconds: 1}\n"
    async with AsyncExitStack() as stack:
        with absent() as url:
            worker = await stack.enter_async_context(_judging(valkey_url, tmp_path, url, ["Hello?"] * 3, policy))
            for number in range(3):
                await worker.logs(f"session s-{number} waits for the judge")
        await stack.enter_async_context(_endpoint(well, int(url.rpartition(":")[2].removesuffix("/v1"))))
        account = await account_when_judged(valkey_url)
    assert (account.balanced, account.scored, account.dead_lettered) == (True, 3, 0)


@pytest.mark.parametrize(
    ("status", "told"), [(413, "lower spec.judge.maxTranscriptChars"), (400, "refused")], ids=["413", "400"]
)
async def test_a_session_that_alone_is_refused_is_set_aside(
    valkey_url: str, redis: Redis, tmp_path: Path, status: int, told: str
) -> None:
    """Too long for the endpoint, or filtered by it: a dead letter that says so, and all others are scored."""

    async def refuses_long(asked: dict[str, Any]) -> web.Response:
        if "very long" in asked["messages"][-1]["content"]:
            return web.json_response({"error": {"message": "not this one"}}, status=status)
        return _completion(json.dumps(offline_judge.answer(asked)))

    account = await _judged(valkey_url, tmp_path, refuses_long, ["This is very long.", *["Hello?"] * 5])
    assert (account.balanced, account.scored, account.dead_lettered) == (True, 5, 1)
    ((_, letter),) = await redis.xrange(KEYS.dead)
    assert letter[b"session"] == b"s-0"
    assert told in letter[b"reason"].decode()


async def test_a_setting_that_the_endpoint_does_not_know_costs_no_session(
    valkey_url: str, redis: Redis, tmp_path: Path
) -> None:
    """Every request is refused with 400: it is said, no session is set aside, and all are scored once it is mended."""
    mended = asyncio.Event()

    async def knows_no_limit(asked: dict[str, Any]) -> web.Response:
        if not mended.is_set():
            message = "unknown field max_completion_tokens"
            return web.json_response({"error": {"message": message}}, status=400)
        return _completion(json.dumps(offline_judge.answer(asked)))

    async with (
        _endpoint(knows_no_limit) as url,
        _judging(valkey_url, tmp_path, url, ["Hello?"]) as worker,
    ):
        await worker.logs("refuses every request.*max_completion_tokens")
        assert await redis.xlen(KEYS.dead) == 0
        mended.set()
        account = await account_when_judged(valkey_url)
    assert (account.balanced, account.scored, account.dead_lettered) == (True, 1, 0)
