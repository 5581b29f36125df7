"""Chat messages in OpenAI's form, as session items."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sluicegate.v1 import session_pb2

ROLES = {
    "system": session_pb2.ROLE_SYSTEM,
    "developer": session_pb2.ROLE_SYSTEM,
    "user": session_pb2.ROLE_USER,
    "assistant": session_pb2.ROLE_ASSISTANT,
}


def items(messages: Sequence[Mapping[str, Any]]) -> list[session_pb2.Item]:
    """The items of a conversation: a message with tool calls becomes several. ValueError names a message's fault."""
    found: list[session_pb2.Item] = []
    for index, message in enumerate(messages):
        try:
            found += _of_message(index, message)
        except UnicodeEncodeError as error:
            raise ValueError(f"messages[{index}]: no text: {error}") from error
    return found


def _of_message(index: int, message: Mapping[str, Any]) -> Iterator[session_pb2.Item]:
    if not isinstance(message, Mapping):
        raise ValueError(f"messages[{index}]: not an object")
    role = message.get("role")
    content = _text(index, message.get("content"))
    if role in ("tool", "function"):
        call_id = str(message.get("tool_call_id") or "")
        yield session_pb2.Item(function_call_output=session_pb2.FunctionCallOutput(call_id=call_id, output=content))
        return
    if not isinstance(role, str) or role not in ROLES:
        raise ValueError(f"messages[{index}].role: {role!r} is not one of {', '.join(ROLES)}, tool")
    if content:
        yield session_pb2.Item(message=session_pb2.Message(role=ROLES[role], content=content))
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise ValueError(f"messages[{index}].tool_calls: not a list")
    for call in calls:
        yield session_pb2.Item(function_call=_call(index, call))


def _call(index: int, call: Any) -> session_pb2.FunctionCall:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise ValueError(f"messages[{index}].tool_calls: a call without a function")
    return session_pb2.FunctionCall(
        call_id=str(call.get("id") or ""),
        name=str(function.get("name") or ""),
        arguments=str(function.get("arguments") or ""),
    )


def _text(index: int, content: Any) -> str:
    """The text of a message's content, which may be a string, a list of parts, or nothing."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
        return "\n".join(str(part.get("text") or "") for part in content if part.get("type") == "text")
    raise ValueError(f"messages[{index}].content: neither a string nor a list of parts")
