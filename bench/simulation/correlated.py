"""Four metrics of the same sessions, correlated at one half: one primary, three guardrails, harm averaged over all."""

import math
from bisect import bisect
from dataclasses import dataclass
from random import Random
from statistics import NormalDist

from simulation.ramps import LONGEST, SESSIONS_A_STEP, WEIGHTS, Ending
from simulation.rules import MARGIN
from simulation.worlds import thresholds
from sluicegate_operator.analysis.bets import LOG_LINE
from sluicegate_operator.analysis.evidence import SCORES_FOR_HARM
from sluicegate_operator.analysis.harm import log_harm
from sluicegate_operator.analysis.metric import MetricEvidence
from sluicegate_operator.analysis.safety import margin_at

SHARED = math.sqrt(0.5)
NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Change:
    """How much the treatment moves each of the four metrics, the primary first."""

    name: str
    shifts: tuple[float, float, float, float]


CHANGES = (
    Change("no difference", (0.0, 0.0, 0.0, 0.0)),
    Change("−0.25 on the primary", (-0.25, 0.0, 0.0, 0.0)),
    Change("−0.5 on one guardrail", (0.0, -0.5, 0.0, 0.0)),
    Change("−0.25 on all four", (-0.25, -0.25, -0.25, -0.25)),
)


def four(job: tuple[int, int]) -> Ending:
    """One ramp. `job`: the change, by its index, and the number of the run."""
    change = CHANGES[job[0]]
    chance = Random(f"{change.name}/{job[1]}")
    metrics = [MetricEvidence.planned(len(WEIGHTS), MARGIN) for _ in change.shifts]
    step = in_step = treatment = 0
    for index in range(LONGEST):
        weight = WEIGHTS[step]
        is_treatment = chance.random() < weight
        shared = SHARED * chance.gauss(0, 1)
        for evidence, shift in zip(metrics, change.shifts, strict=True):
            place = NORMAL.cdf(shared + SHARED * chance.gauss(0, 1))
            evidence.add(1 + bisect(thresholds(shift if is_treatment else 0.0), place), is_treatment, weight, step)
        treatment += is_treatment
        in_step += is_treatment
        if _is_harmful(metrics):
            return Ending("rolled back", index + 1, treatment, 0)
        if in_step >= SESSIONS_A_STEP and metrics[0].safety.log_evidence(margin_at(weight, MARGIN)) >= LOG_LINE:
            if step + 1 == len(WEIGHTS):
                return Ending("promoted", index + 1, treatment, 0)
            step, in_step = step + 1, 0
    return Ending("undecided", LONGEST, treatment, 0)


def _is_harmful(metrics: list[MetricEvidence]) -> bool:
    if max(evidence.harm.largest_log for evidence in metrics) < LOG_LINE:
        return False
    enough = min(metrics[0].treatment.count, metrics[0].control.count) >= SCORES_FOR_HARM
    return enough and log_harm([evidence.harm.log_evidence for evidence in metrics]) >= LOG_LINE
