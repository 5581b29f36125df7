"""`sluicegate replay`: recorded conversations through a running sidecar."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_ATTEMPTS = 60
"""Of one conversation, while the sidecar or its Redis is away: half a minute."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One line of the file."""

    session_id: str
    caller_id: str
    messages: list[Any]

    def session(self) -> Any:
        """As it is told to the sidecar, a `sluicegate.v1.session_pb2.Session`; ValueError if it cannot be."""
        from sluicegate.v1 import session_pb2
        from sluicegate_client.openai_messages import items

        return session_pb2.Session(
            session_id=self.session_id,
            caller_id=self.caller_id,
            items=items(self.messages),
            end_reason=session_pb2.END_REASON_COMPLETED,
        )


def read(path: Path, prefix: str) -> list[Conversation]:
    """All conversations of a JSONL file; ClickException names every line that cannot be used, and nothing is sent."""
    conversations: list[Conversation] = []
    problems: list[str] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            conversations.append(_conversation(line, prefix, number))
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}")
    if problems:
        raise click.ClickException("\n".join([*problems, "nothing was sent"]))
    return conversations


def _conversation(line: bytes, prefix: str, number: int) -> Conversation:
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"{len(line)} bytes; a line has at most {MAX_LINE_BYTES}")
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(told, dict) or not isinstance(told.get("messages"), list):
        raise ValueError('an object with a list "messages" is needed')
    session_id = str(told.get("conversation_id") or told.get("session_id") or f"line-{number}")
    conversation = Conversation(prefix + session_id, str(told.get("caller_id") or session_id), told["messages"])
    conversation.session()
    return conversation


async def send(conversations: list[Conversation], target: str, concurrency: int) -> AsyncIterator[str]:
    """Assigns and records each conversation; yields what became of it, as it happens.

    While nobody answers, a conversation is sent again, under the same session id: it is recorded once.
    """
    import grpc

    async with grpc.aio.insecure_channel(target) as channel:
        queue: Iterator[Conversation] = iter(conversations)
        outcomes: asyncio.Queue[str] = asyncio.Queue()

        async def sender() -> None:
            for conversation in queue:
                await outcomes.put(await _send_one(channel, conversation))

        senders = [asyncio.create_task(sender()) for _ in range(concurrency)]
        try:
            for _ in conversations:
                yield await outcomes.get()
        finally:
            for task in senders:
                task.cancel()
            await asyncio.gather(*senders, return_exceptions=True)


async def _send_one(channel: Any, conversation: Conversation) -> str:
    import grpc

    from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc, session_pb2, session_pb2_grpc

    assignments = assignment_pb2_grpc.AssignmentServiceStub(channel)
    sessions = session_pb2_grpc.SessionServiceStub(channel)
    session = conversation.session()
    ask = assignment_pb2.AssignRequest(caller_id=session.caller_id, session_id=session.session_id)
    for attempt in range(MAX_ATTEMPTS):
        try:
            await assignments.Assign(ask, timeout=5)
            answer = await sessions.RecordSession(session_pb2.RecordSessionRequest(session=session), timeout=10)
        except grpc.aio.AioRpcError as error:
            full = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            if not full and error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                return f"refused ({error.details()})"
            if attempt + 1 < MAX_ATTEMPTS:
                await asyncio.sleep(0.5)
            elif full:
                return f"not taken: no room ({error.details()})"
            continue
        if answer.outcome == session_pb2.RECORD_OUTCOME_DUPLICATE:
            return "duplicate"
        return "accepted, to be judged" if answer.sampled else "accepted, not sampled"
    return "not sent: nobody answers"


@click.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--target", envvar="SLUICEGATE_TARGET", default="127.0.0.1:7070", show_default=True, help="The sidecar.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=8, show_default=True, help="Sent at a time.")
@click.option("--prefix", default="", help="Put before each session id: the same file again counts as new sessions.")
def command(file: Path, target: str, concurrency: int, prefix: str) -> None:
    """Send recorded conversations through a running sidecar.

    FILE is JSONL: one object a line with "messages" in OpenAI's chat format and, if there are, "conversation_id" and
    "caller_id". The same conversation again is a duplicate and is not counted twice.
    """
    from rich.console import Console
    from rich.progress import track

    conversations = read(file, prefix)
    console = Console(stderr=True)
    counted: Counter[str] = Counter()

    async def run() -> None:
        progress = track(range(len(conversations)), description=f"→ {target}", console=console)
        steps = iter(progress)
        async for outcome in send(conversations, target, concurrency):
            next(steps)
            counted[outcome] += 1
        next(steps, None)

    asyncio.run(run())
    for outcome, count in counted.most_common():
        click.echo(f"{count:6} {outcome}")
    sys.exit(0 if all(outcome.startswith(("accepted", "duplicate")) for outcome in counted) else 1)
