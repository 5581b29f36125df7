"""What a report says beside its numbers: sentences that the table and the page share."""

from sluicegate_operator.analysis.evidence import MismatchReading
from sluicegate_operator.reporting.report import GateReport, Report
from sluicegate_operator.reporting.words import duration, moment, score, share
from sluicegate_operator.rollout.sentences import evidence_shown

PHASES = {"Ramping": "ramping", "RolledBack": "rolled back", "Complete": "complete"}


def expectation(report: Report) -> str:
    """When the next decision may fall; empty where nothing is to be decided any more."""
    decision = report.decision
    if decision.kind in ("RolledBack", "Complete"):
        return ""
    if decision.kind != "Hold":
        return "Decided at the controller's next look."
    deadline = ""
    if decision.deadline_at is not None:
        left = decision.deadline_at - report.at
        told = f"ends in {duration(left)}" if left > 0 else f"ended {duration(-left)} ago"
        deadline = f" The time for this step {told}."
    if decision.expected_at is None:
        return f"When the next decision falls cannot be told yet.{deadline}"
    left = max(0.0, decision.expected_at - report.at)
    return f"Next decision in about {duration(left)}, if sessions go on as they come.{deadline}"


def mismatch(test: MismatchReading) -> str:
    """Whether the shares of one step fit."""
    units = test.treatment + test.control
    told = f"{test.treatment} of {units} callers, where {test.expected_treatment:.0f} were to be expected"
    evidence = f"evidence for a mismatch {evidence_shown(test.log_factor)}, 1000 alarms"
    return f"{told}: {'does not fit' if test.alarmed else 'fits'} ({evidence})"


def gate_state(gate: GateReport) -> str:
    """The state in words, with the reason where nothing is known."""
    reasons = {"TooFewSessions": "unknown: too few sessions", "JudgeLag": "unknown: the judge lags", "": "unknown"}
    return reasons[gate.unknown_reason] if gate.state == "Unknown" else gate.state


def gate_numbers(gate: GateReport) -> str:
    """The mean with its bounds, or a dash."""
    if gate.mean is None:
        return "–"
    return f"{score(gate.mean)} ({score(gate.lower)} to {score(gate.upper)})"


def left_out(report: Report) -> list[str]:
    """Sessions that are not compared, or not yet, and why."""
    lines = [f"{count} left out: {fault}" for fault, count in sorted(report.refused.items())]
    if report.lost:
        lines.append(f"{report.lost} scores of this run were lost by Redis; new evidence began after that")
    if report.waiting_for_turn:
        lines.append(f"{report.waiting_for_turn} scored, and compared when nobody can overtake them any more")
    if report.waiting_for_judge:
        lines.append(f"{report.waiting_for_judge} sessions of the agent wait for the judge")
    return lines


def seams(report: Report) -> list[str]:
    """Where the judge changed, and with it the evidence began anew."""
    return [
        f"{moment(seam.at)}: judge revision {seam.before} → {seam.after}; new evidence began, and the scores of "
        f"{seam.counted_treatment} sessions of {report.treatment} and {seam.counted_control} of {report.control} were "
        "put aside"
        for seam in report.seams
    ]


def judge(report: Report) -> str:
    """Who judged, by the name in its answers."""
    names = ", ".join(report.judge_models) or "nobody yet"
    revision = f", revision {report.judge_revision}" if report.judge_revision else ""
    return f"{names}{revision}"


def headline(report: Report) -> str:
    """Whose report it is, and how the run stands."""
    return (
        f"{report.experiment}, run {report.run_id} of {report.namespace}/{report.agent}: {PHASES[report.phase]}, "
        f"{share(report.weight)} of new callers get {report.treatment}"
    )


def place_of_step(report: Report, step: int) -> str:
    """passed, now, stopped (rolled back there), ahead or unreached."""
    if step < report.step or report.phase == "Complete":
        return "passed"
    if step > report.step:
        return "ahead" if report.phase == "Ramping" else "unreached"
    return "stopped" if report.phase == "RolledBack" else "now"
