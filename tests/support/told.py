"""Sessions and resources that tests tell to a sidecar."""

from sluicegate.v1 import session_pb2

POLICY = """\
apiVersion: sluicegate.dev/v1alpha1
kind: EvaluationPolicy
metadata: {name: policy}
spec:
  agent: receptionist
  sampling: {rate: 1.0}
"""

EXPERIMENT = """\
apiVersion: sluicegate.dev/v1alpha1
kind: Experiment
metadata: {name: warmer-greeting}
spec:
  agent: receptionist
  variants:
    - {name: control, control: true, config: {model: gpt-4o, systemPrompt: "Be polite."}}
    - {name: warm, config: {model: gpt-4o, systemPrompt: "Be warm.", parameters: {temperature: 0.4, topK: 3}}}
  ramp:
    steps: [{weight: 20, minSessions: 50}, {weight: 50, minSessions: 50}]
"""


def says(role: "session_pb2.Role", content: str) -> session_pb2.Item:
    return session_pb2.Item(message=session_pb2.Message(role=role, content=content))


def a_session(session_id: str, caller_id: str = "+15550001", content: str = "Hello?") -> session_pb2.Session:
    """A short session of one question and one answer."""
    return session_pb2.Session(
        session_id=session_id,
        caller_id=caller_id,
        items=[
            says(session_pb2.ROLE_USER, content),
            says(session_pb2.ROLE_ASSISTANT, "You are booked. Thank you, and welcome."),
        ],
        end_reason=session_pb2.END_REASON_COMPLETED,
    )
