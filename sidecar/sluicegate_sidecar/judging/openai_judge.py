"""The judge behind an OpenAI-compatible chat completions endpoint. The only place that imports `openai`."""

import secrets
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import openai
from openai import AsyncOpenAI

from sluicegate.policy import Policy
from sluicegate_sidecar.errors import JudgementFailed, JudgeTimeout, JudgeUnavailable, RequestRefused
from sluicegate_sidecar.judging import prompt, verdict
from sluicegate_sidecar.judging.transcript import render
from sluicegate_sidecar.judging.verdict import Verdict
from sluicegate_sidecar.sessions.session import CapturedSession

RETRIES = 2
"""Of one call, by the client: connection errors, 408, 409, 429 and 5xx, heeding Retry-After."""
CONNECT_SECONDS = 5.0
"""For the handshake, out of the policy's time for the whole answer."""
MAX_ANSWER_TOKENS = 2_000
NOBODY_THERE = frozenset({"ConnectTimeout", "PoolTimeout"})
"""Names of the HTTP library's errors for a request that never left; it is not ours, and has had two names."""

TOO_LARGE = 413
SHORTEN = (
    "the session is too long for the judge endpoint (413); lower spec.judge.maxTranscriptChars, or let the endpoint "
    "take more"
)

Form = Literal["json_schema", "json_object", "text"]
NEXT_FORM: dict[Form, Form] = {"json_schema": "json_object", "json_object": "text"}


@dataclass(frozen=True, slots=True)
class Message:
    """What was answered."""

    content: str | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer, and why it ended."""

    message: Message
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What it cost."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What is read of a chat completion; endpoints leave out or add the rest."""

    choices: tuple[Choice, ...] | None = None
    model: str | None = None
    usage: Usage | None = None


class OpenAIJudge:
    """One call scores all rubrics. Endpoint and key come from the environment (`OPENAI_BASE_URL`, `OPENAI_API_KEY`).

    Structured output is asked for by JSON schema; an endpoint that refuses it is asked for JSON, then for plain text,
    and the answer is parsed as strictly in each case.
    """

    def __init__(self, api_key: str, base_url: str | None) -> None:
        self._client = AsyncOpenAI(api_key=api_key, base_url=base_url, max_retries=RETRIES)
        self._form: Form = "json_schema"

    async def judge(self, session: CapturedSession, policy: Policy) -> tuple[Verdict, bool]:
        """The verdict on a session, and whether its transcript was cut for it.

        JudgementFailed: the answer is no verdict; RequestRefused, one of these: there is none to such a request;
        JudgeUnavailable: there was no answer.
        """
        rubrics = prompt.asked(policy.rubrics, used_tools=session.used_tools)
        if not rubrics:
            return Verdict(scores=dict.fromkeys(policy.metrics[1:]), reasons={}, model=policy.judge.model), False
        transcript, cut = render(session, policy.judge.max_transcript_chars)
        request: dict[str, Any] = {
            "model": policy.judge.model,
            "messages": prompt.messages(rubrics, policy.judge.context, transcript, secrets.token_hex(8)),
            "max_completion_tokens": MAX_ANSWER_TOKENS,
            "timeout": openai.Timeout(policy.judge.timeout, connect=min(policy.judge.timeout, CONNECT_SECONDS)),
        }
        if policy.judge.temperature is not None:
            request["temperature"] = policy.judge.temperature
        completion = _completion(await self._complete(request, prompt.answer_schema(rubrics)))
        usage = completion.usage or Usage()
        try:
            scores, reasons = verdict.parse(_text(completion), rubrics)
        except JudgementFailed as error:
            raise JudgementFailed(str(error), usage.prompt_tokens or 0, usage.completion_tokens or 0) from error
        return Verdict(
            scores={rubric.name: scores.get(rubric.name) for rubric in policy.rubrics},
            reasons=reasons,
            model=completion.model or policy.judge.model,
            prompt_tokens=usage.prompt_tokens or 0,
            completion_tokens=usage.completion_tokens or 0,
        ), cut

    async def _complete(self, request: dict[str, Any], schema: dict[str, Any]) -> bytes:
        """The body of one completion, in the best form that the endpoint takes."""
        while True:
            form = self._form
            try:
                # Raw: the client would take any JSON for a completion, and its fields for what they should be.
                create = self._client.chat.completions.with_raw_response.create
                response = await create(**request, **_response_format(form, schema))
                return bytes(response.content)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if form not in NEXT_FORM or "response_format" not in str(error):
                    raise RequestRefused(f"the judge endpoint refused the request: {error}") from error
                self._form = NEXT_FORM[form]
            except openai.APITimeoutError as error:
                if type(error.__cause__).__name__ in NOBODY_THERE:
                    raise JudgeUnavailable("no connection to the judge endpoint in time") from error
                raise JudgeTimeout(f"the judge did not answer within {request['timeout'].read} s") from error
            except openai.OpenAIError as error:
                if getattr(error, "status_code", None) == TOO_LARGE:
                    raise RequestRefused(f"{SHORTEN}: {error}") from error
                raise JudgeUnavailable(f"no answer from the judge endpoint: {error}", _retry_after(error)) from error

    async def close(self) -> None:
        await self._client.close()


def _retry_after(error: openai.OpenAIError) -> float:
    """Seconds of the Retry-After header, 0 without one; a date, which it may be too, is left to the breaker's wait."""
    response = getattr(error, "response", None)
    told = response.headers.get("retry-after", "") if response is not None else ""
    return float(told) if told.isascii() and told.isdigit() else 0.0


def _response_format(form: Form, schema: dict[str, Any]) -> dict[str, Any]:
    match form:
        case "json_schema":
            named = {"name": "verdict", "strict": True, "schema": schema}
            return {"response_format": {"type": "json_schema", "json_schema": named}}
        case "json_object":
            return {"response_format": {"type": "json_object"}}
        case "text":
            return {}


def _completion(body: bytes) -> Completion:
    try:
        return msgspec.json.decode(body, type=Completion)
    except (msgspec.MsgspecError, RecursionError) as error:
        shown = body[: verdict.SHOWN_CHARS]
        raise JudgementFailed(f"the judge endpoint's response is not a completion ({error}): {shown!r}") from error


def _text(completion: Completion) -> str:
    """The answer's text; JudgementFailed if it was refused, filtered, cut off or empty."""
    if not completion.choices:
        raise JudgementFailed("the judge's response has no choices")
    choice = completion.choices[0]
    if choice.message.refusal:
        raise JudgementFailed(f"the judge refused: {choice.message.refusal[: verdict.SHOWN_CHARS]!r}")
    if choice.finish_reason != "stop":
        raise JudgementFailed(f"the judge's answer ended for another reason than its end: {choice.finish_reason!r}")
    if not choice.message.content:
        raise JudgementFailed("the judge's answer is empty")
    return choice.message.content
