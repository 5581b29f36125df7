"""The judge's answer, read strictly: what was not offered is a failed judgement, not a score."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sluicegate.policy import Rubric
from sluicegate_sidecar.errors import JudgementFailed

MAX_REASON_CHARS = 1_000
SHOWN_CHARS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Scores and reasons by metric, and what they cost."""

    scores: dict[str, int | None]
    reasons: dict[str, str]
    model: str
    """The model that the response named."""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def after(self, prompt_tokens: int, completion_tokens: int) -> "Verdict":
        """The same verdict, with what failed attempts before it cost."""
        return replace(
            self,
            prompt_tokens=self.prompt_tokens + prompt_tokens,
            completion_tokens=self.completion_tokens + completion_tokens,
        )


def parse(text: str, rubrics: Sequence[Rubric]) -> tuple[dict[str, int | None], dict[str, str]]:
    """Scores and reasons out of the judge's answer; JudgementFailed unless there is exactly one for each rubric."""
    answer = _object(text)
    names = {rubric.name for rubric in rubrics}
    if answer.keys() != names:
        missing, extra = sorted(names - answer.keys()), sorted(answer.keys() - names)
        raise JudgementFailed(f"the judge's answer has other metrics than asked: missing {missing}, extra {extra}")
    scores = {rubric.name: _score(rubric, answer[rubric.name]) for rubric in rubrics}
    return scores, {name: _reason(answer[name]["reason"]) for name in scores}


def _object(text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise JudgementFailed(f"the judge's answer is not JSON ({error}): {text[:SHOWN_CHARS]!r}") from error
    if not isinstance(answer, dict):
        raise JudgementFailed(f"the judge's answer is not an object: {text[:SHOWN_CHARS]!r}")
    return answer


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key given twice is two answers to one question."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key appears twice")
    return dict(pairs)


def _score(rubric: Rubric, given: Any) -> int | None:
    if not isinstance(given, dict) or given.keys() != {"reason", "score"}:
        raise JudgementFailed(f"{rubric.name}: {str(given)[:SHOWN_CHARS]!r} is not a reason and a score")
    score = given["score"]
    if score is None and rubric.applies == "JudgeDecides":
        return None
    if type(score) is not int or not 1 <= score <= 5:
        raise JudgementFailed(f"{rubric.name}: {str(score)[:SHOWN_CHARS]!r} is not a whole number from 1 to 5")
    return score


def _reason(given: Any) -> str:
    """A reason that can be stored: JSON can escape half a character, UTF-8 cannot hold it."""
    return str(given)[:MAX_REASON_CHARS].encode(errors="replace").decode()
