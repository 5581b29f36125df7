"""The comparison of a run, entry of the log by entry: who counts, in which order, under which judge.

Each rule is there because the premise of the bets needs it: before a score is seen, its session's chance to be the
treatment's is known. So sessions are taken in order of assignment, a caller counts once in a run, with the first
session or not at all, and what nobody could foresee leaves nothing out of one variant only.
"""

from collections import Counter

from sluicegate.records import FailedJudgement, ScoreRecord
from sluicegate_operator.analysis.account import VariantAccount
from sluicegate_operator.analysis.arrival import Arrival, belongs, fault_in, unit_of
from sluicegate_operator.analysis.evidence import (
    Comparison,
    MetricReading,
    MismatchReading,
    Seam,
    VariantReading,
)
from sluicegate_operator.analysis.metric import MetricEvidence
from sluicegate_operator.analysis.mismatch import Mismatch
from sluicegate_operator.analysis.ordering import WaitingRoom
from sluicegate_operator.analysis.plan import Plan
from sluicegate_operator.analysis.segment import Observer, Segment


class Analysis:
    """The state of one run's comparison. Constant time for each score; memory for each caller."""

    def __init__(self, plan: Plan, observer: Observer | None = None) -> None:
        self.plan = plan
        self._observer = observer
        self._entries = 0
        self._room = WaitingRoom(plan.wait)
        self._first: dict[str, str] = {}
        """Unit → its first session in the run, for as many units as there are."""
        self._variants = {name: VariantAccount() for name in (plan.treatment, plan.control)}
        self._scored_in_step: Counter[int] = Counter()
        self._mismatches: dict[int, Mismatch] = {}
        self._refused: Counter[str] = Counter()
        self._segment: Segment | None = None
        self._seams: list[Seam] = []

    def arrive(self, arrival: Arrival) -> None:
        """The next entry of the logs. Entries come in the order of their time, as the logs hold them."""
        if not belongs(arrival.record, self.plan):
            return
        self._entries += isinstance(arrival.record, ScoreRecord)
        self.advance(arrival.at)
        if self._room.is_late(arrival):
            self._take(arrival, late=True)
        else:
            self._room.enter(arrival)

    def advance(self, now: float) -> None:
        """Takes what nobody can overtake any more. `now`: Unix seconds by Redis's clock; every later entry is later."""
        for arrival in self._room.leaving(now):
            self._take(arrival, late=False)

    def _take(self, arrival: Arrival, *, late: bool) -> None:
        """One session of the run, in its turn, or late."""
        record, unit = arrival.record, unit_of(arrival.record, self.plan)
        first = self._first.get(unit)
        is_new = first is None
        self._first.setdefault(unit, record.session_id)
        fault = fault_in(arrival, self.plan) or self._fault_of_judge(record)
        if first == record.session_id:
            fault = "duplicate"
        if fault:
            self._refused[fault] += 1
            return
        is_treatment = record.variant == self.plan.treatment
        if is_new:
            self._mismatches.setdefault(record.step, Mismatch()).add(is_treatment, arrival.probability)
        account = self._variants[record.variant]
        if not isinstance(record, ScoreRecord):
            account.failed += 1
            return
        if self._observer:
            self._observer.scored(arrival)
        account.scored += 1
        self._scored_in_step[record.step] += is_treatment
        if late:
            account.late += 1
        elif not is_new:
            account.returning += 1
        else:
            self._count(record, arrival.probability, is_treatment)

    def _fault_of_judge(self, record: ScoreRecord | FailedJudgement) -> str:
        """Evidence goes from one judge revision to the next, never back."""
        past = isinstance(record, ScoreRecord) and any(seam.before == record.judge_revision for seam in self._seams)
        return "judge revision of the past" if past else ""

    def _count(self, record: ScoreRecord, probability: float, is_treatment: bool) -> None:
        account = self._variants[record.variant]
        account.counted += 1
        account.not_applicable.update(name for name, score in record.scores.items() if score is None)
        segment = self._segment
        if segment is None or segment.revision != record.judge_revision:
            if segment:
                self._seams.append(_seam(segment, record))
            segment = self._segment = Segment.first(record, self.plan)
        bet_on = segment.add(record, is_treatment, probability)
        if self._observer:
            self._observer.counted(record, probability, segment, bet_on)

    def reading(self) -> Comparison:
        """All that is known now, as a value."""
        segment = self._segment or Segment("", {})
        return Comparison(
            plan=self.plan,
            revision=segment.revision,
            metrics=tuple(_metric(name, evidence) for name, evidence in segment.metrics.items()),
            log_harm=segment.log_harm,
            counted_treatment=segment.treatment,
            counted_control=segment.control,
            counted_in_step=dict(segment.in_step),
            scored_in_step=dict(self._scored_in_step),
            variants={name: _variant(account) for name, account in self._variants.items()},
            mismatches=tuple(_mismatch(step, test) for step, test in sorted(self._mismatches.items())),
            seams=tuple(self._seams),
            refused=dict(self._refused),
            waiting=len(self._room.waiting),
            entries=self._entries,
        )


def _seam(segment: Segment, record: ScoreRecord) -> Seam:
    return Seam(
        at=record.assigned_at,
        before=segment.revision,
        after=record.judge_revision,
        counted_treatment=segment.treatment,
        counted_control=segment.control,
        log_harm=segment.log_harm,
    )


def _metric(name: str, evidence: MetricEvidence) -> MetricReading:
    return MetricReading(
        metric=name,
        treatment_count=evidence.treatment.count,
        treatment_mean=evidence.treatment.mean,
        control_count=evidence.control.count,
        control_mean=evidence.control.mean,
        log_harm=evidence.harm.log_evidence,
        log_safety={margin: bets.log_evidence for margin, bets in evidence.safety.by_margin.items()},
    )


def _variant(account: VariantAccount) -> VariantReading:
    return VariantReading(
        scored=account.scored,
        counted=account.counted,
        returning=account.returning,
        late=account.late,
        failed=account.failed,
        not_applicable=dict(account.not_applicable),
    )


def _mismatch(step: int, test: Mismatch) -> MismatchReading:
    return MismatchReading(
        step=step,
        treatment=test.treatment,
        control=test.control,
        expected_treatment=test.expected,
        log_factor=test.log_factor,
        alarmed=test.alarmed,
    )
