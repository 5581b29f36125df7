"""Any order of stream events over several connections, against a model of what must be kept."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from fuzzing import empty_of_sessions
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from processes import sidecar
from redis.asyncio import Redis
from told import POLICY, a_session, says

from sluicegate.keys import Keys
from sluicegate.v1 import session_pb2, session_pb2_grpc
from sluicegate_cli.account import read_account
from sluicegate_sidecar.sessions.stream import SessionStream, decode

AGENT = "receptionist"
KEYS = Keys("default", AGENT)
SECONDS = 20.0
SESSIONS = ("{s}", "s\r\n1", "\u202es:*")
CONNECTIONS = (0, 1, 2)
SEQUENCES = st.integers(-1, 6) | st.sampled_from((2**63 - 1, -(2**63)))

Told = tuple[int, bool, bool]
"""Of an acknowledgement: its sequence number, whether the session is closed, whether the event was late."""


@dataclass(slots=True)
class Model:
    """One session as it must be."""

    texts: list[str] = field(default_factory=list)
    closed: bool = False

    def item(self, sequence: int, text: str) -> Told | str:
        if sequence < 1 or (not self.closed and sequence > len(self.texts) + 1):
            return "OUT_OF_RANGE"
        if self.closed:
            return 0, True, True
        if sequence == len(self.texts) + 1:
            self.texts.append(text)
        return len(self.texts), False, False

    def end(self, sequence: int) -> Told | str:
        if sequence < 1 or (not self.closed and sequence > len(self.texts) + 1):
            return "OUT_OF_RANGE"
        if not self.closed and sequence <= len(self.texts):
            return len(self.texts), False, False
        self.closed = True
        return sequence, True, False


@dataclass(slots=True)
class Served:
    """A sidecar and its Redis, for all examples."""

    runner: asyncio.Runner
    stub: Any
    redis: Redis
    redis_url: str


class StreamEvents(RuleBasedStateMachine):
    """Agents that connect, break off, repeat, skip, end twice, and record what they stream."""

    served: Served

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, Model] = {}
        self.streams: dict[int, Any] = {}
        self.session_of: dict[int, str] = {}
        self.late = 0
        self.served.runner.run(empty_of_sessions(self.served.redis, KEYS))

    def tell(self, connection: int, event: session_pb2.SessionEvent) -> Told | str:
        """The acknowledgement, or the name of the status; a stream that was refused is gone."""

        async def told() -> Told | str:
            if connection not in self.streams:
                self.streams[connection] = self.served.stub.StreamSession(timeout=SECONDS)
            try:
                await self.streams[connection].write(event)
                ack = await self.streams[connection].read()
            except grpc.aio.AioRpcError as error:
                self.forget(connection)
                return error.code().name
            return ack.sequence, ack.closed, ack.late

        return self.served.runner.run(told())

    def forget(self, connection: int) -> None:
        self.streams.pop(connection, None)
        self.session_of.pop(connection, None)

    @rule(connection=st.sampled_from(CONNECTIONS), politely=st.booleans())
    def break_off(self, connection: int, politely: bool) -> None:
        async def broken() -> None:
            stream = self.streams[connection]
            await stream.done_writing() if politely else stream.cancel()

        if connection in self.streams:
            self.served.runner.run(broken())
            self.forget(connection)

    @rule(connection=st.sampled_from(CONNECTIONS), session_id=st.sampled_from(SESSIONS))
    def start(self, connection: int, session_id: str) -> None:
        event = session_pb2.SessionEvent(start=session_pb2.SessionStart(session_id=session_id))
        if connection in self.session_of:
            assert self.tell(connection, event) == "INVALID_ARGUMENT"
            return
        model = self.models.setdefault(session_id, Model())
        expected = (0 if model.closed else len(model.texts), model.closed, False)
        assert self.tell(connection, event) == expected
        self.session_of[connection] = session_id

    @rule(connection=st.sampled_from(CONNECTIONS), sequence=SEQUENCES, text=st.text(st.characters(codec="utf-8")))
    def item(self, connection: int, sequence: int, text: str) -> None:
        event = session_pb2.SessionEvent(sequence=sequence, item=says(session_pb2.ROLE_USER, text))
        session_id = self.session_of.get(connection)
        expected = self.models[session_id].item(sequence, text) if session_id else "INVALID_ARGUMENT"
        self.late += isinstance(expected, tuple) and expected[2]
        assert self.tell(connection, event) == expected

    @rule(connection=st.sampled_from(CONNECTIONS), sequence=SEQUENCES)
    def end(self, connection: int, sequence: int) -> None:
        event = session_pb2.SessionEvent(sequence=sequence, end=session_pb2.SessionEnd())
        session_id = self.session_of.get(connection)
        expected = self.models[session_id].end(sequence) if session_id else "INVALID_ARGUMENT"
        assert self.tell(connection, event) == expected

    @rule(connection=st.sampled_from(CONNECTIONS))
    def say_nothing(self, connection: int) -> None:
        assert self.tell(connection, session_pb2.SessionEvent(sequence=1)) == "INVALID_ARGUMENT"

    @rule(session_id=st.sampled_from(SESSIONS))
    def record_whole(self, session_id: str) -> None:
        async def recorded() -> int:
            request = session_pb2.RecordSessionRequest(session=a_session(session_id))
            return int((await self.served.stub.RecordSession(request, timeout=SECONDS)).outcome)

        model = self.models.setdefault(session_id, Model())
        duplicate = model.closed
        if not duplicate:
            model.texts, model.closed = [item.message.content for item in a_session(session_id).items], True
        expected = session_pb2.RECORD_OUTCOME_DUPLICATE if duplicate else session_pb2.RECORD_OUTCOME_ACCEPTED
        assert self.served.runner.run(recorded()) == expected

    def teardown(self) -> None:
        """Everything acknowledged is there once and in order, and the account balances."""
        for stream in self.streams.values():
            stream.cancel()
        self.served.runner.run(self.check())

    async def check(self) -> None:
        redis, opened = self.served.redis, SessionStream(self.served.redis, KEYS)
        queued = [decode(fields[b"d"]) for _, fields in await redis.xrange(KEYS.queue)]
        found = sorted((session.session_id, [item.text for item in session.items]) for session in queued)
        # A session that ended before its first item has nothing to judge: it is counted, and not queued.
        closed = {name: model for name, model in self.models.items() if model.closed}
        assert found == sorted((name, model.texts) for name, model in closed.items() if model.texts)
        for name in self.models.keys() - closed.keys():
            kept = await opened.open_session(name)
            assert kept is not None
            assert [item.text for item in kept.session.items] == self.models[name].texts
        account = await read_account(self.served.redis_url, "default", AGENT)
        assert (account.acknowledged, account.open) == (len(self.models), len(self.models) - len(closed)), account
        assert account.balanced, account
        assert await redis.xlen(KEYS.late) == self.late


@pytest.mark.timeout(60)
def test_any_order_of_events_is_kept_once_and_in_order(valkey_url: str, tmp_path: Path) -> None:
    """Whatever agents send over whichever stream, each event is answered as the protocol says, and kept or refused."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    with asyncio.Runner() as runner:

        async def opened() -> tuple[Any, ...]:
            redis = Redis.from_url(valkey_url)
            await redis.flushall()
            running = sidecar(valkey_url, AGENT, config=str(tmp_path))
            channel = grpc.aio.insecure_channel((await running.__aenter__()).target)
            return running, channel, redis

        async def closed() -> None:
            await channel.close()
            await redis.aclose()
            await running.__aexit__(None, None, None)

        running, channel, redis = runner.run(opened())
        stub = session_pb2_grpc.SessionServiceStub(channel)
        machine = type("Served", (StreamEvents,), {"served": Served(runner, stub, redis, valkey_url)})
        checks = (HealthCheck.too_slow, HealthCheck.filter_too_much)
        try:
            run_state_machine_as_test(
                machine,
                settings=settings(max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=checks),
            )
        finally:
            runner.run(closed())
