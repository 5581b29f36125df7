"""What became of the sessions of each variant: how many count, and why the others do not."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class VariantAccount:
    """Sessions of one variant in one run, assigned by the split. `scored` = counted + returning + late."""

    scored: int = 0
    failed: int = 0
    """Judgements that failed for good."""
    returning: int = 0
    """Scored, but of a caller who had an earlier session in the run."""
    late: int = 0
    """Scored too long after the assignment."""
    not_applicable: Counter[str] = field(default_factory=Counter)
    """Metric → counted sessions that it did not apply to."""
    counted: int = 0
    """In the comparison, over all judge revisions."""
