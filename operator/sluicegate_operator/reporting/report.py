"""The report of one run as a value, and as JSON: what is published, served, and printed by `sluicegate report --json`.

Times are Unix seconds, shares are 0 to 1, evidence is given as its natural logarithm where a name starts with `log_`:
ln 20 = 2.996 decides. Of what was said in sessions it holds nothing but the judge's reasons.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from sluicegate.gate import GateState, UnknownReason
from sluicegate.policy import Action, Severity
from sluicegate_operator.analysis.course import CoursePoint
from sluicegate_operator.analysis.evidence import MismatchReading, Seam
from sluicegate_operator.rollout.history import RampChange
from sluicegate_operator.rollout.state import Phase

SCHEMA = 1
"""Grows when a field changes its meaning or goes; new fields may come without it."""
MOST_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricMean:
    """One metric of one variant, over the compared sessions under the present judge revision."""

    metric: str
    count: int
    mean: float | None
    lower: float
    upper: float
    """95 % for the mean, at whatever moment one looks: 1 and 5 where there is no score."""
    given: tuple[int, ...]
    """How often each score from 1 to 5 was given."""
    not_applicable: int
    """Compared sessions that it did not apply to, over all judge revisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantReport:
    """One variant's sessions in the run, as far as the split assigned them."""

    name: str
    control: bool
    sessions: int
    """Judged, with a score or without one: scored + failed."""
    scored: int
    failed: int
    """Judgements that failed for good."""
    callers: int
    """Distinct units that entered the comparison."""
    compared: int
    """Over all judge revisions: scored − returning − late."""
    returning: int
    late: int
    metrics: tuple[MetricMean, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDifference:
    """Treatment less control, in points, weighted by the inverse of the chance of assignment."""

    metric: str
    primary: bool
    difference: float | None
    lower: float
    upper: float
    """95 %, at whatever moment one looks: −4 and 4 where nothing is known."""
    log_harm: float
    log_safety: float
    """For the margin of the present step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One planned step of the ramp, and the treatment's sessions that were assigned in it."""

    weight: float
    min_sessions: int
    margin: float
    """How much worse still counts as comparable, in points."""
    scored: int
    compared: int
    """Under the present judge revision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """One gate of one variant, over the sliding window."""

    variant: str
    gate: str
    state: GateState
    unknown_reason: UnknownReason
    count: int
    mean: float | None
    lower: float | None
    upper: float | None
    threshold: float
    severity: Severity
    action: Action
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BadSession:
    """One of the worst-scored sessions, with the judge's reasons where content is retained."""

    session_id: str
    variant: str
    average: float
    ended_at: float
    end_reason: str
    turn_count: int
    scores: Mapping[str, int | None]
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionReport:
    """What is decided of the run now."""

    kind: str
    """Hold, or Advance, Promote or RollBack at the controller's next look; RolledBack or Complete where it is over."""
    reason: str
    message: str
    needed: str
    """What would end the wait; empty where nothing is waited for."""
    expected_at: float | None = None
    """When the next decision may fall, if sessions go on as they come; None where that cannot be told."""
    deadline_at: float | None = None
    """When the step's time is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is known of one run, at one moment."""

    schema: int = SCHEMA
    at: float
    namespace: str
    agent: str
    experiment: str
    run_id: str
    phase: Phase
    treatment: str
    control: str
    step: int
    """Index from 0."""
    weight: float
    """The treatment's share of new units now."""
    started_at: float
    step_started_at: float
    decision: DecisionReport
    steps: tuple[StepReport, ...]
    history: tuple[RampChange, ...]
    variants: tuple[VariantReport, ...]
    """Treatment, then control."""
    differences: tuple[MetricDifference, ...]
    """The primary metric first."""
    margin: float
    """Of the present step."""
    evidence_for_harm: float
    evidence_for_safety: float
    """Neither is told as more than a billion; 20 decides."""
    log_harm: float
    log_safety: float
    course: tuple[CoursePoint, ...]
    """How both went, session by session, thinned."""
    gates: tuple[GateReport, ...]
    mismatches: tuple[MismatchReading, ...]
    comparison_valid: bool
    """False while shares do not fit, or after scores were lost."""
    lost: int
    """Scores of the run that Redis lost."""
    judge_revision: str
    judge_models: tuple[str, ...]
    """As which the judge answered."""
    seams: tuple[Seam, ...]
    refused: Mapping[str, int]
    waiting_for_turn: int
    """Scores that are compared when nobody can overtake them any more."""
    waiting_for_judge: int
    """Sessions of the agent, of whichever run."""
    worst: tuple[BadSession, ...]


def encode(report: Report) -> bytes:
    """JSON of at most 256 KiB: where it would be more, the worst sessions are left out, then the course is thinned."""
    for shown in (report, replace(report, worst=()), replace(report, worst=(), course=report.course[::8])):
        document = msgspec.json.encode(shown)
        if len(document) <= MOST_BYTES:
            return document
    raise ValueError(f"a report of {len(document)} bytes; at most {MOST_BYTES}")


def decode(document: bytes) -> Report:
    """The report again; ValueError if it is none, or of another schema."""
    try:
        report = msgspec.json.decode(document, type=Report)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a report: {error}") from error
    if report.schema != SCHEMA:
        raise ValueError(f"a report of schema {report.schema}; this version reads {SCHEMA}")
    return report
