"""A judge without a model: fixed rules over words, on the same wire as a real one, through the same client.

It is there so that the demo and a first try need no key. It reads what a model would read, the request alone, and so
never learns the variant. Its scores say little about real conversations, and it is named for what it is wherever they
are shown.
"""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

MODEL = "offline-rules (not a model)"
MAX_REQUEST_BYTES = 16 * 1024 * 1024

DONE = re.compile(r"\b(booked|confirmed|all set|cancell?ed|refunded|rescheduled|updated|transferr\w+)\b", re.I)
REFUSED = re.compile(r"\b(cannot|can't|unable|not possible|no idea|don't know)\b", re.I)
KIND = re.compile(r"\b(please|thank|welcome|happy|glad|sorry|certainly|of course|gladly|appreciate)\b", re.I)
RUDE = re.compile(r"\b(whatever|not my problem|hurry up|calm down|as i said|obviously|what do you want)\b", re.I)
UPSET = re.compile(r"\b(useless|ridiculous|wrong|never mind|forget it|terrible|that is not what)\b", re.I)


@dataclass(frozen=True, slots=True)
class Heard:
    """What the rules look at."""

    agent: tuple[str, ...]
    caller: tuple[str, ...]
    calls: int
    tool_errors: int


def heard(transcript: str) -> Heard:
    """The words of a rendered transcript; lines that are not JSON objects say nothing."""
    agent: list[str] = []
    caller: list[str] = []
    calls = errors = 0
    for line in transcript.split("\n"):  # Not splitlines: what is said may hold other line ends.
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if not isinstance(told, dict):
            continue
        if "says" in told:
            (caller if told.get("speaker") == "caller" else agent).append(str(told["says"]))
        calls += "tool_call" in told
        errors += "tool_error" in told
    return Heard(tuple(agent), tuple(caller), calls, errors)


def task_completion(told: Heard) -> tuple[int, str]:
    score = 3 + 2 * any(DONE.search(says) for says in told.agent[-3:])
    score -= any(REFUSED.search(says) for says in told.agent[-3:])
    score -= 2 * any(UPSET.search(says) for says in told.caller[-2:])
    return score, "by words of success or failure near the end"


def tone(told: Heard) -> tuple[int, str]:
    kind = sum(bool(KIND.search(says)) for says in told.agent)
    rude = sum(bool(RUDE.search(says)) for says in told.agent)
    return 3 + min(2, kind) - 2 * rude, f"{kind} kind and {rude} rude answers, by their words"


def tool_accuracy(told: Heard) -> tuple[int, str]:
    return 5 - 2 * told.tool_errors, f"{told.tool_errors} of {told.calls} calls ended in an error"


def response_relevance(told: Heard) -> tuple[int, str]:
    repeats = len(told.agent) - len(set(told.agent))
    curt = sum(len(says.split()) < 4 for says in told.agent)
    return 5 - repeats - (curt + 1) // 2, f"{repeats} answers repeated, {curt} of under four words"


RULES: dict[str, Callable[[Heard], tuple[int, str]]] = {
    rule.__name__: rule for rule in (task_completion, tone, tool_accuracy, response_relevance)
}


def grade(metric: str, told: Heard, transcript: str) -> dict[str, Any]:
    """One metric's score and reason. One session in eight is a point off: judges are not that sure of themselves."""
    if metric not in RULES:
        return {"reason": "fixed rules have no opinion on this metric", "score": 3}
    score, reason = RULES[metric](told)
    digest = hashlib.sha256(f"{metric}\n{transcript}".encode()).digest()
    return {"reason": reason, "score": max(1, min(5, score - (digest[0] < 32)))}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The verdict on a chat completions request of the judge's form."""
    recording = request["messages"][-1]["content"]
    transcript = "\n".join(recording.split("\n")[1:-1])
    metrics = request["response_format"]["json_schema"]["schema"]["required"]
    told = heard(transcript)
    return {metric: grade(metric, told, transcript) for metric in metrics}


async def complete(request: web.Request) -> web.Response:
    """POST /v1/chat/completions."""
    try:
        asked = await request.json()
        text = json.dumps(answer(asked))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        message = f"not a request of the judge's form: {error!r}"
        return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=400)
    return web.json_response(
        {
            "id": "chatcmpl-offline",
            "object": "chat.completion",
            "created": 0,
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": text},
                    "logprobs": None,
                }
            ],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        }
    )


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Serves on a free loopback port; gives the base URL."""
    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/v1"
    finally:
        await runner.cleanup()


def environment(base_url: str) -> dict[str, str]:
    """What makes a judge process use this judge."""
    return {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "offline"}
