"""An EvaluationPolicy resource as a value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluicegate.policy import (
    BUILT_IN_RUBRICS,
    DEFAULT_GATES,
    Budget,
    Capture,
    CustomPattern,
    GateRule,
    JudgeSettings,
    Policy,
    Price,
    Rubric,
    Window,
)
from sluicegate.resources.errors import FieldPath
from sluicegate.resources.pattern import fault_of

MAX_PATTERN_CHARS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResource:
    """The policy for an agent of a namespace."""

    namespace: str
    name: str
    agent: str
    policy: Policy
    source: str
    """Where it was read, for messages: `file:line`."""


def policy_resource(resource: Mapping[str, Any], source: str) -> PolicyResource:
    """The value of an EvaluationPolicy that is valid and has its defaults, as from `schema.check` or an API server.

    An API server does not know what `faulty_patterns` knows: ask it first.
    """
    metadata, spec = resource["metadata"], resource["spec"]
    policy = Policy(
        sampling_rate=float(spec["sampling"]["rate"]),
        judge=_judge(spec["judge"]),
        price=_price(spec["judge"].get("price")),
        budget=_budget(spec["judge"].get("budget") or {}),
        rubrics=_rubrics(spec.get("rubrics", ())),
        window=Window(seconds=spec["window"]["minutes"] * 60, min_sessions=spec["window"]["minSessions"]),
        gates=tuple(map(_gate, spec["gates"])) if "gates" in spec else DEFAULT_GATES,
        capture=_capture(spec["capture"]),
    )
    return PolicyResource(
        namespace=metadata["namespace"], name=metadata["name"], agent=spec["agent"], policy=policy, source=source
    )


def faulty_patterns(resource: Mapping[str, Any]) -> Iterator[tuple[FieldPath, str]]:
    """Path and message for every pattern of `spec.capture` that must not run; the resource may have other faults."""
    value: Any = resource
    path = ("spec", "capture", "patterns")
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    for index, own in enumerate(value if isinstance(value, list) else ()):
        pattern = own.get("pattern") if isinstance(own, dict) else None
        # Where it breaks the schema, that is what is told.
        if isinstance(pattern, str) and 0 < len(pattern) <= MAX_PATTERN_CHARS and (message := fault_of(pattern)):
            yield (*path, index, "pattern"), message


def _capture(capture: Mapping[str, Any]) -> Capture:
    return Capture(
        content=capture["content"],
        redact=tuple(capture["redact"]),
        patterns=tuple(CustomPattern(**own) for own in capture.get("patterns", ())),
    )


def _judge(judge: Mapping[str, Any]) -> JudgeSettings:
    temperature = judge["temperature"]
    return JudgeSettings(
        model=judge["model"],
        temperature=None if temperature is None else float(temperature),
        context=judge["context"],
        timeout=float(judge["timeoutSeconds"]),
        max_transcript_chars=judge["maxTranscriptChars"],
    )


def _price(price: Mapping[str, Any] | None) -> Price | None:
    return Price(input=float(price["input"]), output=float(price["output"])) if price else None


def _budget(budget: Mapping[str, Any]) -> Budget:
    money = budget.get("moneyPerDay")
    return Budget(
        sessions_per_hour=budget.get("sessionsPerHour"),
        tokens_per_hour=budget.get("tokensPerHour"),
        money_per_day=None if money is None else float(money),
    )


def _rubrics(own: Sequence[Mapping[str, Any]]) -> tuple[Rubric, ...]:
    """The built-in rubrics, replaced where there is an own one of the same name, then the other own ones."""
    rubrics = {rubric.name: rubric for rubric in BUILT_IN_RUBRICS}
    for rubric in own:
        rubrics[rubric["name"]] = Rubric(**rubric)
    return tuple(rubrics.values())


def _gate(gate: Mapping[str, Any]) -> GateRule:
    action = gate.get("action", "Rollback" if gate["severity"] == "critical" else "Alert")
    return GateRule(
        metric=gate["metric"],
        min=float(gate["min"]),
        severity=gate["severity"],
        action=action,
        confirm=gate.get("confirm", "UpperBound" if action == "Rollback" else "None"),
        recover_by=float(gate["recoverBy"]),
    )
