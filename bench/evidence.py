"""What evidence costs: microseconds for one score of one metric, beside the floor of a call that does nothing.

PYTHONPATH=proto:operator python bench/evidence.py
"""

import time
from random import Random

from sluicegate_operator.analysis.metric import MetricEvidence

SCORES = 100_000


class Nothing:
    """The floor: a call with the same arguments."""

    def add(self, score: int, is_treatment: bool, probability: float, step: int) -> None:
        pass


def microseconds(of: MetricEvidence | Nothing, scores: list[tuple[int, bool]]) -> float:
    """Of processor time for each score."""
    started = time.process_time()
    for score, is_treatment in scores:
        of.add(score, is_treatment, 0.2, 1)
    return (time.process_time() - started) / len(scores) * 1e6


def main() -> None:
    chance = Random(1)
    scores = [(chance.randint(1, 5), chance.random() < 0.2) for _ in range(SCORES)]
    floor = microseconds(Nothing(), scores)
    found = microseconds(MetricEvidence.planned(3, 0.25), scores)
    print(f"one score of one metric: {found:.2f} µs, {found / floor:.0f} × an empty call ({floor:.3f} µs)")


if __name__ == "__main__":
    main()
