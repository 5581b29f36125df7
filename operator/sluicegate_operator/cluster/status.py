"""What an experiment's status says: pure, from values to what `kubectl get` and `kubectl describe` show."""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from sluicegate.records import GateReading, Halt
from sluicegate_operator.analysis.evidence import Evidence, MetricReading
from sluicegate_operator.analysis.safety import margin_at
from sluicegate_operator.cluster.api import Object
from sluicegate_operator.ramp import Look
from sluicegate_operator.rollout.operations import operations
from sluicegate_operator.rollout.state import RolloutState

MOST_HALTS = 100
LONGEST = 2_000
MOST_EVIDENCE = 10_000.0
STANDS_STILL = frozenset(
    {
        "Paused",
        "SharedCause",
        "GateBroken",
        "SampleRatioMismatch",
        "TooFewCallers",
        "DeadlineExceeded",
        "ApprovalNeeded",
        "EvidenceLost",
    }
)
"""Holds that somebody may have to do something about."""

Condition = tuple[str, str, str, str]
"""Type, status, reason and message."""


def remembered(status: Mapping[str, Any]) -> RolloutState | None:
    """The state of the run that a status keeps; None if it keeps none, or one of a version that is not understood."""
    try:
        return msgspec.convert(status["rollout"], RolloutState)
    except (KeyError, msgspec.ValidationError):
        return None


def halts_in(status: Mapping[str, Any]) -> dict[str, Halt]:
    """Series → halt, as far as the status tells."""
    found: dict[str, Halt] = {}
    for entry in status.get("halts") or []:
        try:
            found[entry["series"]] = msgspec.convert(entry, Halt)
        except (KeyError, msgspec.ValidationError):
            continue
    return found


def of_look(look: Look, generation: int, before: Mapping[str, Any], now: float) -> Object:
    """The status after a look at a run."""
    state, resource = look.after, look.resource
    comparison, weight = look.evidence.comparison, look.in_force.weight
    status: Object = {
        "observedGeneration": generation,
        "runId": state.run_id,
        "phase": state.phase,
        "step": state.step + 1,
        "stepText": f"{state.step + 1}/{len(resource.steps)}",
        "weight": _weight(state, weight),
        "startedAt": _time(state.started_at),
        "stepStartedAt": _time(state.step_started_at),
        "salt": resource.salt,
        "snapshotVersion": state.version,
        "sessions": sum(reading.scored for reading in comparison.variants.values()),
        "message": state.message[:LONGEST],
        "gatesText": _gates_text(look.evidence),
        "variants": [_variant(name, look.evidence) for name in sorted(comparison.variants)],
        "comparison": _comparison(look),
        "gates": [_gate(name, reading) for name, reading in sorted(_gates(look.evidence).items())],
        "operations": [
            {"name": one.name, "value": one.value, "outcome": one.outcome, "message": one.message[:1_000]}
            for one in operations(resource, state)
        ],
        "halts": _halts(look, before),
        "conditions": _dated(list(_conditions(look)), before, generation, now),
        "rollout": msgspec.json.decode(msgspec.json.encode(state)),
    }
    if state.needed:
        status["needed"] = state.needed[:LONGEST]
    return status


def pending(reason: str, message: str, generation: int, before: Mapping[str, Any], now: float) -> Object:
    """The status of an experiment that gets no traffic now; what it remembers of its runs stays."""
    kept = {name: before[name] for name in ("runId", "rollout", "halts", "salt", "snapshotVersion") if name in before}
    return {
        **kept,
        "observedGeneration": generation,
        "phase": "Pending",
        "weight": "0%",
        "message": message[:LONGEST],
        "conditions": _dated([("Ready", "False", reason, message)], before, generation, now),
    }


def unready(reason: str, message: str, generation: int, before: Mapping[str, Any], now: float) -> Object:
    """The status as it was, but for the condition that nothing can be done now."""
    conditions = [
        (one["type"], one["status"], one["reason"], one["message"])
        for one in before.get("conditions", [])
        if one["type"] != "Ready"
    ]
    return {**before, "conditions": _dated([("Ready", "False", reason, message), *conditions], before, generation, now)}


def of_policy(problem: Condition, revision: str, generation: int, before: Mapping[str, Any], now: float) -> Object:
    """The status of an EvaluationPolicy."""
    status: Object = {"observedGeneration": generation, "conditions": _dated([problem], before, generation, now)}
    return {**status, "judgeRevision": revision} if revision else status


def urgent(status: Mapping[str, Any]) -> Object:
    """What is to be told at once when it changes; all else are numbers, and sentences with numbers in them."""
    at_once = ("observedGeneration", "runId", "phase", "step", "stepText", "weight", "snapshotVersion", "judgeRevision")
    rollout = {
        name: value
        for name, value in (status.get("rollout") or {}).items()
        if name not in ("message", "needed", "reason", "seen")
    }
    return {
        **{name: status.get(name) for name in at_once},
        "halts": [halt["series"] for halt in status.get("halts") or []],
        "operations": [[one["name"], one["value"], one["outcome"]] for one in status.get("operations") or []],
        "conditions": [[one["type"], one["status"]] for one in status.get("conditions") or []],
        "rollout": rollout,
    }


def _weight(state: RolloutState, weight: float) -> str:
    return "100%" if state.phase == "Complete" else f"{100 * weight:g}%"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _gates(evidence: Evidence) -> Mapping[str, GateReading]:
    return evidence.treatment.gates if evidence.treatment else {}


def _gates_text(evidence: Evidence) -> str:
    gates = _gates(evidence)
    broken = sorted(name for name, reading in gates.items() if reading.state == "Broken")
    if broken:
        return f"Broken: {', '.join(broken)}"[:255]
    passing = sum(reading.state == "OK" for reading in gates.values())
    return f"{passing}/{len(gates)} OK" if passing else "Unknown"


def _gate(name: str, reading: GateReading) -> Object:
    told: Object = {
        "name": name,
        "state": reading.state,
        "reason": reading.reason or None,
        "count": reading.count,
        "actual": _rounded(reading.mean),
        "bound": _rounded(reading.upper),
        "threshold": reading.threshold,
        "severity": reading.severity,
        "since": _time(reading.since / 1000),
    }
    return {field: value for field, value in told.items() if value is not None}


def _variant(name: str, evidence: Evidence) -> Object:
    reading, plan = evidence.comparison.variants[name], evidence.comparison.plan
    is_treatment = name == plan.treatment
    return {
        "name": name,
        "scored": reading.scored,
        "counted": reading.counted,
        "failed": reading.failed,
        "metrics": [_metric(metric, is_treatment) for metric in evidence.comparison.metrics][:16],
    }


def _metric(reading: MetricReading, is_treatment: bool) -> Object:
    mean = _rounded(reading.treatment_mean if is_treatment else reading.control_mean)
    count = reading.treatment_count if is_treatment else reading.control_count
    return {"name": reading.metric, "count": count, **({} if mean is None else {"mean": mean})}


def _comparison(look: Look) -> Object:
    comparison = look.evidence.comparison
    plan, primary = comparison.plan, comparison.primary
    step = min(look.after.step, len(look.resource.steps) - 1)
    margin = margin_at(look.resource.in_force(step).weight, plan.margin)
    told: Object = {"metric": plan.primary, "margin": round(margin, 4)}
    if primary is None:
        return told
    harm, safety = _evidence(comparison.log_harm), _evidence(primary.log_safety.get(margin, 0.0))
    told |= {"evidenceForHarm": harm, "evidenceForSafety": safety, "text": f"harm {harm:g} safety {safety:g}"}
    if primary.treatment_mean is not None and primary.control_mean is not None:
        told["difference"] = round(primary.treatment_mean - primary.control_mean, 3)
    return told


def _evidence(log_evidence: float) -> float:
    """Three digits are enough for whoever reads, and keep an unchanged status unchanged."""
    return float(f"{min(MOST_EVIDENCE, math.exp(min(log_evidence, 50.0))):.3g}")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _halts(look: Look, before: Mapping[str, Any]) -> list[Object]:
    halts = halts_in(before)
    if look.evidence.halt:
        halts[look.evidence.halt.series] = look.evidence.halt
    newest = sorted(halts.values(), key=lambda halt: (halt.at, halt.series))[-MOST_HALTS:]
    return [msgspec.json.decode(msgspec.json.encode(halt)) for halt in newest]


def _conditions(look: Look) -> Iterator[Condition]:
    state = look.after
    if look.refused:
        yield "Ready", "False", "Frozen", look.refused
    else:
        yield "Ready", "True", "InForce", f"version {state.version} is published"
    if state.phase != "Ramping":
        yield "Progressing", "False", state.phase, state.message
    elif state.reason in STANDS_STILL:
        yield "Progressing", "False", state.reason, _with_needed(state)
    else:
        yield "Progressing", "True", state.reason or "Ramping", _with_needed(state)
    yield _gates_passing(look.evidence)
    mismatch = look.evidence.comparison.mismatch
    if mismatch:
        yield (
            "ComparisonValid",
            "False",
            "SampleRatioMismatch",
            f"step {mismatch.step + 1} has not the shares it should",
        )
    elif state.reason == "EvidenceLost":
        yield "ComparisonValid", "False", "EvidenceLost", state.message
    else:
        yield "ComparisonValid", "True", "AsPlanned", "units are divided as they should be"
    yield _flag("TooFewCallers", state.reason == "TooFewCallers", state)
    yield _flag("Stalled", state.reason == "DeadlineExceeded", state)
    yield _flag("RolledBack", state.phase == "RolledBack", state)
    yield _flag("Complete", state.phase == "Complete", state)


def _with_needed(state: RolloutState) -> str:
    return f"{state.message}; needed: {state.needed}" if state.needed else state.message


def _flag(name: str, is_so: bool, state: RolloutState) -> Condition:
    if is_so:
        return name, "True", state.reason or name, state.message
    return name, "False", "NotSo", ""


def _gates_passing(evidence: Evidence) -> Condition:
    gates = _gates(evidence)
    broken = sorted(name for name, reading in gates.items() if reading.state == "Broken")
    if broken:
        return "GatesPassing", "False", "Broken", ", ".join(broken)
    lagging = any(reading.reason == "JudgeLag" for reading in gates.values())
    if lagging:
        return "GatesPassing", "Unknown", "JudgeLag", "sessions wait too long for the judge"
    passing = [name for name, reading in gates.items() if reading.state == "OK"]
    if not passing:
        return "GatesPassing", "Unknown", "TooFewSessions", "too few scored sessions in the window"
    told = "" if len(passing) == len(gates) else "; the others have too few sessions"
    return "GatesPassing", "True", "OK", f"{len(passing)} of {len(gates)} gates{told}"


def _dated(conditions: list[Condition], before: Mapping[str, Any], generation: int, now: float) -> list[Object]:
    """The conditions with the time since when they say what they say."""
    earlier = {one["type"]: one for one in before.get("conditions") or []}
    dated = []
    for kind, status, reason, message in sorted(conditions):
        was = earlier.get(kind, {})
        since = was["lastTransitionTime"] if was.get("status") == status else _time(now)
        dated.append(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message[:LONGEST],
                "observedGeneration": generation,
                "lastTransitionTime": since,
            }
        )
    return dated
