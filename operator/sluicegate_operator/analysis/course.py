"""How the evidence went, session by session, thinned to as many points as a picture can show."""

from dataclasses import dataclass

from sluicegate.records import ScoreRecord
from sluicegate_operator.analysis.plan import Plan
from sluicegate_operator.analysis.safety import margin_at
from sluicegate_operator.analysis.segment import Segment

MOST_POINTS = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class CoursePoint:
    """The evidence after one session. Evidence is given as its natural logarithm."""

    sessions: int
    """Sessions compared in the run so far, over all judge revisions."""
    at: float
    """Unix seconds: when the session was assigned."""
    step: int
    revision: int
    """How often the judge had changed before; at each change new evidence begins."""
    margin: float
    """That the step asks for, in points."""
    log_harm: float
    log_safety: float
    """Of the primary metric, for that margin."""


class Course:
    """At most 240 points and one for each step and judge revision, evenly spread over the sessions."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._stride = 1
        self._revision = ""
        self._revisions = -1
        self._step = -1
        self._sessions = 0
        self._last: tuple[ScoreRecord, Segment] | None = None
        self._begins: list[CoursePoint] = []
        self._points: list[CoursePoint] = []

    def add(self, record: ScoreRecord, segment: Segment) -> None:
        """The next session that was compared, after its scores were bet on."""
        self._sessions += 1
        self._last = record, segment
        is_new = segment.revision != self._revision or record.step > self._step
        self._revisions += segment.revision != self._revision
        self._revision, self._step = segment.revision, max(self._step, record.step)
        if is_new:
            self._begins.append(self._point(record, segment))
        elif self._sessions % self._stride == 0:
            self._points.append(self._point(record, segment))
        if len(self._points) > MOST_POINTS:
            self._stride *= 2
            self._points = [point for point in self._points if point.sessions % self._stride == 0]

    @property
    def points(self) -> list[CoursePoint]:
        """In the order of the sessions; the last one is of the last session."""
        last = [self._point(*self._last)] if self._last else []
        by_session = {point.sessions: point for point in (*self._begins, *self._points, *last)}
        return [by_session[sessions] for sessions in sorted(by_session)]

    def _point(self, record: ScoreRecord, segment: Segment) -> CoursePoint:
        margin = margin_at(record.weight, self._plan.margin)
        return CoursePoint(
            sessions=self._sessions,
            at=record.assigned_at,
            step=self._step,
            revision=self._revisions,
            margin=margin,
            log_harm=segment.log_harm,
            log_safety=segment.metrics[self._plan.primary].safety.log_evidence(margin),
        )
