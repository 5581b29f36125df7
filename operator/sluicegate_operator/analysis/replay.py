"""The comparison rebuilt from the whole log."""

from collections.abc import Iterable

from sluicegate_operator.analysis.arrival import Arrival
from sluicegate_operator.analysis.comparison import Analysis
from sluicegate_operator.analysis.plan import Plan
from sluicegate_operator.analysis.segment import Observer


def replayed(plan: Plan, arrivals: Iterable[Arrival], now: float, observer: Observer | None = None) -> Analysis:
    """The state after all `arrivals`, in the order of their time, at `now` (Unix seconds by Redis's clock)."""
    analysis = Analysis(plan, observer)
    for arrival in arrivals:
        analysis.arrive(arrival)
    analysis.advance(now)
    return analysis
