"""Evidence that the treatment is not worse than control by more than a margin.

E_P = mean over g of Π(1 + 0.99·g·(ψ + δ)/(D − δ)), one for each margin δ, each from the start of the run and never
restarted: a bet on ψ > −δ. It counts as it stands now, not at its highest: harm that begins late must undo it.
"""

from sluicegate_operator.analysis.bets import Bets
from sluicegate_operator.analysis.contrast import Contrast

FRACTIONS = (0.2, 0.5, 0.9)
COARSER = (2.0, 1.4, 1.0)
"""Small weights see less: their margin is wider by these factors."""
LARGEST_MARGIN = 3.0
"""D is at least 4, and must stay above the margin."""


def margin_at(weight: float, margin: float) -> float:
    """δ of a step with this weight: twice the margin below 20 %, 1.4 times below 50 %, else the margin itself."""
    coarser, middling, plain = margins(margin)
    return coarser if weight < 0.2 else middling if weight < 0.5 else plain


def margins(margin: float) -> tuple[float, float, float]:
    """All margins that a ramp with this one can ask for, the widest first."""
    coarser, middling, plain = (min(LARGEST_MARGIN, factor * margin) for factor in COARSER)
    return coarser, middling, plain


class Safety:
    """E_P of one metric, for each margin."""

    __slots__ = ("by_margin",)

    def __init__(self, margin: float) -> None:
        self.by_margin = {delta: Bets(FRACTIONS) for delta in margins(margin)}

    def add(self, of: Contrast) -> None:
        for delta, bets in self.by_margin.items():
            bets.multiply((of.value + delta) / (of.below - delta))

    def log_evidence(self, delta: float) -> float:
        """ln E_P of one of the margins."""
        return self.by_margin[delta].log_evidence

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Safety) and self.by_margin == other.by_margin

    __hash__ = None  # type: ignore[assignment]
