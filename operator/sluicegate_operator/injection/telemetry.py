"""Every metric of the injector, read at /metrics. How long it takes, the API server itself tells of each webhook."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

from sluicegate_operator.injection.review import Outcome

OUTCOMES = ("injected", "unchanged", "warned", "refused")


class Telemetry:
    """Counters of one injector."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._pods: Counter[str] = Counter()
        self._certificates = 0
        self._ends: datetime | None = None

    def answered(self, outcome: Outcome) -> None:
        self._pods[outcome] += 1

    def refused(self) -> None:
        """What was asked was no question."""
        self._pods["refused"] += 1

    def serves(self, until: datetime) -> None:
        """A certificate that ends then is served from now on."""
        self._ends = until
        self._certificates += 1

    def metrics(self) -> Mapping[str, float]:
        """All of them, by name and labels."""
        told: dict[str, float] = {
            f'sluicegate_injector_pods_total{{outcome="{outcome}"}}': self._pods[outcome] for outcome in OUTCOMES
        }
        told["sluicegate_injector_certificates_total"] = self._certificates
        if self._ends:
            left = (self._ends - self._clock()).total_seconds()
            told["sluicegate_injector_certificate_seconds_left"] = left
        return told
