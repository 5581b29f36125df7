"""The demo's callers: made from a seed, and in a form that can be told to a sidecar."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate_cli.synthetic_callers import LAPSE_RATE, caller_id, conversation
from sluicegate_client.openai_messages import items

PROMPTS = [
    "You are the receptionist of a dental practice.",
    "You are the warm receptionist.",
    "Keep calls short and never look into the calendar.",
]


@given(st.text(max_size=20), st.integers(0, 10**6), st.sampled_from(PROMPTS))
def test_the_same_seed_gives_the_same_call(seed: str, number: int, prompt: str) -> None:
    """Nothing is drawn from anywhere else, and every call can be told."""
    messages = conversation(seed, number, prompt)
    assert messages == conversation(seed, number, prompt)
    assert caller_id(seed, number) == caller_id(seed, number)
    assert messages[0] == {"role": "system", "content": prompt}
    assert items(messages)


def test_callers_are_many() -> None:
    """Other numbers and other seeds are other callers."""
    assert len({caller_id(seed, n) for seed in ("a", "b") for n in range(500)}) > 990


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_agent_does_what_its_prompt_says(prompt: str) -> None:
    """It looks into the calendar unless it is told not to, and now and then fails even so."""
    calls = [conversation("seed", n, prompt) for n in range(1_000)]
    looked = [any(m.get("tool_calls") for m in call) for call in calls]
    lapses = sum("no such hour" in str(call) for call in calls) / len(calls)
    assert all(looked) == ("never" not in prompt)
    assert any(looked) == ("never" not in prompt)
    assert LAPSE_RATE / 2 < lapses < LAPSE_RATE * 2 or ("never" in prompt and lapses == 0)
