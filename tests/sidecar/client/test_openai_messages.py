"""Chat messages in OpenAI's form, in every shape in which they are met."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sluicegate.v1 import session_pb2
from sluicegate_client.openai_messages import items

REAL = Path(__file__).parents[4] / "shared/data/tau-airline/conversations.jsonl"
CALL = {"id": "c-1", "type": "function", "function": {"name": "book", "arguments": '{"day": "Monday"}'}}


def message(role: "session_pb2.Role", content: str) -> session_pb2.Item:
    return session_pb2.Item(message=session_pb2.Message(role=role, content=content))


def call(call_id: str = "c-1", name: str = "book", arguments: str = '{"day": "Monday"}') -> session_pb2.Item:
    return session_pb2.Item(function_call=session_pb2.FunctionCall(call_id=call_id, name=name, arguments=arguments))


def output(call_id: str, text: str) -> session_pb2.Item:
    return session_pb2.Item(function_call_output=session_pb2.FunctionCallOutput(call_id=call_id, output=text))


USER, ASSISTANT, SYSTEM = session_pb2.ROLE_USER, session_pb2.ROLE_ASSISTANT, session_pb2.ROLE_SYSTEM


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param({"role": "user", "content": "Hello"}, [message(USER, "Hello")], id="user"),
        pytest.param({"role": "assistant", "content": "Hi"}, [message(ASSISTANT, "Hi")], id="assistant"),
        pytest.param({"role": "system", "content": "Be kind"}, [message(SYSTEM, "Be kind")], id="system"),
        pytest.param({"role": "developer", "content": "Be kind"}, [message(SYSTEM, "Be kind")], id="developer"),
        pytest.param({"role": "assistant", "content": None}, [], id="nothing said"),
        pytest.param({"role": "assistant"}, [], id="no content"),
        pytest.param({"role": "user", "content": ""}, [], id="empty"),
        pytest.param({"role": "assistant", "content": None, "tool_calls": [CALL]}, [call()], id="a call"),
        pytest.param({"role": "assistant", "content": "Hi", "tool_calls": None}, [message(ASSISTANT, "Hi")], id="null"),
        pytest.param(
            {"role": "assistant", "content": "One moment", "tool_calls": [CALL, {"function": {"name": "look"}}]},
            [message(ASSISTANT, "One moment"), call(), call("", "look", "")],
            id="words and two calls",
        ),
        pytest.param(
            {"role": "tool", "tool_call_id": "c-1", "name": "book", "content": "done"},
            [output("c-1", "done")],
            id="tool",
        ),
        pytest.param({"role": "function", "name": "book", "content": "done"}, [output("", "done")], id="function"),
        pytest.param({"role": "tool", "tool_call_id": "c-1", "content": None}, [output("c-1", "")], id="no output"),
        pytest.param(
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            [message(USER, "a\nb")],
            id="parts",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text"}]},
            [],
            id="parts without text",
        ),
        pytest.param({"role": "user", "content": []}, [], id="no parts"),
        pytest.param(
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "ok"}]},
            [output("c", "ok")],
            id="a tool's parts",
        ),
    ],
)
def test_each_shape(told: Mapping[str, Any], expected: list[session_pb2.Item]) -> None:
    """A message becomes its text, if there is any, and then its tool calls, in order."""
    assert items([told]) == expected


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("Hello", "messages[1]: not an object"),
        (None, "messages[1]: not an object"),
        ({}, "messages[1].role: None"),
        ({"role": "wizard", "content": "x"}, "messages[1].role: 'wizard'"),
        ({"role": ["user"], "content": "x"}, "messages[1].role: ['user']"),
        ({"role": "user", "content": 7}, "messages[1].content"),
        ({"role": "user", "content": {"type": "text"}}, "messages[1].content"),
        ({"role": "user", "content": ["Hello"]}, "messages[1].content"),
        ({"role": "tool", "content": 7}, "messages[1].content"),
        ({"role": "assistant", "tool_calls": 5}, "messages[1].tool_calls"),
        ({"role": "assistant", "tool_calls": {"id": "x"}}, "messages[1].tool_calls"),
        ({"role": "assistant", "tool_calls": ["book"]}, "messages[1].tool_calls"),
        ({"role": "assistant", "tool_calls": [{"id": "x"}]}, "messages[1].tool_calls"),
        ({"role": "assistant", "tool_calls": [{"function": "book"}]}, "messages[1].tool_calls"),
        ({"role": "user", "content": "half an emoji: \ud83d"}, "messages[1]"),
    ],
)
def test_a_broken_shape_names_its_message(broken: Any, words: str) -> None:
    """ValueError with the index of the message and the field, and never anything else."""
    with pytest.raises(ValueError) as fault:  # noqa: PT011 - the message is what is looked at
        items([{"role": "user", "content": "Hello"}, broken])
    assert words in str(fault.value)


@pytest.mark.skipif(not REAL.exists(), reason="the recorded conversations are not beside this checkout")
def test_real_conversations() -> None:
    """All recorded conversations are told whole: every text and every call is there, in order."""
    conversations = [json.loads(line)["messages"] for line in REAL.read_text().splitlines()]
    assert len(conversations) == 100
    for messages in conversations:
        told = items(messages)
        texts = [m["content"] for m in messages if m["role"] != "tool" and m["content"]]
        calls = [c["function"]["name"] for m in messages for c in m.get("tool_calls") or ()]
        outputs = [m["content"] for m in messages if m["role"] == "tool"]
        assert [item.message.content for item in told if item.HasField("message")] == texts
        assert [item.function_call.name for item in told if item.HasField("function_call")] == calls
        assert [item.function_call_output.output for item in told if item.HasField("function_call_output")] == outputs
