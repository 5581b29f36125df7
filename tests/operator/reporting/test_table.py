"""The report in a terminal."""

from dataclasses import replace
from io import StringIO

import pytest
from reports import Run
from rich.console import Console

from sluicegate.records import ScoreRecord
from sluicegate_operator.reporting.report import Report
from sluicegate_operator.reporting.table import tables


def printed(report: Report, width: int = 100) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None, highlight=False)
    for part in tables(report):
        console.print(part)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("sessions", [0, 800])
def test_all_parts_are_there(sessions: int) -> None:
    """With many sessions and with none: every number that a decision rests on has its place."""
    text = printed(Run().sessions(sessions).report())
    for part in ("Ramp", "History", "Sessions", "Metrics", "Gates", "Worst-scored sessions", "judged by"):
        assert part in text
    assert "20 decides" in text
    assert "0% → 10%" in text
    assert "needed: " in text


def test_numbers_of_a_rollback() -> None:
    """The sentence, the shares, each variant's mean with its interval, and the judge's reasons."""
    report = Run(fall=1.0).sessions(400).report()
    text = printed(report)
    assert "rolled back, 0% of new callers get warm" in text
    assert "10% → 0%" in text
    assert f"{report.variants[0].metrics[0].mean:.2f} of {report.variants[0].metrics[0].count}" in text
    assert "step 1: warm was given to" in text
    assert f"{report.variants[1].metrics[-1].not_applicable} not applicable" in text
    assert "fits (evidence for a mismatch" in " ".join(text.split())
    assert "The agent earned" in text


def test_hostile_texts_are_shown_and_not_obeyed() -> None:
    """Markup, escape sequences and line ends in what callers and judges said come out as letters."""

    def hostile(_: int, record: ScoreRecord) -> ScoreRecord:
        return replace(record, reasons={"tone": "[bold red]\x1b]0;owned\x07\x1b[2J[/bold red]\r\nfake: OK"})

    text = printed(Run(edit=hostile).sessions(30).report())
    assert "[bold red]�]0;owned��[2J[/bold red] fake: OK" in text
    assert "\x1b]" not in text
    assert "\x1b[2J" not in text
    assert "\x07" not in text
