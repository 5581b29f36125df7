"""How figures are made and told: medians of interleaved rounds, each beside its target and its floor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of a report."""

    what: str
    measured: str
    """With its unit."""
    floor: str = "–"
    """With its unit, measured in the same run."""
    figure: float
    """What the target is about: the ratio, or the value where the target is absolute."""
    unit: str = "×"
    at_most: float = math.inf
    at_least: float = -math.inf

    @property
    def target(self) -> str:
        if math.isfinite(self.at_most):
            return f"≤ {self.at_most:g} {self.unit}"
        return f"≥ {self.at_least:g} {self.unit}" if math.isfinite(self.at_least) else "–"

    @property
    def verdict(self) -> str:
        if self.target == "–" or math.isnan(self.figure):
            return ""
        return "met" if self.at_least <= self.figure <= self.at_most else "missed"


def report(workload: str, floor: str, figures: Sequence[Figure]) -> None:
    """Prints the workload, what the floor is, and the table."""
    print(f"workload: {workload}\nfloor:    {floor}")
    rows = [("", "measured", "floor", "figure", "target", "")]
    for row in figures:
        rows.append((row.what, row.measured, row.floor, f"{row.figure:.2f} {row.unit}", row.target, row.verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row_of_texts in rows:
        first, *others = (text.ljust(width) for text, width in zip(row_of_texts, widths, strict=True))
        print("  ".join([first, *others]).rstrip())


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def ratio(measured: Sequence[float], floor: Sequence[float]) -> float:
    """The median of the rounds' ratios: what disturbs one round disturbs both of its halves."""
    return median(one / other for one, other in zip(measured, floor, strict=True))


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} µs"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"
