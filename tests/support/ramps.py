"""An experiment on its ramp, and what may be known of it, for tests of the control plane."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sluicegate.gate import GateState, UnknownReason
from sluicegate.keys import Keys
from sluicegate.reading import StoredGate, StoredGates, pack_sums
from sluicegate.records import GateReading, Halt, ScoreRecord, SeriesGates
from sluicegate.resources.experiment import ExperimentResource
from sluicegate.resources.load import load
from sluicegate.snapshot import pack

NOW = 1_800_000_000.0
KEYS = Keys("default", "receptionist")

EXPERIMENT = """\
apiVersion: sluicegate.dev/v1alpha1
kind: Experiment
metadata: {name: warmer-greeting}
spec:
  agent: receptionist
  variants:
    - {name: control, control: true, config: {systemPrompt: "Be polite."}}
    - {name: warm, config: {systemPrompt: "Be warm."}}
  ramp:
    steps: [{weight: 10, minSessions: 20}, {weight: 20, minSessions: 30}, {weight: 100, minSessions: 40}]
    holdback: 5
  sampling: {rate: 1.0}
"""


def an_experiment(**changes: Any) -> ExperimentResource:
    """Three steps, 10, 20 and 100 %, of 20, 30 and 40 sessions; 5 % are held back."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "experiment.yaml"
        path.write_text(EXPERIMENT)
        return replace(load([path]).experiments[0], **changes)


def edited(resource: ExperimentResource) -> ExperimentResource:
    """The same with another prompt for its treatment."""
    control, treatment = resource.variants
    return replace(resource, variants=(control, replace(treatment, config={"systemPrompt": "Be hot."})))


def a_reading(state: GateState = "OK", reason: UnknownReason = "", **changes: Any) -> GateReading:
    """A reading of 20 scores with a mean of 4.5, over a floor of 3.5."""
    reading = GateReading(
        state=state,
        reason=reason,
        latched=state == "Broken",
        since=0,
        count=20,
        mean=4.5,
        lower=4.2,
        upper=4.8,
        threshold=3.5,
        severity="critical",
    )
    return replace(reading, **changes)


BROKEN = a_reading("Broken", mean=2.25, count=15)


def gates(at: float = NOW, sessions: int = 20, **readings: GateReading) -> SeriesGates:
    """The gates of a series as of `at`, in Unix seconds; without readings, one gate that is OK."""
    return SeriesGates(
        at=int(at * 1000), revision="r1", sessions=sessions, gates=readings or {"overall_average": a_reading()}
    )


def stored_gates() -> bytes:
    """As the score script stores them: one gate, on tone, that is OK."""
    tone = StoredGate(
        state="OK", reason="", latched=False, since=0, action="Alert", threshold=3.5, severity="critical", place=2
    )
    return pack(StoredGates(calm="", revision="r1", control="", gates={"tone": tone}))


def stored_sums(at: float = NOW) -> bytes:
    """And beside them, as of `at`, in Unix seconds: twenty sessions without an average, and a tone of 4.5."""
    return pack_sums(int(at * 1000), [20, 0, 0, 0, 20, 90, 410])


def a_halt(variant: str = "warm", run_id: str = "1") -> Halt:
    return Halt(
        series=f"warmer-greeting/{run_id}/{variant}",
        gate="task_completion",
        count=17,
        mean=2.125,
        upper=2.875,
        threshold=3.0,
        severity="critical",
        at=int(NOW * 1000),
    )


def a_record(session_id: str, variant: str = "warm", step: int = 0, **changes: Any) -> ScoreRecord:
    """A good score of a session that the split assigned."""
    record = ScoreRecord(
        session_id=session_id,
        caller_hash="c",
        experiment="warmer-greeting",
        run_id="1",
        variant=variant,
        control="control",
        reason="SPLIT",
        step=step,
        weight=0.1,
        sampling_rate=1.0,
        ended_at=NOW,
        end_reason="completed",
        turn_count=1,
        truncated=False,
        scores={"tone": 5},
        reasons={},
        judge_revision="r1",
        judge_model="m",
    )
    return replace(record, **changes)
