"""What a decision about a run rests on, as values. A report can print all of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sluicegate.keys import series
from sluicegate.records import Halt, SeriesGates
from sluicegate_operator.analysis.bets import LOG_LINE
from sluicegate_operator.analysis.plan import Plan

SCORES_FOR_HARM = 10
"""In each variant, before evidence for harm may decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricReading:
    """One metric under the present judge revision. Evidence is given as its natural logarithm: ln 20 decides."""

    metric: str
    treatment_count: int
    treatment_mean: float | None
    control_count: int
    control_mean: float | None
    log_harm: float
    log_safety: Mapping[float, float]
    """Margin in points → ln of the evidence that the treatment is not worse by more."""

    def is_safe(self, margin: float) -> bool:
        return self.log_safety[margin] >= LOG_LINE


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantReading:
    """Sessions of one variant in the run: `scored` = counted + returning + late."""

    scored: int
    counted: int
    """In the comparison, over all judge revisions."""
    returning: int
    """Scored, but of a caller who had an earlier session in the run."""
    late: int
    failed: int
    """Judgements that failed for good."""
    not_applicable: Mapping[str, int]
    """Metric → counted sessions that it did not apply to."""

    @property
    def failure_rate(self) -> float:
        """Share of the judgements that failed, 0 to 1."""
        return self.failed / max(1, self.failed + self.scored)

    def not_applicable_rate(self, metric: str) -> float:
        """Share of the counted sessions that the metric did not apply to, 0 to 1."""
        return self.not_applicable.get(metric, 0) / max(1, self.counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class MismatchReading:
    """Distinct units of one step: how many there were of each variant, and how many there should have been."""

    step: int
    treatment: int
    control: int
    expected_treatment: float
    log_factor: float
    """ln of the Bayes factor for a mismatch; ln 1000 alarms."""
    alarmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seam:
    """Where the judge changed: the evidence before it was put aside, and new evidence began."""

    at: float
    """Unix seconds: when the first session under the new revision was assigned."""
    before: str
    after: str
    """Judge revisions."""
    counted_treatment: int
    counted_control: int
    """Sessions whose scores were put aside."""
    log_harm: float
    """As it stood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Treatment and control of one run, as far as their sessions were processed in order of assignment."""

    plan: Plan
    revision: str = ""
    """The judge revision that the numbers are of; empty before the first score."""
    metrics: tuple[MetricReading, ...] = ()
    log_harm: float = 0.0
    """ln of the mean over metrics of the evidence for harm."""
    counted_treatment: int = 0
    counted_control: int = 0
    """Sessions under this revision."""
    counted_in_step: Mapping[int, int]
    """Step → counted sessions of the treatment assigned in it, under this revision."""
    scored_in_step: Mapping[int, int]
    """Step → scored sessions of the treatment assigned in it, those of returning callers too."""
    variants: Mapping[str, VariantReading]
    mismatches: tuple[MismatchReading, ...] = ()
    seams: tuple[Seam, ...] = ()
    refused: Mapping[str, int]
    """Why records of the run were left out → how many."""
    waiting: int = 0
    """Scores that wait for their turn, because a session assigned earlier may still come."""
    entries: int = 0
    """Scores of the run in the log, whatever became of them."""

    @property
    def primary(self) -> MetricReading | None:
        """The metric that decides; None before the first score."""
        return next((reading for reading in self.metrics if reading.metric == self.plan.primary), None)

    @property
    def mismatch(self) -> MismatchReading | None:
        """The first step whose shares do not fit. While there is one, the comparison says nothing."""
        return next((reading for reading in self.mismatches if reading.alarmed), None)

    @property
    def is_harmful(self) -> bool:
        """Whether the evidence for harm decides, now."""
        enough = min(self.counted_treatment, self.counted_control) >= SCORES_FOR_HARM
        return enough and self.mismatch is None and self.log_harm >= LOG_LINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of one run at one moment."""

    comparison: Comparison
    treatment: SeriesGates | None
    """The treatment's gates; None without a score in the window."""
    control: SeriesGates | None
    halt: Halt | None
    """The halt of the treatment in this run, if a gate shut it out."""
    erased: int = 0
    """Sessions of the agent that were erased so far, of whichever run."""

    @property
    def seen(self) -> int:
        """Scores of the run that the log has, and what was erased: falls only where Redis lost some."""
        return self.comparison.entries + self.erased


def evidence_of(
    comparison: Comparison, gates: Mapping[str, SeriesGates], halts: Mapping[str, Halt], erased: int
) -> Evidence:
    """The evidence on the run that `comparison` is of. `gates` and `halts` by series, of any run."""
    plan = comparison.plan
    treatment = series(plan.experiment, plan.run_id, plan.treatment)
    return Evidence(
        comparison=comparison,
        treatment=gates.get(treatment),
        control=gates.get(series(plan.experiment, plan.run_id, plan.control)),
        halt=halts.get(treatment),
        erased=erased,
    )
