"""Runs with a report, for tests of the report and of its faces."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from ramps import a_reading, gates
from scored import PLAN, RESOURCE, arrived, failed, scored

from sluicegate.keys import Keys
from sluicegate.policy import Policy
from sluicegate.records import Halt, ScoreRecord
from sluicegate_operator.analysis.arrival import Arrival
from sluicegate_operator.analysis.comparison import Analysis
from sluicegate_operator.analysis.evidence import Evidence
from sluicegate_operator.analysis.recording import Recording
from sluicegate_operator.reporting.build import report_of, worst_entries
from sluicegate_operator.reporting.report import Report
from sluicegate_operator.rollout.reconcile import Outcome, reconcile

KEYS = Keys("dental", "receptionist")
METRICS = ("task_completion", "tone", "tool_accuracy", "response_relevance")
START = 1_790_000_000.0
SECONDS_APART = 60.0
LOOK_EVERY = 5

Edit = Callable[[int, ScoreRecord], ScoreRecord]
"""Makes of session so-and-so another one."""


@dataclass(slots=True)
class Run:
    """A ramp that a controller looks after; a session a minute, each of a caller of its own."""

    fall: float = 0.0
    """Points by which the treatment is worse."""
    edit: Edit = lambda _, record: record
    halt: Halt | None = None
    chance: Random = field(default_factory=lambda: Random(7))
    log: list[Arrival] = field(default_factory=list)
    recording: Recording = field(default_factory=lambda: Recording(PLAN))
    outcome: Outcome | None = None
    evidence: Evidence | None = None

    def sessions(self, count: int) -> "Run":
        """So many sessions, with a look after every fifth and after the last."""
        analysis = Analysis(PLAN, self.recording)
        self.look(analysis, START)
        for number in range(count):
            at = START + SECONDS_APART * (number + 1)
            arrival = arrived(self._record(number, at))
            arrival = replace(arrival, entry=f"{int(arrival.at * 1000)}-0")
            self.log.append(arrival)
            analysis.arrive(arrival)
            if number % LOOK_EVERY == 0 or number + 1 == count:
                analysis.advance(at + PLAN.wait)
                self.look(analysis, at + PLAN.wait)
        return self

    def look(self, analysis: Analysis, now: float) -> None:
        passing = gates(now, sessions=40, **{metric: a_reading() for metric in ("overall_average", *METRICS)})
        self.evidence = Evidence(comparison=analysis.reading(), treatment=passing, control=passing, halt=self.halt)
        state, current = (self.outcome.state, self.outcome.in_force) if self.outcome else (None, None)
        self.outcome = reconcile(RESOURCE, state, current, self.evidence, Policy(), now)

    def _record(self, number: int, at: float) -> Any:
        assert self.outcome is not None
        in_force = self.outcome.in_force
        variant = "warm" if self.chance.random() < (in_force.weight or 0.1) else "control"
        common: dict[str, Any] = {
            "variant": variant,
            "step": in_force.step,
            "weight": in_force.weight or 0.1,
            "assigned_at": at,
        }
        if self.chance.random() < 0.02:
            return failed(number, **common)
        scores = self._scores(self.fall if variant == "warm" else 0.0)
        reasons = {metric: f"The agent earned {given} here." for metric, given in scores.items()}
        return self.edit(number, scored(number, **common, ended_at=at + 30, scores=scores, reasons=reasons))

    def _scores(self, fall: float) -> dict[str, int | None]:
        scores: dict[str, int | None] = {}
        for metric in METRICS:
            score = self.chance.choices((1, 2, 3, 4, 5), (1, 3, 13, 51, 32))[0]
            scores[metric] = max(1, score - int(fall) - (self.chance.random() < fall - int(fall)))
        if self.chance.random() < 0.6:
            scores["tool_accuracy"] = None
        return scores

    def report(self, gone: Sequence[str] = (), **state: Any) -> Report:
        """The report as of a minute after the last session. `gone`: entries that are in the log no more."""
        assert self.outcome is not None
        assert self.evidence is not None
        now = START + SECONDS_APART * (len(self.log) + 1)
        by_entry = {arrival.entry: arrival.record for arrival in self.log if isinstance(arrival.record, ScoreRecord)}
        worst = [by_entry[entry] for entry in worst_entries(self.recording, PLAN) if entry not in gone]
        return report_of(KEYS, replace(self.outcome.state, **state), self.evidence, self.recording, worst, 3, now)
