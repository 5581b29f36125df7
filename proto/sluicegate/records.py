"""The records that one side writes to Redis and the other reads, as MessagePack maps."""

from dataclasses import dataclass, field

from sluicegate.gate import GateState, UnknownReason
from sluicegate.policy import Action, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRecord:
    """One scored session: an entry of the score log. Times are Unix seconds."""

    session_id: str
    caller_hash: str
    """Keyed hash of the caller; empty if the session had none."""
    experiment: str = ""
    run_id: str = ""
    variant: str = ""
    control: str = ""
    """The name of the experiment's control, whichever variant this session had."""
    reason: str = ""
    """Why the session had its variant; the analysis takes SPLIT only."""
    step: int = 0
    weight: float = 0.0
    """Treatment's share when the session was assigned."""
    sampling_rate: float
    """At which sessions of this variant are meant to be sampled."""
    other_sampling_rate: float | None = None
    """The same for the other variant; None: the same rate."""
    assigned_at: float = 0.0
    ended_at: float
    end_reason: str
    turn_count: int
    truncated: bool
    scores: dict[str, int | None]
    """Metric → 1 to 5, or None where it does not apply."""
    reasons: dict[str, str]
    judge_revision: str
    judge_model: str
    prompt_tokens: int = 0
    """Over all attempts, the failed ones too; so the completion tokens, and the cost."""
    completion_tokens: int = 0
    cost: float = 0.0
    """Money, by the price of the policy at that time; 0 where it has none."""

    @property
    def average(self) -> float | None:
        """Mean of the applicable scores; None if none applies."""
        values = [value for value in self.scores.values() if value is not None]
        return sum(values) / len(values) if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedJudgement:
    """A session that could not be judged, without what was said in it. Times are Unix seconds."""

    session_id: str
    caller_hash: str
    experiment: str = ""
    run_id: str = ""
    variant: str = ""
    control: str = ""
    reason: str = ""
    step: int = 0
    weight: float = 0.0
    sampling_rate: float
    other_sampling_rate: float | None = None
    assigned_at: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What judging one session cost: the part of a ScoreRecord or a FailedJudgement that a budget looks at."""

    sampling_rate: float
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReading:
    """One gate of one series: its state and the numbers that it rests on. Times are Unix milliseconds."""

    state: GateState
    reason: UnknownReason
    latched: bool
    since: int
    count: int
    mean: float | None = None
    lower: float | None = None
    upper: float | None = None
    threshold: float
    severity: Severity
    action: Action = "Alert"
    """What is due; Alert while the gate is not broken. Until it recovers it never falls back from Pause to Alert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesGates:
    """All gates of one series, as of `at` (Unix milliseconds), under one judge revision."""

    at: int
    revision: str
    sessions: int
    """Scored sessions in the window."""
    gates: dict[str, GateReading] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """A variant shut out for the rest of its run, and the gate that did it. `at` in Unix milliseconds."""

    series: str
    gate: str
    count: int
    mean: float
    upper: float
    threshold: float
    severity: Severity
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GateEvent:
    """A transition of one gate of one series."""

    series: str
    gate: str
    before: GateState
    after: GateState
    action: Action
    """What was due: Rollback (the variant is halted), Pause (the ramp stands still), or Alert."""
    halted: bool
    """Whether this very event halted the variant."""
    shared_cause: bool
    """Whether control's gate was broken too, so that nothing was halted."""
    reading: GateReading
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is published on the notices channel: a halt to obey now, or, with none, a snapshot to fetch."""

    halt: Halt | None = field(default=None)
