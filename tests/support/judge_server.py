"""A judge endpoint that does as it is told: it speaks chat completions over HTTP, well or badly."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

AT_ONCE = {"retry-after-ms": "1"}
"""Headers of a failure after which the client need not wait."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response."""

    body: str
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


HANG = Reply("never sent", status=0)


def scored(score: object = 4, **others: object) -> str:
    """A judge's answer that gives every built-in metric which needs no tools the same score, and `others` theirs."""
    metrics = dict.fromkeys(("task_completion", "tone", "response_relevance"), score) | others
    return json.dumps({name: {"reason": f"why {name}", "score": given} for name, given in metrics.items()})


def completion(content: object, *, finish_reason: str = "stop", refusal: str | None = None, **more: object) -> Reply:
    """A chat completion with this text."""
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return Reply(
        json.dumps(
            {
                "id": "c-1",
                "object": "chat.completion",
                "created": 1,
                "model": "judge-2026-01-01",
                "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
                "usage": {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150},
                **more,
            }
        )
    )


def failure(status: int, message: str = "no", headers: Mapping[str, str] = AT_ONCE) -> Reply:
    return Reply(json.dumps({"error": {"message": message, "type": "t"}}), status=status, headers=headers)


GOOD = completion(scored())


class JudgeServer:
    """Gives the replies that it was told to, in their order, and good ones after those."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.url = ""
        self._replies: list[Reply] = []
        self._closing = asyncio.Event()
        self.answers = asyncio.Event()
        """Cleared, it keeps requests waiting; they are counted as they come in."""
        self.answers.set()

    def will(self, *replies: Reply) -> None:
        self._replies.extend(replies)

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(await request.json())
        await self.answers.wait()
        reply = self._replies.pop(0) if self._replies else GOOD
        if reply is HANG:
            await self._closing.wait()
        return web.Response(
            body=reply.body.encode(errors="surrogatepass"),
            status=reply.status or 503,
            content_type=reply.content_type,
            headers=reply.headers,
        )

    def release(self) -> None:
        """Lets go of the requests that hang."""
        self.answers.set()
        self._closing.set()


@asynccontextmanager
async def judge_server() -> AsyncIterator[JudgeServer]:
    """The endpoint on a free port of this host."""
    server, application = JudgeServer(), web.Application()
    application.router.add_post("/v1/chat/completions", server.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        server.release()
        await runner.cleanup()


@contextmanager
def black_hole() -> Iterator[str]:
    """The URL of an endpoint whose host drops every handshake: its queue is full, and nobody takes anything off it."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        host, port = listener.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((host, port))
        yield f"http://{host}:{port}/v1"
