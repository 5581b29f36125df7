"""A session that no endpoint can mind: what is asked with it shows whether requests are taken at all.

It has a tool call, so that every rubric applies and something is asked in any case.
"""

from sluicegate_sidecar.sessions.session import CapturedSession, Item

TRIAL = CapturedSession(
    session_id="trial",
    caller_hash="",
    attribution=None,
    sampling_rate=0.0,
    items=(
        Item(kind="message", role="user", text="Hello?"),
        Item(kind="function_call", call_id="1", name="greet", text="{}"),
        Item(kind="function_call_output", call_id="1", text="done"),
        Item(kind="message", role="assistant", text="Hello there."),
    ),
    started_at=0.0,
    ended_at=0.0,
    end_reason="COMPLETED",
    recorded_day="1970-01-01",
)
