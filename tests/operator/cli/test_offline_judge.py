"""The offline judge over its real wire, asked by the judge's real client."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from statistics import mean
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sluicegate.policy import Policy, Rubric
from sluicegate_cli import offline_judge
from sluicegate_cli.synthetic_callers import conversation
from sluicegate_sidecar.errors import JudgementFailed
from sluicegate_sidecar.judging.openai_judge import OpenAIJudge
from sluicegate_sidecar.routing.assignment import Attribution
from sluicegate_sidecar.sessions.session import CapturedSession, Item

GOOD = "You are the receptionist of a dental practice."
BAD = "You are the receptionist. Keep calls short and never look into the calendar."
ATTRIBUTION = Attribution(
    experiment="shorter-calls",
    run_id="1",
    variant="curt",
    control="polite-control",
    reason="SPLIT",
    step=0,
    weight=0.1,
    assigned_at=0.0,
)


def items_of(message: dict[str, Any]) -> list[Item]:
    """The captured items of one chat message."""
    if message["role"] == "tool":
        return [Item(kind="function_call_output", text=message["content"])]
    calls = [
        Item(kind="function_call", name=call["function"]["name"], text=call["function"]["arguments"])
        for call in message.get("tool_calls", ())
    ]
    said = [Item(kind="message", role=message["role"], text=message["content"])] if message["content"] else []
    return [*said, *calls]


def a_session(number: int, prompt: str) -> CapturedSession:
    return CapturedSession(
        session_id=f"session-{number}",
        caller_hash="c",
        attribution=ATTRIBUTION,
        sampling_rate=1.0,
        items=tuple(item for message in conversation("judge", number, prompt) for item in items_of(message)),
        started_at=0.0,
        ended_at=1.0,
        end_reason="completed",
        recorded_day="2026-01-01",
    )


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with offline_judge.serving() as url:
        yield url


@pytest.fixture
async def judge(url: str) -> AsyncIterator[OpenAIJudge]:
    judge = OpenAIJudge("offline", url)
    yield judge
    await judge.close()


async def averages(judge: OpenAIJudge, prompt: str, metric: str) -> float:
    verdicts = [(await judge.judge(a_session(n, prompt), Policy()))[0] for n in range(25)]
    assert {verdict.model for verdict in verdicts} == {offline_judge.MODEL}
    assert "not a model" in offline_judge.MODEL
    return mean(score for verdict in verdicts if (score := verdict.scores[metric]) is not None)


@pytest.mark.parametrize(("metric", "at_least", "at_most"), [("task_completion", 4.2, 3.0), ("tone", 4.5, 3.2)])
async def test_good_and_bad_conversations_are_told_apart(
    judge: OpenAIJudge, metric: str, at_least: float, at_most: float
) -> None:
    """Those of a good agent are well over the default floor, those of a careless one under or near it."""
    assert await averages(judge, GOOD, metric) >= at_least
    assert await averages(judge, BAD, metric) <= at_most


async def test_the_same_conversation_gets_the_same_scores(judge: OpenAIJudge) -> None:
    """Its doubt is drawn from the transcript, not from a die."""
    session = a_session(1, GOOD)
    first, second = [(await judge.judge(session, Policy()))[0] for _ in range(2)]
    assert first == second


async def test_a_metric_without_a_rule_gets_the_middle(judge: OpenAIJudge) -> None:
    """A rubric of somebody's own is answered, and the reason says that there is no opinion."""
    policy = replace(Policy(), rubrics=(Rubric(name="empathy", text="?", worst="1", best="5"),))
    verdict, _ = await judge.judge(a_session(1, GOOD), policy)
    assert verdict.scores == {"empathy": 3}
    assert "no opinion" in verdict.reasons["empathy"]


async def test_odd_line_ends_hide_nothing(judge: OpenAIJudge) -> None:
    """What is said may hold line and paragraph separators; the sentence around them is still heard."""
    rude = Item(kind="message", role="assistant", text="Whatever.\u2028Hurry up.\x85That is not my problem.")
    session = replace(a_session(1, GOOD), items=(rude,))
    verdict, _ = await judge.judge(session, Policy())
    assert verdict.scores["tone"] == 1


async def test_the_request_tells_neither_variant_nor_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes to a judge: no name of experiment or variant, no system prompt, no session or caller."""
    bodies: list[str] = []

    async def complete(request: web.Request) -> web.Response:
        bodies.append(await request.text())
        return await original(request)

    original = offline_judge.complete
    monkeypatch.setattr(offline_judge, "complete", complete)
    async with offline_judge.serving() as url:
        judge = OpenAIJudge("offline", url)
        for prompt in (GOOD, BAD):
            await judge.judge(a_session(3, prompt), Policy())
        await judge.close()
    assert len(bodies) == 2
    for body in bodies:
        assert "appointment" in body
        for secret in (GOOD, BAD, "curt", "polite-control", "shorter-calls", "session-3", "SPLIT"):
            assert secret not in body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"7",
        b"null",
        b"{}",
        b'{"messages": []}',
        b'{"messages": "x", "response_format": 1}',
        b'{"messages": [{"content": 7}]}',
        b'{"messages": [{"content": "x"}], "response_format": {"type": "json_object"}}',
        b'{"messages": [{"content": "x"}], "response_format": {"json_schema": {"schema": {"required": [[]]}}}}',
        b'{"messages": [{"content": null}], "response_format": {"json_schema": {"schema": {"required": ["tone"]}}}}',
    ],
)
async def test_garbage_is_refused(url: str, body: bytes) -> None:
    """A request that is not the judge's: 400 with an error in the form of the wire."""
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"{url}/chat/completions", data=body, headers={"Content-Type": "application/json"}) as answer,
    ):
        assert answer.status == 400
        assert json.loads(await answer.text())["error"]["type"] == "invalid_request_error"


async def test_another_form_than_its_own_is_no_verdict(url: str) -> None:
    """A client that is refused down to plain text ends with a failed judgement, not in a loop."""
    judge = OpenAIJudge("offline", url)
    judge._form = "json_object"
    with pytest.raises(JudgementFailed):
        await judge.judge(a_session(1, GOOD), Policy())
    await judge.close()
