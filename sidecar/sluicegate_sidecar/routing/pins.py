"""The first answer of a session stays its answer, until the session is recorded."""

from collections import OrderedDict

from sluicegate_sidecar.routing.assignment import Assignment


class Pins:
    """Assignments by session id, at most `capacity` of them; the one not asked for longest goes first.

    A session whose pin is gone is recorded without a variant, and so stays out of the comparison.
    """

    def __init__(self, capacity: int = 20_000) -> None:
        self._capacity = capacity
        self._pinned: OrderedDict[str, Assignment] = OrderedDict()

    def get(self, session_id: str) -> Assignment | None:
        assignment = self._pinned.get(session_id)
        if assignment is not None:
            self._pinned.move_to_end(session_id)
        return assignment

    def pin(self, session_id: str, assignment: Assignment) -> None:
        self._pinned[session_id] = assignment
        if len(self._pinned) > self._capacity:
            self._pinned.popitem(last=False)

    def release(self, session_id: str) -> None:
        self._pinned.pop(session_id, None)

    def __len__(self) -> int:
        return len(self._pinned)
