"""A session as the judge reads it: one JSON object a line, long ones cut in the middle."""

import json
from collections.abc import Sequence

from sluicegate_sidecar.sessions.session import CapturedSession, Item

MAX_CUT_CALL_CHARS = 2_000
"""How much of one tool call is kept in the part that is cut."""


def render(session: CapturedSession, max_chars: int) -> tuple[str, bool]:
    """The transcript, and whether it was cut.

    System messages are left out: they differ between the variants, and the judge is not to know the variant. A
    transcript over `max_chars` keeps its head, its tail and, in between, every tool call, as far as that fits.
    """
    items = [item for item in session.items if item.role != "system"]
    lines = [_line(item) for item in items]
    if sum(map(len, lines)) + len(lines) <= max_chars:
        return "\n".join(lines), False
    # No line may take up all of the head or the tail: what is left of it would be a transcript of nothing.
    return "\n".join(_cut(items, [_shortened(line, max_chars // 5) for line in lines], max_chars)), True


def _line(item: Item) -> str:
    match item.kind:
        case "message":
            told = {"speaker": "caller" if item.role == "user" else "agent", "says": item.text}
        case "function_call":
            told = {"tool_call": item.name, "arguments": item.text}
        case "function_call_output":
            told = {"tool_error" if item.is_error else "tool_result": item.text}
        case "handoff":
            told = {"event": "handed over to another agent", "to": item.text}
        case "interruption":
            told = {"event": "the caller interrupted the agent"}
        case "error":
            told = {"event": "error", "message": item.text}
    return json.dumps(told, ensure_ascii=False)


def _cut(items: Sequence[Item], lines: Sequence[str], max_chars: int) -> list[str]:
    """Two fifths of the room for the head, two for the tail, the last one for the tool calls between them."""
    room = max_chars * 2 // 5
    head = _fitting(lines, room)
    tail = _fitting(lines[::-1][: len(lines) - head], room)
    middle = range(head, len(lines) - tail)
    calls = [_shortened(lines[i], MAX_CUT_CALL_CHARS) for i in middle if items[i].kind == "function_call"]
    calls = calls[: _fitting(calls, max_chars // 5)]
    mark = json.dumps({"cut": f"{len(middle)} items were cut here; of these, the tool calls follow: {len(calls)}"})
    return [*lines[:head], mark, *calls, *lines[len(lines) - tail :]]


def _shortened(line: str, room: int) -> str:
    """`line` within `room` characters; a longer one loses its own middle, and is no JSON any more."""
    if len(line) <= room:
        return line
    kept = max(0, room // 2 - 10)
    return f"{line[:kept]} [… cut …] {line[len(line) - kept :]}"


def _fitting(lines: Sequence[str], room: int) -> int:
    """How many of the first lines fit into `room` characters."""
    for count, line in enumerate(lines):
        room -= len(line) + 1
        if room < 0:
            return count
    return len(lines)
