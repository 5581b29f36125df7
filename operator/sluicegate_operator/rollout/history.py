"""The changes of a run's ramp, as they are remembered: when, from which share to which, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

ChangeKind = Literal["Started", "Advanced", "RolledBack", "Complete"]

MOST_KEPT = 50
"""Of a run. The first one is always kept, of the others the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RampChange:
    """One change. `at`: Unix seconds; shares are of the treatment, 0 to 1."""

    at: float
    kind: ChangeKind
    before: float
    after: float
    message: str
    """The sentence of the decision, with its numbers."""


def with_change(history: Sequence[RampChange], change: RampChange) -> tuple[RampChange, ...]:
    """The history and one more change."""
    return (*history[:1], *history[1:][-(MOST_KEPT - 2) :], change)
