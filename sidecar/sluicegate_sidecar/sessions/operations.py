"""What is done to a session, as values: the same ones go to Redis at once, or to the spool first and to Redis later.

Each may be applied again: applying it twice leaves what applying it once does.
"""

import msgspec

from sluicegate_sidecar.sessions.session import CapturedSession, Item


class Record(msgspec.Struct, tag="record", frozen=True, kw_only=True):
    """A whole session."""

    session: CapturedSession
    sampled: bool


class Append(msgspec.Struct, tag="append", frozen=True, kw_only=True):
    """The next items of an open session; with none, its start."""

    session: CapturedSession
    """As it started: without items, and with the end still open."""
    sampled: bool
    sequence: int
    """Of the first item; 1 for the first of the session."""
    items: tuple[Item, ...] = ()
    at: float
    """When they were told to us, Unix seconds."""


class Close(msgspec.Struct, tag="close", frozen=True, kw_only=True):
    """The end of an open session."""

    session_id: str
    sequence: int
    """Of the last item; -1 where that is not known, and whatever is kept is the session."""
    end_reason: str
    ended_at: float
    """Unix seconds."""
    idle_since: float = 0.0
    """Close only if nothing came after this time, Unix seconds; 0: in any case."""


Operation = Record | Append | Close


def encode(operation: Operation) -> bytes:
    return msgspec.msgpack.encode(operation)


def decode(packed: bytes) -> Operation:
    """ValueError (msgspec.ValidationError) if it is not an operation."""
    operation: Operation = msgspec.msgpack.decode(packed, type=Operation)
    return operation
