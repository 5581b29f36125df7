"""What the judge is told."""

import hashlib
import json
from dataclasses import replace

from captured import a_captured, agent, call, output, system, user

from sluicegate.policy import BUILT_IN_RUBRICS, Rubric
from sluicegate.revision import PROMPT_REVISION
from sluicegate_sidecar.judging.prompt import answer_schema, asked, messages
from sluicegate_sidecar.judging.transcript import render

TOLD = {
    1: (
        "d014f849c13e76c24e3a13451821c06470f84f651466998f77ad7cce539ac562",
        "baaa0f09676f487c574d82e016986dd294c83be3e1eaf2132b1203ea3123fda2",
        "2bb14751eda3b7e492900e796f8baf107eab08c836f6026a79ba1da36a2f2123",
    ),
}
"""Prompt revision → SHA-256 of the messages, of the answer schema, and of a long transcript as it is cut."""

EMPATHY = Rubric(name="empathy", text="Was it {warm}?", worst="cold", best="warm", applies="JudgeDecides")


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def long_session() -> str:
    turns = [
        (user(f"question {i} " + "q" * 50 * i), call(f"tool_{i}", "a" * 90 * i), output("o" * 70 * i), agent(f"{i}."))
        for i in range(40)
    ]
    text, cut = render(a_captured(items=(system("You are kind."), *(item for turn in turns for item in turn))), 20_000)
    assert cut
    return text


def test_what_the_judge_is_told_changes_with_the_prompt_revision_only() -> None:
    """Scores of different prompts are not comparable: whoever changes what the judge sees raises PROMPT_REVISION.

    A new entry is then added to TOLD; an old one is never changed.
    """
    rubrics = (*BUILT_IN_RUBRICS, EMPATHY)
    told = (
        digest(
            [messages(rubrics, context, "a transcript", "0123456789abcdef") for context in ("", "It books tables.")]
        ),
        digest(answer_schema(rubrics)),
        digest(long_session()),
    )
    assert TOLD.get(PROMPT_REVISION) == told, f"the judge is told something else now: raise PROMPT_REVISION ({told})"


def test_only_rubrics_that_apply_are_asked() -> None:
    """Without tool calls nobody is asked how well tools were used."""
    assert asked(BUILT_IN_RUBRICS, used_tools=True) == BUILT_IN_RUBRICS
    names = [rubric.name for rubric in asked((*BUILT_IN_RUBRICS, EMPATHY), used_tools=False)]
    assert names == ["task_completion", "tone", "response_relevance", "empathy"]


def test_the_transcript_stands_between_marks_that_cannot_be_guessed() -> None:
    """The nonce of the call is in both lines around the recording, and in the rules; nothing else is around it."""
    system_message, user_message = messages(BUILT_IN_RUBRICS, "", "TRANSCRIPT", "n0nce")
    assert (system_message["role"], user_message["role"]) == ("system", "user")
    assert user_message["content"] == "--- recording n0nce begins ---\nTRANSCRIPT\n--- recording n0nce ends ---"
    assert "the mark n0nce" in system_message["content"]
    assert "TRANSCRIPT" not in system_message["content"]


def test_braces_are_text() -> None:
    """Neither a rubric nor a context nor a transcript is a template."""
    system_message, user_message = messages([EMPATHY], "{nonce}", "{names} {0}", "n0nce")
    assert "Was it {warm}?" in system_message["content"]
    assert system_message["content"].endswith("What the agent is for:\n{nonce}")
    assert "{names} {0}" in user_message["content"]


def test_null_is_offered_only_where_the_judge_decides() -> None:
    """The text and the schema offer the same: null for such metrics, by name, and for no other."""
    both = [replace(EMPATHY, name="tone", applies="Always"), EMPATHY]
    assert "null where the metric does not apply (only for empathy)" in messages(both, "", "", "n")[0]["content"]
    assert "null" not in messages(BUILT_IN_RUBRICS, "", "", "n")[0]["content"]
    properties = answer_schema(both)["properties"]
    assert properties["tone"]["properties"]["score"] == {"type": "integer", "enum": [1, 2, 3, 4, 5]}
    assert properties["empathy"]["properties"]["score"] == {"type": ["integer", "null"], "enum": [1, 2, 3, 4, 5, None]}


def test_the_schema_asks_for_a_reason_first_and_for_nothing_more() -> None:
    """Every metric is required, in order, each as a reason before a score; the strict mode of the API takes it."""
    schema = answer_schema(BUILT_IN_RUBRICS)
    assert schema["required"] == list(schema["properties"]) == [rubric.name for rubric in BUILT_IN_RUBRICS]
    assert schema["additionalProperties"] is False
    for grade in schema["properties"].values():
        assert list(grade["properties"]) == grade["required"] == ["reason", "score"]
        assert grade["additionalProperties"] is False
