"""The judge behind an endpoint, by way of the real client."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from captured import a_captured, call, output, until, user
from judge_server import AT_ONCE, HANG, JudgeServer, Reply, black_hole, completion, failure, scored

from sluicegate.policy import BUILT_IN_RUBRICS, JudgeSettings, Policy
from sluicegate_sidecar.errors import JudgementFailed, JudgeUnavailable, RequestRefused
from sluicegate_sidecar.judging import openai_judge
from sluicegate_sidecar.judging.openai_judge import OpenAIJudge

SESSION = a_captured()
SCORES = {"task_completion": 4, "tone": 4, "tool_accuracy": None, "response_relevance": 4}
REFUSES_SCHEMA = failure(400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported")
REFUSES_FORMAT = failure(400, "unknown field response_format")
HASTY = Policy(judge=JudgeSettings(timeout=0.2))


@pytest.fixture
async def judge(endpoint: JudgeServer) -> AsyncIterator[OpenAIJudge]:
    subject = OpenAIJudge("key-1", endpoint.url)
    yield subject
    await subject.close()


async def test_a_good_answer_is_a_verdict(endpoint: JudgeServer, judge: OpenAIJudge) -> None:
    """Scores for all metrics, None where one does not apply; reasons, the model that answered, and the cost."""
    verdict, cut = await judge.judge(SESSION, Policy())
    assert verdict.scores == SCORES
    assert list(verdict.scores) == [rubric.name for rubric in BUILT_IN_RUBRICS]
    assert verdict.reasons["tone"] == "why tone"
    assert (verdict.model, verdict.prompt_tokens, verdict.completion_tokens, cut) == (
        "judge-2026-01-01",
        120,
        30,
        False,
    )


async def test_what_is_asked_for(endpoint: JudgeServer, judge: OpenAIJudge) -> None:
    """Model, temperature and limits come from the policy; the schema is strict; each call has a fresh nonce."""
    with_tools = a_captured(items=(user("Book it"), call("book"), output("ok")))
    endpoint.will(completion(scored(tool_accuracy=2)))
    verdict, _ = await judge.judge(with_tools, Policy(judge=JudgeSettings(model="m-1", temperature=0.5)))
    assert verdict.scores["tool_accuracy"] == 2
    await judge.judge(SESSION, Policy(judge=JudgeSettings(temperature=None)))
    first, second = endpoint.requests
    assert (first["model"], first["temperature"]) == ("m-1", 0.5)
    assert "temperature" not in second
    assert first["max_completion_tokens"] == openai_judge.MAX_ANSWER_TOKENS
    asked = first["response_format"]["json_schema"]
    assert asked["strict"] is True
    assert "tool_accuracy" in asked["schema"]["properties"]
    assert "tool_accuracy" not in second["response_format"]["json_schema"]["schema"]["properties"]
    begins = [request["messages"][1]["content"].split("\n")[0] for request in endpoint.requests]
    assert begins[0] != begins[1]


async def test_a_cut_transcript_is_told(judge: OpenAIJudge) -> None:
    """The score of a session that the judge saw in part is marked as such."""
    policy = Policy(judge=JudgeSettings(max_transcript_chars=1000))
    _, cut = await judge.judge(a_captured(items=(user("x" * 5000),)), policy)
    assert cut


async def test_nobody_is_asked_when_nothing_applies(endpoint: JudgeServer, judge: OpenAIJudge) -> None:
    """Only rubrics about tools, and no tools: no call, no score, no cost."""
    policy = Policy(rubrics=tuple(rubric for rubric in BUILT_IN_RUBRICS if rubric.applies == "WhenToolsUsed"))
    verdict, cut = await judge.judge(SESSION, policy)
    assert (verdict.scores, verdict.prompt_tokens, cut) == ({"tool_accuracy": None}, 0, False)
    assert not endpoint.requests


async def test_an_endpoint_may_leave_out_what_is_not_needed(endpoint: JudgeServer, judge: OpenAIJudge) -> None:
    """Without usage and model the verdict stands, under the model that was asked for."""
    message = {"role": "assistant", "content": scored()}
    endpoint.will(
        Reply(json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})),
        completion(scored(), usage={"prompt_tokens": None, "x": 1}, model=None),
    )
    for _ in range(2):
        verdict, _ = await judge.judge(SESSION, Policy())
        assert (verdict.scores, verdict.model, verdict.prompt_tokens) == (SCORES, "gpt-4o-mini", 0)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
async def test_a_passing_failure_is_tried_again(endpoint: JudgeServer, judge: OpenAIJudge, status: int) -> None:
    """The client itself tries again, as often as it is allowed to."""
    endpoint.will(failure(status), failure(status))
    verdict, _ = await judge.judge(SESSION, Policy())
    assert verdict.scores == SCORES
    assert len(endpoint.requests) == 3


async def test_retry_after_is_heeded(
    endpoint: JudgeServer, judge: OpenAIJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a 429 the client waits as long as the endpoint says."""
    waits: list[float] = []

    async def no_wait(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("openai._base_client.anyio.sleep", no_wait)
    endpoint.will(failure(429, headers={"Retry-After": "7"}))
    await judge.judge(SESSION, Policy())
    assert waits == [7.0]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_endpoint_that_goes_on_failing_is_unavailable(
    endpoint: JudgeServer, judge: OpenAIJudge, status: int
) -> None:
    """After the client's own attempts: no verdict, and not the session's fault."""
    endpoint.will(*[failure(status)] * 3)
    with pytest.raises(JudgeUnavailable):
        await judge.judge(SESSION, Policy())
    assert len(endpoint.requests) == 3


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_an_endpoint_that_lets_nobody_in_is_unavailable(
    endpoint: JudgeServer, judge: OpenAIJudge, status: int
) -> None:
    """A wrong key or model is not the session's fault either, and asking again at once is useless."""
    endpoint.will(failure(status))
    with pytest.raises(JudgeUnavailable):
        await judge.judge(SESSION, Policy())
    assert len(endpoint.requests) == 1


async def test_a_refused_connection_is_an_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: unavailable."""
    monkeypatch.setattr(openai_judge, "RETRIES", 0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    judge = OpenAIJudge("k", f"http://127.0.0.1:{port}/v1")
    with pytest.raises(JudgeUnavailable):
        await judge.judge(SESSION, Policy())
    await judge.close()


async def test_a_black_hole_is_an_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake that nobody answers: unavailable, well before the policy's time, and not the session's fault."""
    monkeypatch.setattr(openai_judge, "RETRIES", 0)
    monkeypatch.setattr(openai_judge, "CONNECT_SECONDS", 0.2)
    with black_hole() as url:
        judge = OpenAIJudge("k", url)
        with pytest.raises(JudgeUnavailable, match="no connection"):
            await judge.judge(SESSION, Policy())
        await judge.close()


@pytest.mark.parametrize(
    ("status", "told"),
    [(413, r"lower spec\.judge\.maxTranscriptChars"), (400, "refused the request"), (422, "refused the request")],
)
async def test_a_request_that_is_refused_is_told_apart(
    endpoint: JudgeServer, judge: OpenAIJudge, status: int, told: str
) -> None:
    """Too long, or of a form that the endpoint does not know: asked once, and whose fault it is shows elsewhere."""
    endpoint.will(failure(status, "max_completion_tokens: unknown field"))
    with pytest.raises(RequestRefused, match=told):
        await judge.judge(SESSION, Policy())
    assert len(endpoint.requests) == 1


async def test_a_judge_that_hangs_has_failed(endpoint: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer within the policy's time is a failed judgement that says how long was waited."""
    monkeypatch.setattr(openai_judge, "RETRIES", 0)
    judge = OpenAIJudge("k", endpoint.url)
    endpoint.will(HANG)
    with pytest.raises(JudgementFailed, match=r"within 0\.2 s"):
        await judge.judge(SESSION, HASTY)
    await judge.close()


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply('{"choices": [{"message": {"content": "{'), id="half a JSON"),
        pytest.param(Reply(""), id="nothing"),
        pytest.param(Reply("<html><h1>Bad gateway</h1></html>", content_type="text/html"), id="HTML"),
        pytest.param(Reply("[]"), id="a list"),
        pytest.param(Reply("null"), id="null"),
        pytest.param(Reply("[" * 100_000), id="a deep list"),
        pytest.param(Reply('{"more": ' + "[" * 100_000), id="a deep list beside the rest"),
        pytest.param(Reply('{"error": {"message": "overloaded"}}'), id="an error with status 200"),
        pytest.param(Reply('{"choices": []}'), id="no choices"),
        pytest.param(Reply('{"choices": null}'), id="null choices"),
        pytest.param(Reply('{"choices": "abc"}'), id="choices that are a text"),
        pytest.param(Reply('{"choices": [{}]}'), id="an empty choice"),
        pytest.param(Reply('{"choices": [null]}'), id="a null choice"),
        pytest.param(Reply('{"choices": [{"finish_reason": "stop", "message": null}]}'), id="a null message"),
        pytest.param(completion(None), id="null content"),
        pytest.param(completion(""), id="empty content"),
        pytest.param(completion(4), id="a number as content"),
        pytest.param(completion([{"type": "text", "text": scored()}]), id="content in parts"),
        pytest.param(completion("\ud800"), id="half a character"),
        pytest.param(completion(scored(), model=5), id="a number as model"),
        pytest.param(completion(scored(), usage=7), id="a number as usage"),
        pytest.param(completion(None, refusal="I cannot grade this."), id="refusal"),
        pytest.param(completion(scored(), refusal="I would rather not."), id="refusal beside an answer"),
        pytest.param(completion(scored(), finish_reason="length"), id="length"),
        pytest.param(completion(scored(), finish_reason="content_filter"), id="content filter"),
        pytest.param(completion(scored()[:-20]), id="half an answer"),
        pytest.param(completion(scored(7)), id="score 7"),
        pytest.param(completion(scored("4")), id="score as text"),
        pytest.param(completion(scored(4.0)), id="score 4.0"),
        pytest.param(completion(scored(True)), id="score true"),
        pytest.param(completion(scored(None)), id="null where it is not offered"),
        pytest.param(completion(scored(tool_accuracy=4)), id="a metric that was not asked for"),
        pytest.param(completion('{"tone": {"reason": "r", "score": 4}}'), id="metrics missing"),
        pytest.param(completion(scored()[:-1] + ', "tone": {"reason": "r", "score": 1}}'), id="a metric twice"),
        pytest.param(completion(f"```json\n{scored()}\n```"), id="a fence"),
        pytest.param(failure(400, "the prompt is too long"), id="400"),
        pytest.param(failure(422, "max_completion_tokens: extra fields not permitted"), id="422"),
    ],
)
async def test_what_is_no_verdict_is_a_failed_judgement(
    endpoint: JudgeServer, judge: OpenAIJudge, reply: Reply
) -> None:
    """Never a score, never another error; and the next session is judged as if nothing had been."""
    endpoint.will(reply)
    with pytest.raises(JudgementFailed) as failed:
        await judge.judge(SESSION, Policy())
    assert len(str(failed.value)) < 600
    assert len(endpoint.requests) == 1
    assert (await judge.judge(SESSION, Policy()))[0].scores == SCORES


async def test_an_answer_that_is_no_verdict_was_paid_for(endpoint: JudgeServer, judge: OpenAIJudge) -> None:
    """Its tokens are told with the failure."""
    endpoint.will(completion("no JSON"))
    with pytest.raises(JudgementFailed) as failed:
        await judge.judge(SESSION, Policy())
    assert (failed.value.prompt_tokens, failed.value.completion_tokens) == (120, 30)


def forms(endpoint: JudgeServer) -> list[str]:
    return [request.get("response_format", {}).get("type", "text") for request in endpoint.requests]


@pytest.mark.parametrize("status", [400, 422])
async def test_an_endpoint_without_schemas_is_asked_for_json(
    endpoint: JudgeServer, judge: OpenAIJudge, status: int
) -> None:
    """JSON mode after a refusal of the schema, and from then on at once."""
    endpoint.will(replace(REFUSES_SCHEMA, status=status))
    for _ in range(2):
        assert (await judge.judge(SESSION, Policy()))[0].scores == SCORES
    assert forms(endpoint) == ["json_schema", "json_object", "json_object"]


async def test_an_endpoint_without_json_mode_is_asked_in_plain_text(endpoint: JudgeServer, judge: OpenAIJudge) -> None:
    """Plain text at last, read as strictly."""
    endpoint.will(REFUSES_SCHEMA, REFUSES_FORMAT, completion(f"Sure! {scored()}"))
    with pytest.raises(JudgementFailed, match="not JSON"):
        await judge.judge(SESSION, Policy())
    assert (await judge.judge(SESSION, Policy()))[0].scores == SCORES
    assert forms(endpoint) == ["json_schema", "json_object", "text", "text"]
    endpoint.will(REFUSES_FORMAT)
    with pytest.raises(JudgementFailed, match="refused the request"):
        await judge.judge(SESSION, Policy())


async def test_sessions_judged_together_learn_the_form_together(endpoint: JudgeServer, judge: OpenAIJudge) -> None:
    """Two refusals of the same form at the same time are one step down, not two."""
    endpoint.will(REFUSES_SCHEMA, REFUSES_SCHEMA)
    endpoint.answers.clear()
    both = [asyncio.create_task(judge.judge(SESSION, Policy())) for _ in range(2)]
    await until(lambda: len(endpoint.requests) == 2)
    endpoint.answers.set()
    answers = await asyncio.gather(*both)
    assert [verdict.scores for verdict, _ in answers] == [SCORES, SCORES]
    assert sorted(forms(endpoint)) == ["json_object", "json_object", "json_schema", "json_schema"]


async def test_another_refusal_is_no_reason_for_another_form(endpoint: JudgeServer, judge: OpenAIJudge) -> None:
    """A 400 about something else leaves the schema on."""
    endpoint.will(failure(400, "the prompt is too long", AT_ONCE))
    with pytest.raises(JudgementFailed, match="too long"):
        await judge.judge(SESSION, Policy())
    await judge.judge(SESSION, Policy())
    assert forms(endpoint) == ["json_schema", "json_schema"]
