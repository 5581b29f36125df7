"""A captured session: what goes on the stream, and what the judge works on."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from sluicegate_sidecar.routing.assignment import Attribution

ItemKind = Literal["message", "function_call", "function_call_output", "handoff", "interruption", "error"]
Role = Literal["", "system", "user", "assistant"]


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One thing that happened. Which fields are set depends on `kind`."""

    kind: ItemKind
    at: float = 0.0
    """Unix seconds; 0 where the agent did not say."""
    role: Role = ""
    text: str = ""
    """A message's content, a call's arguments, an output, the agent handed to, or an error."""
    call_id: str = ""
    name: str = ""
    """The function that was called."""
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedSession:
    """A whole session. Times are Unix seconds."""

    session_id: str
    caller_hash: str
    attribution: Attribution | None
    """None: nobody asked for an assignment, or it is forgotten; the session is out of the comparison."""
    sampling_rate: float
    items: tuple[Item, ...]
    started_at: float
    ended_at: float
    end_reason: str
    recorded_day: str
    """The UTC day on which it was acknowledged, YYYY-MM-DD."""

    @property
    def turn_count(self) -> int:
        """How often the caller spoke."""
        return sum(1 for item in self.items if item.kind == "message" and item.role == "user")

    @property
    def used_tools(self) -> bool:
        return any(item.kind == "function_call" for item in self.items)
