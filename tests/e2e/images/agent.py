"""The agent of these tests. It speaks to its sidecar with stock stubs, at SLUICEGATE_TARGET.

agent.py                calls all the time until it is ended, and prints a line of JSON for each call
agent.py call SESSION   makes one call: what is said comes in by lines, and goes on through broken streams
"""

import asyncio
import json
import os
import signal
import sys
from itertools import count
from typing import Any

import grpc

from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc, session_pb2, session_pb2_grpc
from sluicegate_cli.synthetic_callers import caller_id, conversation
from sluicegate_client.openai_messages import items

TARGET = os.environ["SLUICEGATE_TARGET"]
POD = os.environ.get("HOSTNAME", "agent")
CALLERS_AT_A_TIME = 8
PAUSE_SECONDS = 0.1
AGAIN_SECONDS = 0.1
DEFAULT_PROMPT = "You are the receptionist of a dental practice. Be polite and book appointments."


async def all_the_time() -> None:
    """Several callers at a time, until SIGTERM; calls that are on are finished."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    numbers = count()
    async with grpc.aio.insecure_channel(TARGET) as channel:

        async def caller() -> None:
            while not ended.is_set():
                print(json.dumps(await whole_call(channel, next(numbers))), flush=True)
                await asyncio.sleep(PAUSE_SECONDS)

        async with asyncio.TaskGroup() as callers:
            for _ in range(CALLERS_AT_A_TIME):
                callers.create_task(caller())


async def idle() -> None:
    """Until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()


async def whole_call(channel: grpc.aio.Channel, number: int) -> dict[str, str]:
    """Asks for the variant, talks, records. What the agent's log says of it."""
    caller, session_id = caller_id(POD, number), f"{POD}-{number}"
    prompt, variant = DEFAULT_PROMPT, "none"
    ask = assignment_pb2.AssignRequest(caller_id=caller, session_id=session_id)
    try:
        answer = await assignment_pb2_grpc.AssignmentServiceStub(channel).Assign(ask, timeout=1)
        for assignment in answer.assignments:
            prompt, variant = str(assignment.config["systemPrompt"]), assignment.variant
    except grpc.aio.AioRpcError:
        variant = "fallback"
    said = items(conversation(POD, number, prompt))
    session = session_pb2.Session(
        session_id=session_id, caller_id=caller, items=said, end_reason=session_pb2.END_REASON_COMPLETED
    )
    request = session_pb2.RecordSessionRequest(session=session)
    try:
        kept = await session_pb2_grpc.SessionServiceStub(channel).RecordSession(request, timeout=10)
        recorded = session_pb2.RecordOutcome.Name(kept.outcome)
    except grpc.aio.AioRpcError as error:
        recorded = error.code().name
    return {"session": session_id, "variant": variant, "recorded": recorded}


class Call:
    """One session, told as it happens. A stream that breaks is begun anew, and goes on after what was acknowledged."""

    def __init__(self, channel: grpc.aio.Channel, session_id: str, token: str) -> None:
        self._stub = session_pb2_grpc.SessionServiceStub(channel)
        self._start = session_pb2.SessionEvent(
            start=session_pb2.SessionStart(session_id=session_id, caller_id=session_id, assignment_token=token)
        )
        self._events: list[session_pb2.SessionEvent] = []
        self._stream: Any = None
        self._kept = 0

    async def tell(self, event: session_pb2.SessionEvent) -> int:
        """Returns once the event is acknowledged, with its number."""
        self._events.append(event)
        event.sequence = len(self._events)
        while self._stream is None or self._kept < len(self._events):
            try:
                if self._stream is None:
                    self._stream = self._stub.StreamSession()
                    self._kept = await self._next(self._start)
                else:
                    self._kept = await self._next(self._events[self._kept])
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError, EOFError):
                self._stream = None
                await asyncio.sleep(AGAIN_SECONDS)
        return self._kept

    async def _next(self, event: session_pb2.SessionEvent) -> int:
        await self._stream.write(event)
        ack = await self._stream.read()
        if not isinstance(ack, session_pb2.SessionAck):
            raise EOFError("the stream has ended")
        return ack.sequence


async def one_call(session_id: str) -> None:
    """Prints the variant, then the number of each line of the input once it is kept; the input's end is the call's."""
    async with grpc.aio.insecure_channel(TARGET) as channel:
        ask = assignment_pb2.AssignRequest(caller_id=session_id, session_id=session_id)
        answer = await assignment_pb2_grpc.AssignmentServiceStub(channel).Assign(ask, timeout=5)
        token = answer.assignments[0].assignment_token if answer.assignments else ""
        print(answer.assignments[0].variant if answer.assignments else "none", flush=True)
        call = Call(channel, session_id, token)
        while line := await asyncio.to_thread(sys.stdin.readline):
            said = session_pb2.Message(role=session_pb2.ROLE_USER, content=line.strip())
            print(await call.tell(session_pb2.SessionEvent(item=session_pb2.Item(message=said))), flush=True)
        end = session_pb2.SessionEnd(end_reason=session_pb2.END_REASON_COMPLETED)
        print(await call.tell(session_pb2.SessionEvent(end=end)), flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["call", session_id]:
            asyncio.run(one_call(session_id))
        case ["idle"]:
            asyncio.run(idle())
        case _:
            asyncio.run(all_the_time())
