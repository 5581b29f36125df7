"""Numbers as people read them."""

import math

from sluicegate_operator.analysis.evidence import MetricReading
from sluicegate_operator.analysis.plan import Plan

LARGEST_SHOWN = math.log(10_000)
SMALLEST_SHOWN = 0.001


def evidence_shown(log_evidence: float) -> str:
    """Evidence from its logarithm, which may be far beyond what a number can hold."""
    if log_evidence > LARGEST_SHOWN:
        return "over 10000"
    evidence = math.exp(log_evidence)
    if evidence < SMALLEST_SHOWN:
        return f"under {SMALLEST_SHOWN:g}"
    return f"{evidence:.0f}" if evidence >= 100 else f"{evidence:.3g}"


def mean_shown(mean: float | None) -> str:
    return "–" if mean is None else f"{mean:.2f}"


def means_shown(reading: MetricReading, plan: Plan) -> str:
    """`tone 4.10 (50 sessions of warm) against 4.05 (450 of control)`."""
    return (
        f"{reading.metric} {mean_shown(reading.treatment_mean)} ({reading.treatment_count} sessions of "
        f"{plan.treatment}) against {mean_shown(reading.control_mean)} ({reading.control_count} of {plan.control})"
    )
