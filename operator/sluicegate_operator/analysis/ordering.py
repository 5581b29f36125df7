"""From the order of scoring to the order of assignment, with a bounded wait.

A session is in time if it was scored within the wait after its assignment, whichever variant it had. So whatever was
assigned more than a wait ago has come, or is late: it can be taken, in order. What is late stays out.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from sluicegate_operator.analysis.arrival import Arrival


@dataclass(slots=True)
class WaitingRoom:
    """Arrivals whose turn has not come."""

    wait: float
    """Seconds."""
    waiting: list[tuple[float, str, int, Arrival]] = field(default_factory=list)
    """A heap by time of assignment, then session, so that the order of arrival leaves no trace."""
    arrived: int = 0

    def is_late(self, arrival: Arrival) -> bool:
        return arrival.at - arrival.assigned_at > self.wait

    def enter(self, arrival: Arrival) -> None:
        self.arrived += 1
        heapq.heappush(self.waiting, (arrival.assigned_at, arrival.record.session_id, self.arrived, arrival))

    def leaving(self, now: float) -> Iterator[Arrival]:
        """Those that nobody assigned earlier can overtake any more, first assigned first. `now` by Redis's clock."""
        while self.waiting and now - self.waiting[0][0] > self.wait:
            yield heapq.heappop(self.waiting)[3]
