"""Recorded conversations: read strictly, and sent until somebody answers."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import grpc
import pytest

from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc, session_pb2, session_pb2_grpc
from sluicegate_cli import replay
from sluicegate_cli.replay import MAX_LINE_BYTES, Conversation, read, send

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "conversations.jsonl"


def line(**told: Any) -> str:
    return json.dumps({"messages": HELLO, **told}) + "\n"


def test_ids_come_from_the_file(file: Path) -> None:
    """The conversation's id, the session's, or the line's number; the caller's, or the session's without the prefix."""
    file.write_text(
        line(conversation_id="c-1", session_id="s-1", caller_id="+1") + "\n" + line(session_id="s-2") + line()
    )
    assert read(file, "run-2/") == [
        Conversation("run-2/c-1", "+1", HELLO),
        Conversation("run-2/s-2", "s-2", HELLO),
        Conversation("run-2/line-4", "line-4", HELLO),
    ]


@pytest.mark.parametrize("text", ["", "\n", "\n  \n\r\n"])
def test_an_empty_file_is_no_conversations(file: Path, text: str) -> None:
    """Nothing to send is no error."""
    file.write_text(text)
    assert read(file, "") == []


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", '"messages" is needed'),
        ('{"id": 1}', '"messages" is needed'),
        ('{"messages": "Hello"}', '"messages" is needed'),
        ('{"messages": null}', '"messages" is needed'),
        ('{"messages": [{"role": "wizard"}]}', "messages[0].role"),
        ('{"messages": [7]}', "messages[0]"),
        ('{"messages": [{"role": "user", "content": "\\ud83d"}]}', "messages[0]"),
        ('{"messages": [], "caller_id": "\\ud83d"}', "surrogates"),
        ('{"messages": [], "conversation_id": "\\ud83d"}', "surrogates"),
    ],
)
def test_a_broken_line_is_named(file: Path, broken: str, words: str) -> None:
    """File, number of the line, and the fault."""
    file.write_text(f"{line()}\n{broken}\n{line()}")
    with pytest.raises(click.ClickException) as refused:
        read(file, "")
    assert f"{file}:3: " in refused.value.message
    assert words in refused.value.message
    assert "nothing was sent" in refused.value.message


def test_all_broken_lines_are_named(file: Path) -> None:
    """Whoever mends a file wants to do so once."""
    file.write_bytes(b"{\n" + line().encode() + b"\xff\xfe\n7\n")
    with pytest.raises(click.ClickException) as refused:
        read(file, "")
    for number in (1, 3, 4):
        assert f"{file}:{number}: " in refused.value.message
    assert f"{file}:2: " not in refused.value.message


def test_a_line_has_a_limit(file: Path) -> None:
    """A line at the limit is read; one byte more is refused by its size."""
    rest = len(line(padding=""))
    file.write_text(line(padding="x" * (MAX_LINE_BYTES - rest + 1)))
    assert len(read(file, "")) == 1
    file.write_text(line(padding="x" * (MAX_LINE_BYTES - rest + 2)))
    with pytest.raises(click.ClickException, match=f"{MAX_LINE_BYTES + 1} bytes"):
        read(file, "")


FULL = grpc.StatusCode.RESOURCE_EXHAUSTED


class Sidecar(assignment_pb2_grpc.AssignmentServiceServicer, session_pb2_grpc.SessionServiceServicer):
    """Fails the first calls of each session with these codes, and then records."""

    def __init__(self, *codes: grpc.StatusCode, in_assign: bool = False) -> None:
        self.codes = codes
        self.in_assign = in_assign
        self.asked: Counter[str] = Counter()
        self.recorded: dict[str, session_pb2.Session] = {}
        self.calls = 0

    async def Assign(self, request: assignment_pb2.AssignRequest, context: Any) -> assignment_pb2.AssignResponse:
        if self.in_assign:
            await self._fail(request.session_id, context)
        return assignment_pb2.AssignResponse()

    async def RecordSession(
        self, request: session_pb2.RecordSessionRequest, context: Any
    ) -> session_pb2.RecordSessionResponse:
        self.calls += 1
        if not self.in_assign:
            await self._fail(request.session.session_id, context)
        known = request.session.session_id in self.recorded
        self.recorded.setdefault(request.session.session_id, request.session)
        outcome = session_pb2.RECORD_OUTCOME_DUPLICATE if known else session_pb2.RECORD_OUTCOME_ACCEPTED
        return session_pb2.RecordSessionResponse(outcome=outcome, sampled=request.session.session_id != "unsampled")

    def StreamSession(self, request_iterator: Any, context: Any) -> Any:
        raise NotImplementedError("a replay tells whole sessions")

    def RecordFeedback(self, request: session_pb2.RecordFeedbackRequest, context: Any) -> Any:
        raise NotImplementedError("a replay has no feedback")

    async def _fail(self, session_id: str, context: Any) -> None:
        self.asked[session_id] += 1
        if self.asked[session_id] <= len(self.codes):
            await context.abort(self.codes[self.asked[session_id] - 1], "not now")


@asynccontextmanager
async def serving(sidecar: Sidecar) -> AsyncIterator[str]:
    server = grpc.aio.server()
    assignment_pb2_grpc.add_AssignmentServiceServicer_to_server(sidecar, server)  # type: ignore[no-untyped-call,unused-ignore]
    session_pb2_grpc.add_SessionServiceServicer_to_server(sidecar, server)  # type: ignore[no-untyped-call,unused-ignore]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def sent(sidecar: Sidecar, *session_ids: str, concurrency: int = 3) -> Counter[str]:
    conversations = [Conversation(session_id, "caller", HELLO) for session_id in session_ids]
    async with serving(sidecar) as target:
        return Counter([outcome async for outcome in send(conversations, target, concurrency)])


async def test_each_conversation_is_sent_and_counted_once() -> None:
    """With its ids, its items and its end, whatever the concurrency, and its outcome is told."""
    names = [f"session-{n}" for n in range(20)]
    sidecar = Sidecar()
    assert await sent(sidecar, *names, "unsampled") == {"accepted, to be judged": 20, "accepted, not sampled": 1}
    assert sorted(sidecar.recorded) == sorted([*names, "unsampled"])
    one = sidecar.recorded["session-7"]
    assert (one.caller_id, one.items[0].message.content) == ("caller", "Hello")
    assert one.end_reason == session_pb2.END_REASON_COMPLETED


async def test_a_conversation_twice_is_a_duplicate() -> None:
    """The same session id again is told as what it is."""
    assert await sent(Sidecar(), "a", "a", concurrency=1) == {"accepted, to be judged": 1, "duplicate": 1}


@pytest.mark.parametrize("in_assign", [False, True])
@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, FULL])
async def test_what_passes_is_sent_again(code: grpc.StatusCode, in_assign: bool) -> None:
    """Sent again under the same id after a failure that passes, and counted once."""
    sidecar = Sidecar(code, in_assign=in_assign)
    assert await sent(sidecar, "a", "b") == {"accepted, to be judged": 2}
    assert sidecar.asked == {"a": 2, "b": 2}
    assert set(sidecar.recorded) == {"a", "b"}


async def test_an_answer_that_was_lost_is_a_duplicate() -> None:
    """Recorded, but the answer did not come: at the second time it is known."""

    class Lossy(Sidecar):
        async def RecordSession(
            self, request: session_pb2.RecordSessionRequest, context: Any
        ) -> session_pb2.RecordSessionResponse:
            answer = await super().RecordSession(request, context)
            if self.calls == 1:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
            return answer

    assert await sent(Lossy(), "a") == {"duplicate": 1}


async def test_a_refusal_is_final() -> None:
    """What the sidecar will never take is told with its words, and not sent again."""
    sidecar = Sidecar(*[grpc.StatusCode.INVALID_ARGUMENT] * 9)
    assert await sent(sidecar, "a") == {"refused (not now)": 1}
    assert sidecar.calls == 1


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(grpc.StatusCode.UNAVAILABLE, "not sent: nobody answers"), (FULL, "not taken: no room (not now)")],
)
async def test_it_gives_up_in_the_end(monkeypatch: pytest.MonkeyPatch, code: grpc.StatusCode, outcome: str) -> None:
    """A sidecar that never answers, or never has room, ends in an outcome of its own."""
    monkeypatch.setattr(replay, "MAX_ATTEMPTS", 2)
    sidecar = Sidecar(*[code] * 9)
    assert await sent(sidecar, "a") == {outcome: 1}
    assert sidecar.calls == 2
