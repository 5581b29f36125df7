"""SessionService."""

import itertools
from collections.abc import AsyncIterator, Callable

from google.protobuf import timestamp_pb2

from sluicegate.v1 import session_pb2, session_pb2_grpc
from sluicegate_sidecar.errors import InvalidRequest, SluicegateError
from sluicegate_sidecar.limits import Limits
from sluicegate_sidecar.server.status import Context, check_agent
from sluicegate_sidecar.sessions.capture import ToldSession, check_count, item_field
from sluicegate_sidecar.sessions.feedback import Feedback
from sluicegate_sidecar.sessions.recorder import OpenRecording, Recorder
from sluicegate_sidecar.sessions.session import Item, Role
from sluicegate_sidecar.sessions.stream import Kept
from sluicegate_sidecar.telemetry import Telemetry

ROLES: dict[int, Role] = {
    session_pb2.ROLE_SYSTEM: "system",
    session_pb2.ROLE_USER: "user",
    session_pb2.ROLE_ASSISTANT: "assistant",
}
END_REASONS = {number: name.removeprefix("END_REASON_") for name, number in session_pb2.EndReason.items()}


class SessionServicer(session_pb2_grpc.SessionServiceServicer):
    """Takes sessions."""

    def __init__(
        self, agent: str, recorder: Recorder, feedback: Feedback, telemetry: Telemetry, clock: Callable[[], float]
    ) -> None:
        self._agent = agent
        self._recorder = recorder
        self._feedback = feedback
        self._telemetry = telemetry
        self._clock = clock

    async def RecordSession(
        self, request: session_pb2.RecordSessionRequest, context: Context
    ) -> session_pb2.RecordSessionResponse:
        try:
            check_agent("session.agent", request.session.agent, self._agent)
            recorded = await self._recorder.record(told_session(request.session, self._recorder.limits), self._clock())
        except SluicegateError as error:
            self._telemetry.recorded(type(error).__name__, sampled=False)
            raise
        self._telemetry.recorded(recorded.outcome, recorded.sampled)
        return session_pb2.RecordSessionResponse(
            outcome=f"RECORD_OUTCOME_{recorded.outcome.upper()}",
            sampled=recorded.sampled,
        )

    async def StreamSession(
        self, request_iterator: AsyncIterator[session_pb2.SessionEvent], context: Context
    ) -> AsyncIterator[session_pb2.SessionAck]:
        recording: OpenRecording | None = None
        async for event in request_iterator:
            if recording is None:
                recording = await self._start(event)
                kept = recording.kept
            else:
                kept = await _told(recording, event, self._clock())
            yield ack_message(kept)

    async def _start(self, event: session_pb2.SessionEvent) -> OpenRecording:
        if event.WhichOneof("event") != "start":
            raise InvalidRequest("event", "the first one of a stream is a start, with the session's id")
        check_agent("start.agent", event.start.agent, self._agent)
        return await self._recorder.open(told_start(event.start), self._clock())

    async def RecordFeedback(
        self, request: session_pb2.RecordFeedbackRequest, context: Context
    ) -> session_pb2.RecordFeedbackResponse:
        check_agent("agent", request.agent, self._agent)
        await self._feedback.record(request.session_id, request.name, request.value, request.comment)
        return session_pb2.RecordFeedbackResponse()


async def _told(recording: OpenRecording, event: session_pb2.SessionEvent, now: float) -> Kept:
    """Has one event kept."""
    match event.WhichOneof("event"):
        case "item":
            return await recording.item(event.sequence, told_item(event.item), now)
        case "end":
            reason = end_reason_name("end.end_reason", event.end.end_reason)
            return await recording.end(event.sequence, reason, _seconds(event.end.ended_at), now)
        case "start":
            raise InvalidRequest("event", "a second start; one stream is one session")
        case _:
            raise InvalidRequest("event", "empty; give an item or the end")


def ack_message(kept: Kept) -> session_pb2.SessionAck:
    return session_pb2.SessionAck(
        sequence=kept.sequence, closed=kept.closed, sampled=kept.sampled, late=kept.outcome == "late"
    )


def told_start(start: session_pb2.SessionStart) -> ToldSession:
    return ToldSession(
        session_id=start.session_id,
        caller_id=start.caller_id,
        items=(),
        started_at=_seconds(start.started_at),
        ended_at=0.0,
        end_reason="",
        assignment_token=start.assignment_token,
    )


def end_reason_name(field: str, number: "session_pb2.EndReason") -> str:
    """The reason without its prefix; one that this version does not know is unspecified.

    InvalidRequest for the one that is not the agent's to give.
    """
    if number == session_pb2.END_REASON_ABANDONED:
        raise InvalidRequest(field, "ABANDONED is what the idle timeout says; give what ended the session, or nothing")
    return END_REASONS.get(number, "UNSPECIFIED")


def told_session(session: session_pb2.Session, limits: Limits) -> ToldSession:
    """The session as a value; InvalidRequest names an item that says nothing, TooLarge counts too many."""
    check_count(len(session.items), limits)
    return ToldSession(
        session_id=session.session_id,
        caller_id=session.caller_id,
        items=tuple(map(told_item, session.items, itertools.count())),
        started_at=_seconds(session.started_at),
        ended_at=_seconds(session.ended_at),
        end_reason=end_reason_name("session.end_reason", session.end_reason),
        assignment_token=session.assignment_token,
    )


def told_item(item: session_pb2.Item, index: int | None = None) -> Item:
    """The item as a value; InvalidRequest names it, by its `index` in a whole session."""
    at = _seconds(item.at) if item.HasField("at") else 0.0
    match item.WhichOneof("item"):
        case "message":
            message = item.message
            role = ROLES.get(message.role)
            if role is None:
                raise InvalidRequest(f"{item_field(index)}.message.role", "give SYSTEM, USER or ASSISTANT")
            return Item(kind="message", at=at, role=role, text=message.content)
        case "function_call":
            call = item.function_call
            return Item(kind="function_call", at=at, call_id=call.call_id, name=call.name, text=call.arguments)
        case "function_call_output":
            output = item.function_call_output
            return Item(
                kind="function_call_output", at=at, call_id=output.call_id, text=output.output, is_error=output.is_error
            )
        case "handoff":
            return Item(kind="handoff", at=at, text=item.handoff.to_agent)
        case "interruption":
            return Item(kind="interruption", at=at)
        case "error":
            return Item(kind="error", at=at, text=item.error.message)
        case _:
            raise InvalidRequest(item_field(index), "empty; give one of the kinds of item")


def _seconds(stamp: timestamp_pb2.Timestamp) -> float:
    """A timestamp in Unix seconds; 0 where it is absent."""
    return stamp.seconds + stamp.nanos / 1e9
