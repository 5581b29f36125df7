"""From state, evidence and recording to the report. Pure."""

import math
from collections.abc import Sequence

from sluicegate.keys import Keys
from sluicegate.records import ScoreRecord, SeriesGates
from sluicegate_operator.analysis.evidence import Comparison, Evidence, MetricReading
from sluicegate_operator.analysis.interval import difference_interval
from sluicegate_operator.analysis.mean_interval import mean_interval
from sluicegate_operator.analysis.plan import Plan
from sluicegate_operator.analysis.recording import Recording
from sluicegate_operator.analysis.safety import margin_at
from sluicegate_operator.reporting.report import (
    BadSession,
    DecisionReport,
    GateReport,
    MetricDifference,
    MetricMean,
    Report,
    StepReport,
    VariantReport,
)
from sluicegate_operator.rollout.forecast import seconds_to_decision
from sluicegate_operator.rollout.gating import FRESH_SECONDS
from sluicegate_operator.rollout.reconcile import due
from sluicegate_operator.rollout.state import RolloutState
from sluicegate_operator.rollout.verdicts import Hold, RollBack

WORST_SHOWN = 5
"""Of each variant."""
MOST_REASON_CHARS = 600
LARGEST_EVIDENCE = 1e9
WITHIN = 0.001
"""Points, to which the bounds of differences are found: two digits are shown, and each further one takes time."""


def worst_entries(recording: Recording, plan: Plan) -> list[str]:
    """The log entries that `report_of` wants, read again, as `worst`."""
    return [entry for variant in (plan.treatment, plan.control) for entry in recording.worst.entries(variant)]


def report_of(
    keys: Keys,
    state: RolloutState,
    evidence: Evidence,
    recording: Recording,
    worst: Sequence[ScoreRecord],
    waiting_for_judge: int,
    now: float,
) -> Report:
    """The report of a run at `now`. `worst`: those of `worst_entries` that are still there, in their order."""
    comparison, plan = evidence.comparison, state.plan
    weight = _weight(state)
    margin = margin_at(_step_weight(state, state.step), plan.margin)
    log_safety = comparison.primary.log_safety[margin] if comparison.primary else 0.0
    return Report(
        at=now,
        namespace=keys.namespace,
        agent=keys.agent,
        experiment=state.experiment,
        run_id=state.run_id,
        phase=state.phase,
        treatment=plan.treatment,
        control=plan.control,
        step=state.step,
        weight=weight,
        started_at=state.started_at,
        step_started_at=state.step_started_at,
        decision=_decision(state, evidence, now),
        steps=_steps(state, comparison),
        history=state.history,
        variants=tuple(_variant(name, comparison, recording) for name in (plan.treatment, plan.control)),
        differences=_differences(comparison, recording, margin),
        margin=margin,
        evidence_for_harm=_evidence(comparison.log_harm),
        evidence_for_safety=_evidence(log_safety),
        log_harm=comparison.log_harm,
        log_safety=log_safety,
        course=tuple(recording.course.points),
        gates=(*_gates(plan.treatment, evidence.treatment, now), *_gates(plan.control, evidence.control, now)),
        mismatches=comparison.mismatches,
        comparison_valid=comparison.mismatch is None and not state.lost,
        lost=state.lost,
        judge_revision=comparison.revision,
        judge_models=recording.models,
        seams=comparison.seams,
        refused=comparison.refused,
        waiting_for_turn=comparison.waiting,
        waiting_for_judge=waiting_for_judge,
        worst=_worst(worst, plan),
    )


def _evidence(log_evidence: float) -> float:
    return math.exp(min(log_evidence, math.log(LARGEST_EVIDENCE)))


def _step_weight(state: RolloutState, step: int) -> float:
    """The share of a planned step, less what is held back."""
    if state.resource:
        return state.resource.in_force(min(step, len(state.resource.steps) - 1)).weight
    return state.plan.weights[min(step, len(state.plan.weights) - 1)]


def _weight(state: RolloutState) -> float:
    if state.phase == "Ramping":
        return _step_weight(state, state.step)
    return 1.0 if state.phase == "Complete" else 0.0


def _decision(state: RolloutState, evidence: Evidence, now: float) -> DecisionReport:
    """What the controller decides on this evidence; of a state that does not say what is asked for, what it decided."""
    resource = state.resource
    decision = due(resource, state, evidence, now) if resource else None
    if resource is None or decision is None:
        kind = "Hold" if state.phase == "Ramping" else state.phase
        return DecisionReport(kind=kind, reason=state.reason, message=state.message, needed=state.needed)
    deadline_at = state.step_started_at + resource.deadline_seconds
    if not isinstance(decision, Hold):
        reason = decision.reason if isinstance(decision, RollBack) else ""
        name = type(decision).__name__
        return DecisionReport(kind=name, reason=reason, message=decision.message, needed="", deadline_at=deadline_at)
    seconds = seconds_to_decision(state, decision, evidence.comparison, now)
    return DecisionReport(
        kind="Hold",
        reason=decision.reason,
        message=decision.message,
        needed=decision.needed,
        expected_at=None if seconds is None else now + seconds,
        deadline_at=deadline_at,
    )


def _steps(state: RolloutState, comparison: Comparison) -> tuple[StepReport, ...]:
    planned = state.resource.steps if state.resource else ()
    return tuple(
        StepReport(
            weight=_step_weight(state, index),
            min_sessions=step.min_sessions,
            margin=margin_at(_step_weight(state, index), comparison.plan.margin),
            scored=comparison.scored_in_step.get(index, 0),
            compared=comparison.counted_in_step.get(index, 0),
        )
        for index, step in enumerate(planned)
    )


def _variant(name: str, comparison: Comparison, recording: Recording) -> VariantReport:
    of, is_control = comparison.variants[name], name == comparison.plan.control
    return VariantReport(
        name=name,
        control=is_control,
        sessions=of.scored + of.failed,
        scored=of.scored,
        failed=of.failed,
        callers=sum(test.control if is_control else test.treatment for test in comparison.mismatches),
        compared=of.counted,
        returning=of.returning,
        late=of.late,
        metrics=tuple(
            _mean(reading, recording.given(name, reading.metric), is_control, of.not_applicable.get(reading.metric, 0))
            for reading in _primary_first(comparison)
        ),
    )


def _mean(reading: MetricReading, given: tuple[int, ...], is_control: bool, not_applicable: int) -> MetricMean:
    lower, upper = mean_interval(given)
    return MetricMean(
        metric=reading.metric,
        count=reading.control_count if is_control else reading.treatment_count,
        mean=reading.control_mean if is_control else reading.treatment_mean,
        lower=lower,
        upper=upper,
        given=given,
        not_applicable=not_applicable,
    )


def _primary_first(comparison: Comparison) -> list[MetricReading]:
    return sorted(comparison.metrics, key=lambda reading: (reading.metric != comparison.plan.primary, reading.metric))


def _differences(comparison: Comparison, recording: Recording, margin: float) -> tuple[MetricDifference, ...]:
    found = []
    for reading in _primary_first(comparison):
        lower, upper = difference_interval(recording.contrasts(reading.metric), WITHIN)
        found.append(
            MetricDifference(
                metric=reading.metric,
                primary=reading.metric == comparison.plan.primary,
                difference=recording.difference(reading.metric),
                lower=lower,
                upper=upper,
                log_harm=reading.log_harm,
                log_safety=reading.log_safety[margin],
            )
        )
    return tuple(found)


def _gates(variant: str, of: SeriesGates | None, now: float) -> list[GateReport]:
    """The gates of a variant. Those that nobody renewed for a minute are told as unknown, with their last numbers."""
    if of is None:
        return []
    is_stale = now - of.at / 1000 > FRESH_SECONDS
    return [
        GateReport(
            variant=variant,
            gate=gate,
            state="Unknown" if is_stale else reading.state,
            unknown_reason="JudgeLag" if is_stale else reading.reason,
            count=reading.count,
            mean=reading.mean,
            lower=reading.lower,
            upper=reading.upper,
            threshold=reading.threshold,
            severity=reading.severity,
            action=reading.action,
            since=reading.since / 1000,
        )
        for gate, reading in sorted(of.gates.items())
    ]


def _worst(records: Sequence[ScoreRecord], plan: Plan) -> tuple[BadSession, ...]:
    shown = []
    for variant in (plan.treatment, plan.control):
        of_variant = [record for record in records if record.variant == variant]
        shown += [_bad_session(record) for record in of_variant[:WORST_SHOWN]]
    return tuple(shown)


def _bad_session(record: ScoreRecord) -> BadSession:
    return BadSession(
        session_id=record.session_id,
        variant=record.variant,
        average=record.average or 0.0,
        ended_at=record.ended_at,
        end_reason=record.end_reason,
        turn_count=record.turn_count,
        scores=record.scores,
        reasons={metric: _cut(reason) for metric, reason in record.reasons.items()},
    )


def _cut(reason: str) -> str:
    return reason if len(reason) <= MOST_REASON_CHARS else f"{reason[: MOST_REASON_CHARS - 1]}…"
