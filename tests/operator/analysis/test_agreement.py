"""Agreement with confseq's martingale of fixed bets (`betting_mart`), an independent implementation.

It takes observations y in [0, 1] and a null mean m₀, and multiplies 1 + λ(y − m₀). Twelve scores at π = ½, centred as
they come, were given to it as y = (x + 1)/2, m₀ = ½, λ = 2·.99·f for harm, x = −ψ/U, and as y = (x + 1)/3, m₀ = ⅓,
λ = 3·.99·g for safety at δ = ¼, x = (ψ + δ)/(D − δ). The constants are what it gave.
"""

import math

import pytest

from sluicegate_operator.analysis.metric import MetricEvidence

SCORES = (
    (5, False),
    (3, True),
    (4, False),
    (2, True),
    (1, True),
    (5, False),
    (4, True),
    (5, False),
    (3, True),
    (2, True),
    (4, False),
    (1, True),
)
HARM = (
    1.116259149670988,
    1.312624472390964,
    1.7068893329501973,
    2.8133232369671513,
    6.999064317245204,
    23.057273675461957,
)
SAFETY = (0.3214818033803436, 0.03688594765376053, 0.00017556498371403876)


def test_the_wealths_are_those_of_confseq() -> None:
    """Stake by stake, and so their mean."""
    evidence = MetricEvidence.planned(1, 0.25)
    for score, is_treatment in SCORES:
        evidence.add(score, is_treatment, 0.5, 0)
    assert [math.exp(log) for log in evidence.harm.run.logs] == pytest.approx(HARM, rel=1e-12)
    assert [math.exp(log) for log in evidence.safety.by_margin[0.25].logs] == pytest.approx(SAFETY, rel=1e-12)
    assert math.exp(evidence.harm.log_evidence) == pytest.approx(6.1675723641144105, rel=1e-12)
