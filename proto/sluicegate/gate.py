"""The gate rule, as pure functions. `gates.lua` in the sidecar computes the same inside Redis; tests compare the two.

Source of the formulas: a shrunken variance, v = (SS + 5) / (n + 4), SS the sum of squared deviations, with one-sided
95 % normal bounds, mean ± 1.645 · sqrt(v / n).
"""

import math
from dataclasses import dataclass
from typing import Literal

from sluicegate.policy import GateRule

GateState = Literal["Unknown", "OK", "Broken"]
UnknownReason = Literal["", "TooFewSessions", "JudgeLag"]

OVERALL_SCALE = 2520
"""Overall averages are summed as integers in units of 1/2520, exact for means of up to ten scores."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A metric in a window: `count` applicable scores, their mean and its one-sided 95 % bounds."""

    count: int
    mean: float
    lower: float
    upper: float


def summarize(count: int, total: int, squares: int, scale: int = 1) -> Summary | None:
    """Summary of `count` scores with the sums `total` and `squares`, in units of 1/`scale`; None without a score."""
    if count == 0:
        return None
    # total * (total / count): the product of two large integers is exact here, and would not be in Lua.
    mean = total / count / scale
    deviations = max(0.0, (squares - total * (total / count)) / (scale * scale))
    half_width = 1.645 * math.sqrt((deviations + 5) / (count + 4) / count)
    return Summary(count, mean, mean - half_width, mean + half_width)


@dataclass(frozen=True, slots=True)
class GateStatus:
    """What a gate says of one series, and what it remembers."""

    state: GateState = "Unknown"
    reason: UnknownReason = "TooFewSessions"
    latched: bool = False
    """Broken once and not recovered since, whatever the state between."""


def judge_gate(
    rule: GateRule, min_sessions: int, summary: Summary | None, before: GateStatus, lagging: bool
) -> GateStatus:
    """The status of a gate after `before`, given the window's summary and whether the judge lags.

    Under `min_sessions` the state is unknown. A mean below the floor breaks the gate; it recovers, past the floor,
    only at floor + recover_by. A lagging judge turns OK into unknown, but never hides a broken gate: harm that was
    seen is not unseen.
    """
    if summary is None or summary.count < min_sessions:
        return GateStatus("Unknown", "TooFewSessions", before.latched)
    floor = rule.min + rule.recover_by if before.latched else rule.min
    if summary.mean < floor:
        return GateStatus("Broken", "", True)
    if lagging:
        return GateStatus("Unknown", "JudgeLag", before.latched)
    return GateStatus("OK", "", False)


def confirmed(rule: GateRule, summary: Summary | None, status: GateStatus) -> bool:
    """Whether a gate's action is due: broken below the floor itself and, if so asked, with its upper bound too."""
    if summary is None or status.state != "Broken":
        return False
    return (summary.upper if rule.confirm == "UpperBound" else summary.mean) < rule.min
