"""The differences between the variants and their intervals, as places in a picture: one row for each metric."""

import math
import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from sluicegate_operator.reporting.evidence_chart import Mark
from sluicegate_operator.reporting.report import MetricDifference, Report
from sluicegate_operator.reporting.words import signed

ROW = 46.0
TOP, BOTTOM, EDGE = 30.0, 26.0, 14.0
NUMBERS_WIDTH = 165.0
LETTER_WIDTH, BROAD_LETTER_WIDTH = 8.2, 13.5
"""Rather too much: which font there will be is not known here."""
BROAD = frozenset("mwMWQ@%&—…")
SMALLEST_RANGE, LARGEST_RANGE = 0.5, 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One metric: its name, its numbers, and where its interval and its difference are."""

    name: Mark
    numbers: Mark
    y: float
    lower: float
    upper: float
    difference: float | None
    primary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceChart:
    """One picture. Points worse are to the left of `zero`, better to its right."""

    width: float
    height: float
    top: float
    bottom: float
    zero: float
    margin: float
    ticks: tuple[Mark, ...]
    margin_name: Mark
    rows: tuple[Row, ...]


def difference_chart(report: Report, width: float) -> DifferenceChart | None:
    """The picture at this width; None where there is nothing to compare."""
    if not report.differences:
        return None
    reach = _reach(report)
    bottom = TOP + ROW * len(report.differences)

    def x(points: float) -> float:
        within = min(max(points, -reach), reach)
        return round(width / 2 + (width / 2 - EDGE) * within / reach, 1)

    return DifferenceChart(
        width=width,
        height=bottom + BOTTOM,
        top=TOP,
        bottom=bottom,
        zero=x(0),
        margin=x(-report.margin),
        ticks=tuple(Mark(x(tick), bottom + 18, _tick(tick)) for tick in _ticks(reach)),
        margin_name=Mark(x(-report.margin), TOP - 10, f"margin {signed(-report.margin)}"),
        rows=tuple(_row(of, TOP + ROW * number, width, x) for number, of in enumerate(report.differences)),
    )


def _row(of: MetricDifference, top: float, width: float, x: Callable[[float], float]) -> Row:
    return Row(
        name=Mark(EDGE, top + 16, _cut(of.metric, width - 2 * EDGE - NUMBERS_WIDTH)),
        numbers=Mark(width - EDGE, top + 16, f"{signed(of.difference)} ({signed(of.lower)} to {signed(of.upper)})"),
        y=top + 30,
        lower=x(of.lower),
        upper=x(of.upper),
        difference=None if of.difference is None else x(of.difference),
        primary=of.primary,
    )


def _cut(name: str, room: float) -> str:
    """As much of a name as there is room for; the table has it whole."""
    ends = list(accumulate(map(_width, name)))
    if not ends or ends[-1] <= room:
        return name
    return f"{name[: bisect_right(ends, room - BROAD_LETTER_WIDTH)]}…"


def _width(letter: str) -> float:
    is_broad = letter in BROAD or unicodedata.east_asian_width(letter) in "WF"
    return BROAD_LETTER_WIDTH if is_broad else LETTER_WIDTH


def _reach(report: Report) -> float:
    """Points to either side: of the widest interval, up to the next half."""
    widest = max(max(abs(of.lower), abs(of.upper)) for of in report.differences)
    needed = max(SMALLEST_RANGE, widest, 1.5 * report.margin)
    return min(LARGEST_RANGE, math.ceil(needed * 2) / 2)


def _ticks(reach: float) -> list[float]:
    width = 0.25 if reach <= 0.5 else 0.5 if reach <= 1 else 1.0
    count = int(reach / width)
    return [number * width for number in range(-count, count + 1)]


def _tick(points: float) -> str:
    return "0" if points == 0 else f"{points:+g}".replace("-", "−")
