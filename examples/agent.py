"""The whole wiring of an agent: one call when a session starts, one when it ends. Stock stubs, no client library."""

import sys
import uuid

import grpc

from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc, session_pb2, session_pb2_grpc

DEFAULT: dict[str, object] = {"model": "gpt-4o", "systemPrompt": "You are the receptionist of a dental practice."}


def main(target: str) -> None:
    session_id, config = str(uuid.uuid4()), DEFAULT
    with grpc.insecure_channel(target) as channel:
        # 1. At the start: which variant? The call never waits longer than 50 ms, and never fails, for our sake.
        ask = assignment_pb2.AssignRequest(session_id=session_id, caller_id="+15550100")
        try:
            for assignment in assignment_pb2_grpc.AssignmentServiceStub(channel).Assign(ask, timeout=0.05).assignments:
                config = dict(assignment.config)
        except grpc.RpcError:
            pass
        print(f"prompt: {config['systemPrompt']}")

        # 2. At the end: what was said. The sidecar knows which variant this session had.
        session = session_pb2.Session(session_id=session_id, caller_id="+15550100")
        session.items.add().message.CopyFrom(message(session_pb2.ROLE_USER, "Can I come on Monday at nine?"))
        session.items.add().message.CopyFrom(message(session_pb2.ROLE_ASSISTANT, "You are booked, thank you!"))
        request = session_pb2.RecordSessionRequest(session=session)
        answer = session_pb2_grpc.SessionServiceStub(channel).RecordSession(request, timeout=5)
        print(f"recorded: {session_pb2.RecordOutcome.Name(answer.outcome)}")


def message(role: session_pb2.Role, content: str) -> session_pb2.Message:
    return session_pb2.Message(role=role, content=content)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7070")
