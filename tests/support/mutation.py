"""Messages that no stub would send: seeded mutations of valid ones, and valid ones with the strangest contents."""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from sluicegate.v1 import assignment_pb2, quality_pb2, session_pb2

MAX_NESTING = 4
FULL_ID = 256

STRANGE_TEXTS = (
    "",
    "\x00",
    "a\r\nb: injected",
    "\x1b[31m\x07",
    "\u202egnp.exe",
    "{default/receptionist}:queue",
    "}{*?[",
    "sg1:{default/receptionist}:account",
    "é" * (FULL_ID // 2),
    "é" * (FULL_ID // 2) + "x",
    "x" * FULL_ID,
    "x" * (FULL_ID + 1),
    "\U0010ffff\ufeff\u2028",
    "%s %d {0} ${HOME} $(id)",
    "18446744073709551615-1",
    "18446744073709551616-0",
    "0-0",
    "receptionist",
    "thumb",
)
STRANGE_WHOLE = (0, 1, 2, -1, 500, 501, 2_000, 2**31 - 1, -(2**31), 253_402_300_800, 2**53 + 1, 2**63 - 1, -(2**63))
STRANGE_REAL = (0.0, -0.0, 1.0, -1e9, 1e9, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"))


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC: its path, what it takes, and a request that an agent would send."""

    path: str
    takes: type[Message]
    ordinary: Callable[[random.Random], Message]
    streams: bool = False

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def an_id(rng: random.Random) -> str:
    """A session id: one of a few that all share, or one of its own."""
    return f"s-{rng.randrange(50)}" if rng.random() < 0.2 else f"s-{rng.getrandbits(48):x}"


def an_item(rng: random.Random) -> session_pb2.Item:
    said = session_pb2.Message(role=session_pb2.ROLE_USER, content=rng.choice(("Hello?", "I am sorry.", "x" * 300)))
    return rng.choice(
        (
            session_pb2.Item(message=said),
            session_pb2.Item(function_call=session_pb2.FunctionCall(call_id="c", name="book", arguments="{}")),
            session_pb2.Item(function_call_output=session_pb2.FunctionCallOutput(call_id="c", output="done")),
            session_pb2.Item(interruption=session_pb2.Interruption()),
        )
    )


def an_assignment_request(rng: random.Random) -> Message:
    caller = f"+1555{rng.randrange(1000):04}"
    return assignment_pb2.AssignRequest(session_id=an_id(rng), caller_id=caller, attributes={"tier": "gold"})


def a_recording(rng: random.Random) -> Message:
    session = session_pb2.Session(session_id=an_id(rng), caller_id="+15550001", end_reason=session_pb2.END_REASON_ERROR)
    session.items.extend(an_item(rng) for _ in range(rng.randint(1, 4)))
    return session_pb2.RecordSessionRequest(session=session)


def feedback(rng: random.Random) -> Message:
    return session_pb2.RecordFeedbackRequest(session_id=an_id(rng), name="thumb", value=rng.random(), comment="good")


def a_page(rng: random.Random) -> Message:
    token = f"{rng.randrange(2**40)}-0" if rng.random() < 0.5 else ""
    return quality_pb2.ListResultsRequest(experiment="warmer-greeting", page_size=rng.randrange(500), page_token=token)


def an_event(rng: random.Random) -> Message:
    """An event in the middle of a stream."""
    sequence = rng.randint(1, 4)
    if rng.random() < 0.15:
        return session_pb2.SessionEvent(sequence=sequence, end=session_pb2.SessionEnd())
    return session_pb2.SessionEvent(sequence=sequence, item=an_item(rng))


RPCS = (
    Rpc("/sluicegate.v1.AssignmentService/Assign", assignment_pb2.AssignRequest, an_assignment_request),
    Rpc("/sluicegate.v1.SessionService/RecordSession", session_pb2.RecordSessionRequest, a_recording),
    Rpc("/sluicegate.v1.SessionService/RecordFeedback", session_pb2.RecordFeedbackRequest, feedback),
    Rpc("/sluicegate.v1.QualityService/GetGates", quality_pb2.GetGatesRequest, lambda _: quality_pb2.GetGatesRequest()),
    Rpc(
        "/sluicegate.v1.QualityService/GetReport",
        quality_pb2.GetReportRequest,
        lambda _: quality_pb2.GetReportRequest(experiment="warmer-greeting"),
    ),
    Rpc("/sluicegate.v1.QualityService/ListResults", quality_pb2.ListResultsRequest, a_page),
    Rpc("/sluicegate.v1.SessionService/StreamSession", session_pb2.SessionEvent, an_event, streams=True),
)


def message(rpc: Rpc, rng: random.Random) -> bytes:
    """One serialized request: half of them mutated, a third strange, the others as an agent would send them."""
    lot = rng.random()
    if lot < 0.33:
        return strange(rpc.takes, rng).SerializeToString()
    whole = rpc.ordinary(rng).SerializeToString()
    return mutated(whole, rng) if lot < 0.83 else whole


def stream(rpc: Rpc, rng: random.Random) -> list[bytes]:
    """The events of one stream, most of which begin as they should."""
    start = session_pb2.SessionEvent(start=session_pb2.SessionStart(session_id=an_id(rng), caller_id="+15550001"))
    first = [start.SerializeToString()] if rng.random() < 0.8 else []
    in_order = [
        session_pb2.SessionEvent(sequence=number, item=an_item(rng)).SerializeToString()
        for number in range(1, rng.randint(1, 4))
    ]
    return [*first, *in_order, *(message(rpc, rng) for _ in range(rng.randint(1, 4)))]


def strange(takes: type[Message], rng: random.Random, depth: int = 0) -> Message:
    """A valid message, each of its fields absent or with something on the edge of what its type can hold."""
    made = takes()
    for field in made.DESCRIPTOR.fields:
        if rng.random() < 0.7:
            _fill(made, field, rng, depth)
    return made


def _fill(made: Message, field: Any, rng: random.Random, depth: int) -> None:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        for _ in range(rng.choice((0, 1, 32, 33))):
            getattr(made, field.name)[rng.choice(STRANGE_TEXTS) + str(rng.random())] = rng.choice(STRANGE_TEXTS)
    elif kind is not None and depth < MAX_NESTING:
        inner: type[Message] = message_factory.GetMessageClass(kind)
        several = getattr(made, field.name) if field.is_repeated else None
        for _ in range(rng.randint(1, 3) if several is not None else 1):
            target = several.add() if several is not None else getattr(made, field.name)
            target.CopyFrom(strange(inner, rng, depth + 1))
    elif kind is None:
        setattr(made, field.name, _strange_value(field, rng))


def _strange_value(field: Any, rng: random.Random) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            # Any other agent ends the call before it is looked at.
            if field.name == "agent" and rng.random() < 0.8:
                return "receptionist"
            return rng.choice(STRANGE_TEXTS)
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return rng.choice(STRANGE_REAL)
        case FieldDescriptor.CPPTYPE_BOOL:
            return rng.random() < 0.5
        case FieldDescriptor.CPPTYPE_INT64:
            return rng.choice(STRANGE_WHOLE)
        case _:
            return rng.choice([number for number in STRANGE_WHOLE if -(2**31) <= number < 2**31])


def mutated(whole: bytes, rng: random.Random) -> bytes:
    """The message after one to three mutations."""
    for _ in range(rng.randint(1, 3)):
        whole = rng.choice(MUTATIONS)(whole, rng)
    return whole


def varint(number: int) -> bytes:
    """The number as protobuf writes it; negative ones as 64 bits."""
    number &= 2**64 - 1
    packed = bytearray()
    while number > 0x7F:
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    packed.append(number)
    return bytes(packed)


def _cut(whole: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    at = rng.randint(0, len(whole))
    return whole[:at], whole[at:]


def flip(whole: bytes, rng: random.Random) -> bytes:
    changed = bytearray(whole)
    for _ in range(rng.randint(1, 4) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(whole: bytes, rng: random.Random) -> bytes:
    return _cut(whole, rng)[0]


def splice(whole: bytes, rng: random.Random) -> bytes:
    """Head and tail of two places of the same message: something is left out, or there twice."""
    return _cut(whole, rng)[0] + _cut(whole, rng)[1]


def insert(whole: bytes, rng: random.Random) -> bytes:
    """Random bytes in the middle."""
    head, tail = _cut(whole, rng)
    return head + rng.randbytes(rng.randint(1, 16)) + tail


def lie_about_length(whole: bytes, rng: random.Random) -> bytes:
    """A field that says it is longer than the message, up to what overflows."""
    length = rng.choice((len(whole) + 1, 2**31 - 1, 2**31, 2**32, 2**63))
    return whole + varint(rng.randint(1, 8) << 3 | 2) + varint(length) + b"short"


def huge_varint(whole: bytes, rng: random.Random) -> bytes:
    """A number of ten bytes and more, or one on the edge."""
    number = rng.choice((b"\xff" * rng.choice((9, 10, 11)) + b"\x01", varint(rng.choice(STRANGE_WHOLE))))
    return whole + varint(rng.randint(1, 8) << 3) + number


def repeat(whole: bytes, rng: random.Random) -> bytes:
    """The same fields again and again: the last one counts, and lists grow."""
    return whole * rng.choice((2, 3, 20))


def unknown_field(whole: bytes, rng: random.Random) -> bytes:
    content = rng.randbytes(rng.randint(0, 32))
    return whole + varint(rng.choice((9, 100, 19_000, 2**29 - 1)) << 3 | 2) + varint(len(content)) + content


def bad_utf8(whole: bytes, rng: random.Random) -> bytes:
    """A text that is none: an overlong form, a surrogate, half a character."""
    content = rng.choice((b"\xc0\x80", b"\xed\xa0\x80", b"caf\xc3", b"\xff\xfe", b"\xf4\x90\x80\x80"))
    return whole + varint(rng.randint(1, 5) << 3 | 2) + varint(len(content)) + content


def nest(whole: bytes, rng: random.Random) -> bytes:
    """Groups or messages in each other, deeper than any parser should go."""
    depth = rng.choice((10, 99, 101, 5_000))
    number = rng.randint(1, 8)
    if rng.random() < 0.5:
        return whole + varint(number << 3 | 3) * depth + varint(number << 3 | 4) * depth
    inner = b""
    for _ in range(min(depth, 300)):
        inner = varint(number << 3 | 2) + varint(len(inner)) + inner
    return whole + inner


def strange_double(whole: bytes, rng: random.Random) -> bytes:
    return whole + varint(rng.randint(1, 8) << 3 | 1) + struct.pack("<d", rng.choice(STRANGE_REAL))


def strange_time(whole: bytes, rng: random.Random) -> bytes:
    """A timestamp before 1970 or after the end of calendars, with more nanoseconds than a second has."""
    stamp = b"\x08" + varint(rng.choice(STRANGE_WHOLE)) + b"\x10" + varint(rng.choice((-1, 2**31 - 1, 10**9)))
    return whole + varint(rng.choice((1, 2, 5, 6)) << 3 | 2) + varint(len(stamp)) + stamp


def empty(whole: bytes, rng: random.Random) -> bytes:
    return b""


MUTATIONS = (
    *(flip, truncate, splice, insert, lie_about_length, huge_varint, repeat, unknown_field, bad_utf8, nest),
    *(strange_double, strange_time, empty),
)
