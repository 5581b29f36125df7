"""StreamSession as an agent uses it: items as they happen, over connections and sidecars that come and go."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import grpc
import pytest
from processes import Sidecar, program, sidecar
from redis.asyncio import Redis
from told import EXPERIMENT, POLICY, a_session, says

from sluicegate.keys import Keys
from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc, session_pb2, session_pb2_grpc
from sluicegate_cli import offline_judge
from sluicegate_cli.account import read_account
from sluicegate_sidecar.sessions.session import CapturedSession
from sluicegate_sidecar.sessions.stream import decode

AGENT = "receptionist"
KEYS = Keys("default", AGENT)
SECONDS = 60.0


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "resources.yaml").write_text(f"{POLICY}---\n{EXPERIMENT}")
    return str(tmp_path / "resources.yaml")


@pytest.fixture
async def served(valkey_url: str, redis: Redis, config: str) -> AsyncIterator[Sidecar]:
    async with sidecar(valkey_url, AGENT, config=config) as running:
        yield running


def start(session_id: str, **fields: Any) -> session_pb2.SessionEvent:
    return session_pb2.SessionEvent(start=session_pb2.SessionStart(session_id=session_id, **fields))


def item(sequence: int, content: str = "") -> session_pb2.SessionEvent:
    role = session_pb2.ROLE_USER if sequence % 2 else session_pb2.ROLE_ASSISTANT
    return session_pb2.SessionEvent(sequence=sequence, item=says(role, content or f"turn {sequence}"))


def end(sequence: int, reason: session_pb2.EndReason = session_pb2.END_REASON_COMPLETED) -> session_pb2.SessionEvent:
    return session_pb2.SessionEvent(sequence=sequence, end=session_pb2.SessionEnd(end_reason=reason))


class Refused(Exception):
    """The sidecar ended the stream: status code and details."""


async def told(target: str, events: Iterable[session_pb2.SessionEvent]) -> list[Any]:
    """Sends the events over one stream and gives the acknowledgements, one for each."""
    async with grpc.aio.insecure_channel(target) as channel:
        stream = session_pb2_grpc.SessionServiceStub(channel).StreamSession(timeout=SECONDS)
        acks = []
        for event in events:
            await stream.write(event)
            try:
                acks.append(await stream.read())
            except grpc.aio.AioRpcError as error:
                raise Refused(f"{error.code().name} {error.details()}") from error
        await stream.done_writing()
        return acks


async def queued(redis: Redis) -> list[CapturedSession]:
    return [decode(fields[b"d"]) for _, fields in await redis.xrange(KEYS.queue)]


async def test_a_session_told_as_it_happens_is_one_session(served: Sidecar, redis: Redis, valkey_url: str) -> None:
    """Start, items and end: each acknowledged by number, and the judge gets what a whole transcript would have been."""
    acks = await told(served.target, [start("s-1", caller_id="+1555"), item(1), item(2), item(3), end(4)])
    assert [ack.sequence for ack in acks] == [0, 1, 2, 3, 4]
    assert [ack.closed for ack in acks] == [False, False, False, False, True]
    assert all(ack.sampled for ack in acks)
    (session,) = await queued(redis)
    assert [one.text for one in session.items] == ["turn 1", "turn 2", "turn 3"]
    assert (session.end_reason, session.turn_count) == ("COMPLETED", 2)
    account = await read_account(valkey_url, "default", AGENT)
    assert (account.acknowledged, account.waiting, account.open, account.balanced) == (1, 1, 0, True)


async def test_a_broken_stream_goes_on_where_it_was(served: Sidecar, redis: Redis) -> None:
    """A new stream is told the last item that is kept; items sent again are kept once, a gap is refused by number."""
    await told(served.target, [start("s-1"), item(1), item(2)])
    resumed = await told(served.target, [start("s-1"), item(2), item(3)])
    assert [ack.sequence for ack in resumed] == [2, 2, 3]
    with pytest.raises(Refused, match="OUT_OF_RANGE sequence: 5, but the last item that is kept is 3"):
        await told(served.target, [start("s-1"), item(5)])
    await told(served.target, [start("s-1"), item(4), end(5)])
    (session,) = await queued(redis)
    assert [one.text for one in session.items] == ["turn 1", "turn 2", "turn 3", "turn 4"]


async def test_an_end_that_comes_too_late_closes_nothing(served: Sidecar, redis: Redis) -> None:
    """An end of a broken stream arrives after the session went on over another one: the session stays as it is."""
    await told(served.target, [start("s-1"), item(1), item(2)])
    (_, stale) = await told(served.target, [start("s-1"), end(2)])
    assert (stale.sequence, stale.closed, stale.late) == (2, False, False)
    (*_, last) = await told(served.target, [start("s-1"), item(3), end(4)])
    assert last.closed
    (session,) = await queued(redis)
    assert [one.text for one in session.items] == ["turn 1", "turn 2", "turn 3"]


async def test_a_restarted_sidecar_goes_on_with_the_same_variant(valkey_url: str, redis: Redis, config: str) -> None:
    """kill -9 of the sidecar in a call: the token that the agent gives back keeps the variant, and nothing is lost."""
    async with sidecar(valkey_url, AGENT, config=config) as first:
        async with grpc.aio.insecure_channel(first.target) as channel:
            ask = assignment_pb2.AssignRequest(session_id="s-1", caller_id="+1555")
            answer = await assignment_pb2_grpc.AssignmentServiceStub(channel).Assign(ask, timeout=SECONDS)
        given = answer.assignments[0]
        await told(first.target, [start("s-1", caller_id="+1555", assignment_token=given.assignment_token), item(1)])
        await first.program.kill()
    async with sidecar(valkey_url, AGENT, config=config) as second:
        resumed = [start("s-1", caller_id="+1555", assignment_token=given.assignment_token), item(2), end(3)]
        assert [ack.sequence for ack in await told(second.target, resumed)] == [1, 2, 3]
        await told(second.target, [start("s-2", caller_id="+1555", assignment_token=given.assignment_token), item(1)])
        await told(second.target, [start("s-2"), end(2)])
    mine, not_mine = await queued(redis)
    assert mine.attribution is not None
    assert (mine.attribution.variant, mine.attribution.reason) == (given.variant, "SPLIT")
    assert not_mine.attribution is None, "a token is worth nothing for another session"


async def test_a_session_that_never_ends_is_closed_as_abandoned(valkey_url: str, redis: Redis, config: str) -> None:
    """After the idle time the session is judged with all that was acknowledged; what comes later is late, not lost."""
    async with offline_judge.serving() as judge_url, sidecar(valkey_url, AGENT, config=config) as running:
        await told(running.target, [start("s-1", caller_id="+1555"), item(1), item(2)])
        settings = {
            "SLUICEGATE_REDIS_URL": valkey_url,
            "SLUICEGATE_AGENT": AGENT,
            "SLUICEGATE_CONFIG": config,
            "SLUICEGATE_ADMIN": "127.0.0.1:0",
            "SLUICEGATE_IDLE_SECONDS": "1",
            **offline_judge.environment(judge_url),
        }
        async with program("judge", settings), asyncio.timeout(SECONDS):
            while not await redis.xlen(KEYS.log):  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.05)
        late = await told(running.target, [start("s-1"), item(3), end(4)])
        assert [(ack.closed, ack.late) for ack in late] == [(True, False), (True, True), (True, False)]
    assert await redis.xlen(KEYS.late) == 1
    account = await read_account(valkey_url, "default", AGENT)
    assert (account.acknowledged, account.scored, account.balanced) == (1, 1, True)


async def test_a_whole_transcript_takes_the_place_of_an_open_session(served: Sidecar, redis: Redis) -> None:
    """An agent that streams and records at the end as well has told one session, not two."""
    await told(served.target, [start("s-1"), item(1)])
    async with grpc.aio.insecure_channel(served.target) as channel:
        request = session_pb2.RecordSessionRequest(session=a_session("s-1"))
        answer = await session_pb2_grpc.SessionServiceStub(channel).RecordSession(request, timeout=SECONDS)
    assert answer.outcome == session_pb2.RECORD_OUTCOME_ACCEPTED
    (session,) = await queued(redis)
    assert len(session.items) == 2
    assert not await redis.exists(KEYS.open_session("s-1"))


@pytest.mark.parametrize(
    ("events", "refusal"),
    [
        ([item(1)], "INVALID_ARGUMENT event: "),
        ([start("")], "INVALID_ARGUMENT session.session_id: "),
        ([start("s" * 257)], "INVALID_ARGUMENT session.session_id: "),
        ([start("s", agent="dentist")], "NOT_FOUND start.agent: "),
        ([start("s"), start("s")], "INVALID_ARGUMENT event: "),
        ([start("s"), session_pb2.SessionEvent(sequence=1)], "INVALID_ARGUMENT event: "),
        ([start("s"), session_pb2.SessionEvent(sequence=1, item=session_pb2.Item())], "INVALID_ARGUMENT item: "),
        ([start("s"), item(0)], "OUT_OF_RANGE sequence: "),
        ([start("s"), item(-3)], "OUT_OF_RANGE sequence: "),
        ([start("s"), item(2)], "OUT_OF_RANGE sequence: "),
        ([start("s"), end(2)], "OUT_OF_RANGE sequence: "),
        ([start("s"), end(1, session_pb2.END_REASON_ABANDONED)], "INVALID_ARGUMENT end.end_reason: "),
        ([start("s"), item(1, "x" * 65_537)], "INVALID_ARGUMENT item: "),
        ([start("s"), *(item(n, "x" * 65_000) for n in range(1, 18))], "INVALID_ARGUMENT item: "),
    ],
)
async def test_an_event_that_cannot_be_taken_names_the_field(
    served: Sidecar, events: list[session_pb2.SessionEvent], refusal: str
) -> None:
    """What does not fit is refused with its name and the right code; what was acknowledged before stays."""
    with pytest.raises(Refused, match=refusal):
        await told(served.target, events)


async def test_feedback_is_kept_beside_the_session(served: Sidecar, redis: Redis) -> None:
    """A thumb is kept; a name, a value or a session that cannot be is refused by name."""
    async with grpc.aio.insecure_channel(served.target) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        await stub.RecordFeedback(session_pb2.RecordFeedbackRequest(session_id="s-1", name="thumb", value=1), timeout=9)
        assert await redis.xlen(KEYS.feedback) == 1
        for field, request in (
            ("session_id", session_pb2.RecordFeedbackRequest(name="thumb")),
            ("name", session_pb2.RecordFeedbackRequest(session_id="s", name="Thumb!")),
            ("value", session_pb2.RecordFeedbackRequest(session_id="s", name="thumb", value=float("nan"))),
            ("comment", session_pb2.RecordFeedbackRequest(session_id="s", name="thumb", comment="x" * 4_097)),
            ("agent", session_pb2.RecordFeedbackRequest(agent="dentist", session_id="s", name="thumb")),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.RecordFeedback(request, timeout=9)
            assert (refused.value.details() or "").split(": ")[0] == field
