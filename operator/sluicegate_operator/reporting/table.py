"""The report as tables for a terminal. All texts in it are shown, never obeyed: no markup, no control characters."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sluicegate_operator.reporting import outlook
from sluicegate_operator.reporting.report import MetricDifference, MetricMean, Report
from sluicegate_operator.reporting.words import moment, score, share, signed, visible
from sluicegate_operator.rollout.sentences import evidence_shown


def tables(report: Report) -> Iterator[RenderableType]:
    """What to print, one after the other."""
    yield _text(outlook.headline(report), "bold")
    yield _text(moment(report.at))
    yield _text(report.decision.message)
    if report.decision.needed:
        yield _text(f"needed: {report.decision.needed}")
    if expected := outlook.expectation(report):
        yield _text(expected)
    yield _text(
        f"evidence for harm {evidence_shown(report.log_harm)}, for safety {evidence_shown(report.log_safety)} at a "
        f"margin of {report.margin:g} points; 20 decides"
    )
    yield _ramp(report)
    yield _history(report)
    yield _variants(report)
    yield _metrics(report)
    yield _gates(report)
    yield from map(_text, _notes(report))
    yield from _worst(report)


def _text(content: str, style: str = "") -> Text:
    return Text(visible(content), style=style)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> RenderableType:
    """Numbers to the right: every column but those whose name starts with a capital."""
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(_text(column.lower()), justify="left" if column[:1].isupper() else "right")
    for row in rows:
        table.add_row(*(Text("\n").join(map(_text, cell.split("\n"))) for cell in row))
    return table if rows else _text(f"{title}: none")


def _ramp(report: Report) -> RenderableType:
    rows = [
        (
            f"{number + 1}/{len(report.steps)}",
            share(step.weight),
            f"{step.compared} of {step.min_sessions}",
            f"{step.margin:g}",
            outlook.place_of_step(report, number),
        )
        for number, step in enumerate(report.steps)
    ]
    return _table("Ramp", ("step", "share", "sessions", "margin", "State"), rows)


def _history(report: Report) -> RenderableType:
    rows = [
        (moment(change.at), f"{share(change.before)} → {share(change.after)}", change.message)
        for change in report.history
    ]
    return _table("History", ("When", "share", "Why"), rows)


def _variants(report: Report) -> RenderableType:
    rows = [
        (
            of.name,
            *map(str, (of.sessions, of.scored, of.failed, of.callers, of.compared, of.returning, of.late)),
        )
        for of in report.variants
    ]
    columns = ("Variant", "sessions", "scored", "failed", "callers", "compared", "returning", "late")
    return _table("Sessions", columns, rows)


def _metrics(report: Report) -> RenderableType:
    treatment, control = report.variants
    rows = [
        (
            of.metric + (" *" if of.primary else ""),
            _mean(in_treatment),
            _mean(in_control),
            _difference(of),
            evidence_shown(of.log_harm),
            evidence_shown(of.log_safety),
        )
        for of, in_treatment, in_control in zip(report.differences, treatment.metrics, control.metrics, strict=True)
    ]
    columns = ("Metric", treatment.name, control.name, "difference", "harm", "safety")
    return _table("Metrics, with 95 % intervals that hold whenever one looks (* decides)", columns, rows)


def _mean(of: MetricMean) -> str:
    if of.mean is None:
        return "–"
    not_applicable = f"\n{of.not_applicable} not applicable" if of.not_applicable else ""
    return f"{score(of.mean)} of {of.count}\n{score(of.lower)} to {score(of.upper)}{not_applicable}"


def _difference(of: MetricDifference) -> str:
    return f"{signed(of.difference)}\n{signed(of.lower)} to {signed(of.upper)}"


def _gates(report: Report) -> RenderableType:
    rows = [
        (
            gate.variant,
            gate.gate,
            f"{gate.threshold:g}",
            outlook.gate_numbers(gate),
            str(gate.count),
            gate.severity,
            outlook.gate_state(gate),
        )
        for gate in report.gates
    ]
    return _table("Gates", ("Variant", "Gate", "floor", "mean", "of", "Severity", "State"), rows)


def _notes(report: Report) -> Iterator[str]:
    for test in report.mismatches:
        yield f"shares of step {test.step + 1}: {report.treatment} was given to {outlook.mismatch(test)}"
    yield f"judged by: {outlook.judge(report)}"
    yield from outlook.seams(report)
    yield from outlook.left_out(report)


def _worst(report: Report) -> Iterator[RenderableType]:
    yield Text()
    yield _text("Worst-scored sessions" if report.worst else "Worst-scored sessions: none", "bold")
    for session in report.worst:
        yield _text(
            f"{score(session.average)}  {session.variant}  {session.session_id}  ({session.end_reason.lower()}, "
            f"{session.turn_count} turns, {moment(session.ended_at)})"
        )
        for metric, given in session.scores.items():
            reason = session.reasons.get(metric, "")
            shown = "not applicable" if given is None else str(given)
            yield Padding(_text(f"{metric}: {shown}{f', {reason}' if reason else ''}"), (0, 0, 0, 4))
