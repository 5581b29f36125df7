"""Gates that do not let a run pass. Control's gates count too: what breaks both is no difference between them."""

from sluicegate.records import GateReading, SeriesGates
from sluicegate.resources.experiment import ExperimentResource
from sluicegate_operator.analysis.evidence import Evidence
from sluicegate_operator.rollout.verdicts import Hold

FRESH_SECONDS = 60.0
"""Gates that nobody renewed for so long say nothing of now."""


def gate_hold(resource: ExperimentResource, evidence: Evidence, now: float) -> Hold | None:
    """A broken gate, control's first, or a judge that does not keep up."""
    if evidence.control:
        for gate, reading in evidence.control.gates.items():
            if reading.state == "Broken":
                told = f"{_reading(gate, resource.control.name, reading)}: the cause is not the change"
                return Hold("SharedCause", told, f"{gate} of {resource.control.name} back over its floor")
    if evidence.treatment is None:
        return None
    name = resource.treatment.name
    for gate, reading in evidence.treatment.gates.items():
        if reading.state == "Broken":
            return Hold("GateBroken", _reading(gate, name, reading), f"{gate} of {name} back over its floor")
    if now - evidence.treatment.at / 1000 > FRESH_SECONDS:
        return Hold("JudgeLag", "no judge has renewed the gates for a minute: is one running?", "a judge at work")
    for gate, reading in evidence.treatment.gates.items():
        if reading.reason == "JudgeLag":
            told = f"{gate} of {name} is unknown: sessions wait too long for the judge"
            return Hold("JudgeLag", told, "a judge that keeps up")
    return None


def unknown_gate(resource: ExperimentResource, evidence: Evidence) -> Hold | None:
    """A gate of the treatment that nothing is known of now, though its metric applies."""
    name, gates = resource.treatment.name, evidence.treatment
    if gates is None:
        return Hold("GateUnknown", f"no session of {name} in the window of its gates", f"scored sessions of {name}")
    for gate, reading in gates.gates.items():
        if reading.state == "Unknown" and not _rarely_applies(reading, gates):
            told = f"{gate} of {name} is unknown: {reading.count} scored sessions in the window"
            return Hold("GateUnknown", told, f"more scored sessions of {name} in one window")
    return None


def _reading(gate: str, variant: str, reading: GateReading) -> str:
    return f"{gate} of {variant} is {reading.mean or 0:.2f} over {reading.count} sessions, under {reading.threshold:g}"


def _rarely_applies(reading: GateReading, of: SeriesGates) -> bool:
    """There are sessions enough, but the metric does not apply to most of them: nothing is missing."""
    known = any(other.state == "OK" for other in of.gates.values())
    return known and reading.reason == "TooFewSessions" and reading.count < of.sessions
