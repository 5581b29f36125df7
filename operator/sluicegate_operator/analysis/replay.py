"""The comparison rebuilt from the whole log, and what only the whole log can tell."""

from collections import defaultdict
from collections.abc import Iterable

from sluicegate_operator.analysis.arrival import Arrival
from sluicegate_operator.analysis.comparison import Analysis
from sluicegate_operator.analysis.contrast import Contrast
from sluicegate_operator.analysis.plan import Plan
from sluicegate_operator.analysis.segment import Observe


def replayed(plan: Plan, arrivals: Iterable[Arrival], now: float, observe: Observe | None = None) -> Analysis:
    """The state after all `arrivals`, in the order of their time, at `now` (Unix seconds by Redis's clock)."""
    analysis = Analysis(plan, observe)
    for arrival in arrivals:
        analysis.arrive(arrival)
    analysis.advance(now)
    return analysis


def contrasts(plan: Plan, arrivals: Iterable[Arrival], now: float) -> dict[str, list[Contrast]]:
    """By metric, in order of assignment, under the last judge revision: what `difference_interval` takes."""
    found: defaultdict[str, list[Contrast]] = defaultdict(list)

    def observe(metric: str, of: Contrast) -> None:
        found[metric].append(of)

    reading = replayed(plan, arrivals, now, observe).reading()
    counts = {metric.metric: metric.treatment_count + metric.control_count for metric in reading.metrics}
    return {metric: found[metric][len(found[metric]) - count :] for metric, count in counts.items()}
