"""An entry of the log of scores or of failed judgements, with the moment at which it was written."""

from dataclasses import dataclass

from sluicegate.records import FailedJudgement, ScoreRecord
from sluicegate_operator.analysis.contrast import HIGHEST, LOWEST, treatment_probability
from sluicegate_operator.analysis.plan import Plan


@dataclass(frozen=True, slots=True)
class Arrival:
    """`at`: Unix seconds by Redis's clock, from the id of the entry."""

    at: float
    record: ScoreRecord | FailedJudgement
    entry: str = ""
    """The id of the entry in its log."""

    @property
    def assigned_at(self) -> float:
        """Unix seconds; a clock that is ahead of Redis's counts as Redis's."""
        return min(self.record.assigned_at, self.at)

    @property
    def probability(self) -> float:
        """π of the session: how likely a scored one was to be the treatment's."""
        record = self.record
        other = record.sampling_rate if record.other_sampling_rate is None else record.other_sampling_rate
        of_control = record.variant == record.control
        rates = (other, record.sampling_rate) if of_control else (record.sampling_rate, other)
        return treatment_probability(record.weight, *rates)


def belongs(record: ScoreRecord | FailedJudgement, plan: Plan) -> bool:
    """Whether the record is of the run."""
    return (record.experiment, record.run_id) == (plan.experiment, plan.run_id)


def unit_of(record: ScoreRecord | FailedJudgement, plan: Plan) -> str:
    """What was assigned: the caller, or the session where sessions are divided, or where nobody said who called."""
    by_caller = plan.unit == "Caller" and record.caller_hash
    return f"caller/{record.caller_hash}" if by_caller else f"session/{record.session_id}"


def fault_in(arrival: Arrival, plan: Plan) -> str:
    """Why a record of the run cannot be compared; empty if it can."""
    record = arrival.record
    if record.variant not in (plan.treatment, plan.control):
        return "unknown variant"
    if record.reason != "SPLIT":
        return "not assigned by the split"
    if record.step < 0 or not 0 < arrival.probability < 1:
        return "no share to compare"
    if isinstance(record, ScoreRecord) and not all(_is_score(score) for score in record.scores.values()):
        return "score out of range"
    return ""


def _is_score(score: int | None) -> bool:
    return score is None or (type(score) is int and LOWEST <= score <= HIGHEST)
