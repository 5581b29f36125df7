"""Every metric name and attribute of the data plane, and nothing that decides anything."""

from collections import Counter
from collections.abc import Iterator, Mapping

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider

ASSIGNMENTS = "sluicegate.assignments"
SESSIONS = "sluicegate.sessions"
REDACTIONS = "sluicegate.redactions"


class Telemetry:
    """Counters of one sidecar, read at /metrics."""

    def __init__(self) -> None:
        self._provider = MeterProvider(metric_readers=[PrometheusMetricReader()])
        meter = self._provider.get_meter("sluicegate")
        # Counted here, and told when somebody asks: an `add` of the SDK costs more than the assignment.
        self._assigned: Counter[tuple[str, str, str]] = Counter()
        meter.create_observable_counter(
            ASSIGNMENTS, [self._assignments], description="Answers of Assign, repeated ones included."
        )
        self._sessions = meter.create_counter(SESSIONS, description="Sessions told to RecordSession.")
        self._redactions = meter.create_counter(REDACTIONS, description="What was replaced in transcripts, by kind.")

    def assigned(self, experiment: str, variant: str, reason: str) -> None:
        self._assigned[experiment, variant, reason] += 1

    def recorded(self, outcome: str, sampled: bool) -> None:
        """`outcome`: accepted, duplicate, or the name of the error."""
        self._sessions.add(1, {"outcome": outcome, "sampled": sampled})

    def redacted(self, found: Mapping[str, int]) -> None:
        """`found`: preset or pattern → how often."""
        for kind, count in found.items():
            self._redactions.add(count, {"kind": kind})

    def _assignments(self, _: CallbackOptions) -> Iterator[Observation]:
        # A copy: it is asked for in the thread of the admin listener.
        for (experiment, variant, reason), count in self._assigned.copy().items():
            yield Observation(count, {"experiment": experiment, "variant": variant, "reason": reason})

    def close(self) -> None:
        self._provider.shutdown()
