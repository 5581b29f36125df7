"""The worst-scored sessions of each variant: where they are in the log, not what was said of them."""

import heapq
from collections import defaultdict

from sluicegate.records import ScoreRecord
from sluicegate_operator.analysis.arrival import Arrival

KEPT = 20
"""Of each variant; more than are shown, because some may be erased."""


class Worst:
    """The ids of the entries with the lowest averages, of equal ones the newest.

    Entries are read again when they are shown: what was erased in between is not shown.
    """

    def __init__(self) -> None:
        self._heaps: defaultdict[str, list[tuple[float, float, str]]] = defaultdict(list)

    def add(self, arrival: Arrival) -> None:
        record = arrival.record
        if not isinstance(record, ScoreRecord) or record.average is None or not arrival.entry:
            return
        heap = self._heaps[record.variant]
        push = heapq.heappush if len(heap) < KEPT else heapq.heappushpop
        push(heap, (-record.average, arrival.at, arrival.entry))

    def entries(self, variant: str) -> list[str]:
        """The worst first."""
        return [entry for _, _, entry in sorted(self._heaps[variant], reverse=True)]
