"""The evidence for harm and for safety over the sessions, as the places of lines and labels in a picture.

Logarithmic, with the line of 20 that either decides at. What is beyond the scale is drawn at its edge.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from sluicegate_operator.analysis.bets import LINE
from sluicegate_operator.analysis.course import CoursePoint
from sluicegate_operator.reporting.report import Report
from sluicegate_operator.reporting.words import share
from sluicegate_operator.rollout.sentences import evidence_shown

LOWEST_DECADE, HIGHEST_DECADE = -3, 4
TOP, BOTTOM, LEFT = 30.0, 44.0, 54.0
LINE_HEIGHT = 15.0
NAME_HEIGHT = 2 * LINE_HEIGHT
LABEL_WIDTH = 44.0
"""Of what stands at the top of a step."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A text at a place, in the picture's units."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Course:
    """One line, in as many pieces as it was begun anew, and its name at its end."""

    kind: str
    paths: tuple[str, ...]
    """As SVG writes them."""
    names: tuple[Mark, Mark]
    """What it is, and where it stands now, beside its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceChart:
    """One picture. `right` and `bottom` are those of the area that the lines are in."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    decades: tuple[Mark, ...]
    sessions: tuple[Mark, ...]
    deciding: Mark
    lines: tuple[Course, ...]
    steps: tuple[Mark, ...]
    seams: tuple[Mark, ...]


def evidence_chart(report: Report, width: float, height: float, label_room: float) -> EvidenceChart | None:
    """The picture at this size, with so much room at the right for the names; None without a compared session."""
    points = report.course
    if not points:
        return None
    scale = _Scale(points, width - label_room, height)
    harm = _pieces(points, lambda point: (point.revision,), lambda point: point.log_harm, scale)
    safety = _pieces(points, lambda point: (point.revision, point.step), lambda point: point.log_safety, scale)
    ends = _apart(scale.y(points[-1].log_harm), scale.y(points[-1].log_safety), scale)
    beside = scale.right + 6
    return EvidenceChart(
        width=width,
        height=height,
        left=LEFT,
        right=scale.right,
        top=TOP,
        bottom=scale.bottom,
        decades=tuple(Mark(LEFT - 8, scale.decade(d) + 4, _decade(d)) for d in range(scale.low, scale.high + 1)),
        sessions=tuple(Mark(scale.x(n), scale.bottom + 18, f"{n}") for n in _round_numbers(scale.most)),
        deciding=Mark(LEFT + 6, scale.y(math.log(LINE)) - 6, "20 decides"),
        lines=(
            Course("harm", harm, _names("harm", report.log_harm, beside, ends[0])),
            Course("safety", safety, _names("safety", report.log_safety, beside, ends[1])),
        ),
        steps=tuple(_steps(report, scale)),
        seams=tuple(
            Mark(scale.x(first.sessions), scale.bottom - 6, "new judge")
            for before, first in pairwise(points)
            if before.revision != first.revision
        ),
    )


class _Scale:
    """From sessions and evidence to places."""

    def __init__(self, points: Sequence[CoursePoint], right: float, height: float) -> None:
        logs = [log / math.log(10) for point in points for log in (point.log_harm, point.log_safety)]
        self.low = max(LOWEST_DECADE, min(-1, math.floor(min(logs))))
        self.high = min(HIGHEST_DECADE, max(2, math.ceil(max(logs))))
        self.most = max(1, points[-1].sessions)
        self.right = right
        self.bottom = height - BOTTOM

    def x(self, sessions: float) -> float:
        return round(LEFT + (self.right - LEFT) * sessions / self.most, 1)

    def decade(self, exponent: float) -> float:
        within = min(max(exponent, self.low), self.high)
        return round(self.bottom - (self.bottom - TOP) * (within - self.low) / (self.high - self.low), 1)

    def y(self, log_evidence: float) -> float:
        return self.decade(log_evidence / math.log(10))


def _pieces(
    points: Iterable[CoursePoint],
    of_piece: Callable[[CoursePoint], tuple[int, ...]],
    log_of: Callable[[CoursePoint], float],
    scale: _Scale,
) -> tuple[str, ...]:
    pieces = []
    for _, group in groupby(points, key=of_piece):
        places = [(scale.x(point.sessions), scale.y(log_of(point))) for point in group]
        if len(places) == 1:  # A line of no length, which a round end makes a dot.
            places *= 2
        pieces.append("M" + "L".join(f"{x:g} {y:g}" for x, y in places))
    return tuple(pieces)


def _names(kind: str, log_evidence: float, x: float, middle: float) -> tuple[Mark, Mark]:
    return Mark(x, middle - 2, kind), Mark(x, middle - 2 + LINE_HEIGHT, evidence_shown(log_evidence))


def _apart(first: float, second: float, scale: _Scale) -> tuple[float, float]:
    """The middles of two names beside two ends: not over each other, and both inside."""
    low, high = sorted((first, second))
    if high - low < NAME_HEIGHT:
        middle = min(max((low + high) / 2, TOP + NAME_HEIGHT / 2), scale.bottom - NAME_HEIGHT / 2)
        low, high = middle - NAME_HEIGHT / 2, middle + NAME_HEIGHT / 2
    return (low, high) if first <= second else (high, low)


def _steps(report: Report, scale: _Scale) -> Iterable[Mark]:
    """Where the steps begin, each with its share; those too close to the one before go without."""
    last, room_from = -1, 0.0
    for point in report.course:
        if point.step <= last:
            continue
        last, x = point.step, scale.x(max(0, point.sessions - 1))
        has_room = x >= room_from and x + LABEL_WIDTH <= scale.right + 40
        weight = report.steps[point.step].weight if point.step < len(report.steps) else None
        yield Mark(x, TOP - 8, share(weight) if weight is not None and has_room else "")
        room_from = x + LABEL_WIDTH if has_room else room_from


def _decade(exponent: int) -> str:
    return f"{10.0**exponent:g}"


def _round_numbers(most: int) -> list[int]:
    """0 and at most five more, evenly, in ones, twos or fives."""
    rough = most / 4
    size = 10 ** math.floor(math.log10(max(1, rough)))
    width = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return list(range(0, most + 1, int(width)))
