"""Every metric name and attribute of the data plane, and nothing that decides anything."""

from collections import Counter
from collections.abc import Iterator, Mapping

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider

ASSIGNMENTS = "sluicegate.assignments"
SESSIONS = "sluicegate.sessions"
REDACTIONS = "sluicegate.redactions"
JUDGE_CALLS = "sluicegate.judge.calls"


class JudgeTelemetry:
    """Counters of one judge worker, read at /metrics where it has an admin listener."""

    def __init__(self) -> None:
        self._provider = MeterProvider(metric_readers=[PrometheusMetricReader()])
        self._calls = self._provider.get_meter("sluicegate").create_counter(
            JUDGE_CALLS, description="Calls of the judge, by how they ended."
        )

    def called(self, outcome: str) -> None:
        """`outcome`: verdict, or the name of the error."""
        self._calls.add(1, {"outcome": outcome})

    def close(self) -> None:
        self._provider.shutdown()


class Telemetry:
    """Counters of one sidecar, read at /metrics.

    Counted here, and told when somebody asks: an `add` of the SDK costs more than the assignment that it counts.
    """

    def __init__(self) -> None:
        self._provider = MeterProvider(metric_readers=[PrometheusMetricReader()])
        meter = self._provider.get_meter("sluicegate")
        self._assigned: Counter[tuple[str, str, str]] = Counter()
        self._recorded: Counter[tuple[str, bool]] = Counter()
        self._redacted: Counter[str] = Counter()
        meter.create_observable_counter(
            ASSIGNMENTS, [self._assignments], description="Answers of Assign, repeated ones included."
        )
        meter.create_observable_counter(SESSIONS, [self._sessions], description="Sessions told to RecordSession.")
        meter.create_observable_counter(
            REDACTIONS, [self._redactions], description="What was replaced in transcripts, by kind."
        )

    def assigned(self, experiment: str, variant: str, reason: str) -> None:
        self._assigned[experiment, variant, reason] += 1

    def recorded(self, outcome: str, sampled: bool) -> None:
        """`outcome`: accepted, duplicate, or the name of the error."""
        self._recorded[outcome, sampled] += 1

    def redacted(self, found: Mapping[str, int]) -> None:
        """`found`: preset or pattern → how often."""
        self._redacted.update(found)

    # Each tells of a copy: it is asked for in the thread of the admin listener.

    def _assignments(self, _: CallbackOptions) -> Iterator[Observation]:
        for (experiment, variant, reason), count in self._assigned.copy().items():
            yield Observation(count, {"experiment": experiment, "variant": variant, "reason": reason})

    def _sessions(self, _: CallbackOptions) -> Iterator[Observation]:
        for (outcome, sampled), count in self._recorded.copy().items():
            yield Observation(count, {"outcome": outcome, "sampled": sampled})

    def _redactions(self, _: CallbackOptions) -> Iterator[Observation]:
        for kind, count in self._redacted.copy().items():
            yield Observation(count, {"kind": kind})

    def close(self) -> None:
        self._provider.shutdown()
