"""The judge's answer, read strictly."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.policy import Rubric
from sluicegate.snapshot import pack
from sluicegate_sidecar.errors import JudgementFailed
from sluicegate_sidecar.judging.verdict import MAX_REASON_CHARS, parse

TONE = Rubric(name="tone", text="t", worst="w", best="b")
EMPATHY = Rubric(name="empathy", text="t", worst="w", best="b", applies="JudgeDecides")
BOTH = (TONE, EMPATHY)


def answer(tone: Any = 4, empathy: Any = 3, **more: Any) -> dict[str, Any]:
    return {"tone": {"reason": "polite", "score": tone}, "empathy": {"reason": "warm", "score": empathy}, **more}


@pytest.mark.parametrize("score", [1, 2, 3, 4, 5])
def test_a_score_that_was_offered_is_taken(score: int) -> None:
    """Whole numbers from 1 to 5, with their reasons, whatever the order of the keys and the white space."""
    told = {"empathy": {"score": score, "reason": "warm"}, "tone": {"score": 1, "reason": "polite"}}
    scores, reasons = parse(f"\n {json.dumps(told, indent=2)}\n", BOTH)
    assert (scores, reasons) == ({"tone": 1, "empathy": score}, {"tone": "polite", "empathy": "warm"})
    assert all(type(value) is int for value in scores.values())


def test_not_applicable_is_taken_where_it_was_offered() -> None:
    """null is an answer only for a metric whose rubric leaves that to the judge."""
    assert parse(json.dumps(answer(empathy=None)), BOTH)[0] == {"tone": 4, "empathy": None}
    with pytest.raises(JudgementFailed, match="tone: 'None' is not a whole number from 1 to 5"):
        parse(json.dumps(answer(tone=None)), BOTH)


@pytest.mark.parametrize(
    "score",
    [
        *("0", "6", "7", "-1", "4.0", "3.5", "1e0", "NaN", "Infinity", "4" * 400, "4e400"),
        *('"4"', '"four"', '""', '"null"', "true", "false", "[4]", "{}"),
    ],
)
@pytest.mark.parametrize("metric", ["tone", "empathy"])
def test_a_score_that_was_not_offered_is_no_score(metric: str, score: str) -> None:
    """Not rounded, not clipped, not read out of a text: the judgement failed, and the metric is named."""
    told = json.dumps(answer(**{metric: "HERE"})).replace('"HERE"', score)
    with pytest.raises(JudgementFailed, match=f"^{metric}: "):
        parse(told, BOTH)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "4",
        '"tone"',
        "{}",
        "{" + json.dumps(answer()) + "}",
        json.dumps(answer())[:-1],
        json.dumps(answer()) + json.dumps(answer()),
        json.dumps(answer()) + " That is my verdict.",
        f"```json\n{json.dumps(answer())}\n```",
        f"Here you are: {json.dumps(answer())}",
        json.dumps({"tone": answer()["tone"]}),
        json.dumps(answer(overall={"reason": "r", "score": 5})),
        json.dumps({"Tone": answer()["tone"], "empathy": answer()["empathy"]}),
        json.dumps(answer(tone=4) | {"tone": 4}),
        json.dumps(answer() | {"tone": None}),
        json.dumps(answer() | {"tone": {"score": 4}}),
        json.dumps(answer() | {"tone": {"reason": "r"}}),
        json.dumps(answer() | {"tone": {"reason": "r", "score": 4, "confidence": 1}}),
        '{"tone": {"reason": "r", "score": 1, "score": 5}, "empathy": {"reason": "r", "score": 5}}',
        json.dumps(answer())[:-1] + ', "tone": {"reason": "r", "score": 5}}',
        "[" * 100_000,
        '{"tone": ' + "[" * 600 + "]" * 600 + ', "empathy": {"reason": "r", "score": 5}}',
        '{"tone": {"reason": "r", "score": ' + "9" * 5000 + '}, "empathy": {"reason": "r", "score": 5}}',
        "\ud800",
        "\ufeff" + json.dumps(answer()),
    ],
)
def test_anything_but_the_object_that_was_asked_for_is_no_verdict(text: str) -> None:
    """Half an object, an object in prose or in a fence, a key twice, a metric too few or too many: all failed."""
    with pytest.raises(JudgementFailed) as failed:
        parse(text, BOTH)
    assert len(str(failed.value)) < 500


def test_reasons_can_be_stored() -> None:
    """A reason is bounded, and half a character in it does not keep the score from the log."""
    told = (
        '{"tone": {"reason": "so \\ud83d warm", "score": 5}, "empathy": {"reason": "' + "ä" * 5000 + '", "score": 2}}'
    )
    scores, reasons = parse(told, BOTH)
    assert scores == {"tone": 5, "empathy": 2}
    assert reasons == {"tone": "so ? warm", "empathy": "ä" * MAX_REASON_CHARS}
    assert pack(reasons)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["tone", "empathy", "reason", "score", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
GRADE = st.fixed_dictionaries({"reason": JSON, "score": st.sampled_from([1, 3, 5, None, 0, 6, 4.0, "4", True]) | JSON})


@given(JSON | st.fixed_dictionaries({"tone": GRADE | JSON, "empathy": GRADE | JSON}))
def test_no_answer_ever_yields_a_score_that_was_not_offered(told: Any) -> None:
    """Whatever the JSON: a verdict with whole numbers from 1 to 5 for what was asked, exactly as told, or a failure."""
    try:
        scores, reasons = parse(json.dumps(told), BOTH)
    except JudgementFailed:
        return
    assert scores == {"tone": told["tone"]["score"], "empathy": told["empathy"]["score"]}
    assert type(scores["tone"]) is int
    assert scores["tone"] in range(1, 6)
    assert scores["empathy"] is None or (type(scores["empathy"]) is int and scores["empathy"] in range(1, 6))
    assert reasons.keys() == scores.keys()


@given(st.text())
def test_no_text_at_all_is_more_than_a_failure(text: str) -> None:
    """Any text is a verdict or a failed judgement, never another error."""
    with pytest.raises(JudgementFailed):
        parse(text, BOTH)
