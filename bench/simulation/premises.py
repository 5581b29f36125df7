"""Each rule that the bets rest on, kept and broken: mean E at the stopping time, which is at most 1 if they hold.

There is no difference in any of these worlds. One stops when E reaches 20 (where steps are averaged: when it is above
1 at the end of a step), or after the last session.
"""

import math
from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from simulation.rules import MARGIN
from simulation.worlds import score
from sluicegate_operator.analysis.bets import LOG_LINE, log_mean_exp, log_sum_exp
from sluicegate_operator.analysis.contrast import Contrast, treatment_probability
from sluicegate_operator.analysis.harm import LOG_RUN, LOG_STEPS, Harm
from sluicegate_operator.analysis.metric import MetricEvidence
from sluicegate_operator.analysis.safety import Safety

STEPS = ((0.1, 400), (0.2, 300), (0.5, 300))
SESSIONS = sum(count for _, count in STEPS)


class Scored(NamedTuple):
    """A score that is bet on."""

    score: int
    is_treatment: bool
    probability: float
    """π: that it is the treatment's, given the past."""
    step: int


Log = Callable[[Random, bool], Iterator[Scored]]
"""(chance, whether the rule is followed) → scores in the order in which they are taken."""


def _sessions() -> Iterator[tuple[int, float, int]]:
    """Index, weight and step of every session."""
    index = 0
    for step, (weight, count) in enumerate(STEPS):
        for _ in range(count):
            yield index, weight, step
            index += 1


def order(chance: Random, followed: bool) -> Iterator[Scored]:
    """Quality falls, and control's scores come some 150 sessions late: by assignment, or by arrival."""
    arrivals = []
    for index, weight, step in _sessions():
        is_treatment = chance.random() < weight
        lost = 3 * index / SESSIONS
        drawn = max(1, score(chance, 0.0) - math.floor(lost + chance.random()))
        delay = 0.0 if is_treatment else chance.expovariate(1 / 150)
        arrivals.append((index if followed else index + delay, index, Scored(drawn, is_treatment, weight, step)))
    for _, _, scored in sorted(arrivals):
        yield scored


def _callers(chance: Random, callers: int) -> Iterator[tuple[int, float, int, bool, int]]:
    """Caller, weight, step, variant and score where callers return, and each is always as content as the first time."""
    place = [chance.random() for _ in range(callers)]
    mood = [score(chance, 0.0) for _ in range(callers)]
    for _, weight, step in _sessions():
        caller = chance.randrange(callers)
        yield caller, weight, step, place[caller] < weight, mood[caller]


def once_per_run(chance: Random, followed: bool) -> Iterator[Scored]:
    """A caller counts once in the run, or with every session."""
    seen: set[int] = set()
    for caller, weight, step, is_treatment, drawn in _callers(chance, 60):
        if not followed or caller not in seen:
            yield Scored(drawn, is_treatment, weight, step)
        seen.add(caller)


def not_once_per_step(chance: Random, followed: bool) -> Iterator[Scored]:
    """A caller counts once in the run, or once in every step."""
    seen: set[tuple[int, int]] = set()
    for caller, weight, step, is_treatment, drawn in _callers(chance, 400):
        key = (caller, 0 if followed else step)
        if key not in seen:
            yield Scored(drawn, is_treatment, weight, step)
        seen.add(key)


def first_session(chance: Random, followed: bool) -> Iterator[Scored]:
    """Quality falls; a fifth of the treatment's sessions is sampled, all of control's, and callers return: the first
    session if it was sampled, or the first one that was."""
    called: set[int] = set()
    counted: set[int] = set()
    place = [chance.random() for _ in range(300)]
    for index, weight, step in _sessions():
        caller = chance.randrange(len(place))
        is_treatment = place[caller] < weight
        drawn = max(1, score(chance, 0.0) - math.floor(3 * index / SESSIONS + chance.random()))
        may_count = caller not in (called if followed else counted)
        called.add(caller)
        if may_count and chance.random() < (0.2 if is_treatment else 1.0):
            counted.add(caller)
            yield Scored(drawn, is_treatment, treatment_probability(weight, 0.2, 1.0), step)


MANY_STEPS = 10


def many_steps(chance: Random, followed: bool) -> Iterator[Scored]:
    """Ten planned steps of a hundred sessions: the steps' share is their mean, or the mean of those entered so far."""
    for step in range(MANY_STEPS):
        weight = 0.05 * (step + 1)
        for _ in range(SESSIONS // MANY_STEPS):
            yield Scored(score(chance, 0.0), chance.random() < weight, weight, step)


RULES: dict[str, Log] = {
    "order of assignment, not of arrival": order,
    "a caller once in a run, not with every session": once_per_run,
    "a caller once in a run, not once in each step": not_once_per_step,
    "the first session, not the first scored one": first_session,
    "the mean over planned steps, not over those entered": many_steps,
}


class EnteredOnly(Harm):
    """Broken on purpose: E_R with the mean over the steps entered so far, the first one too."""

    def add(self, of: Contrast, step: int) -> None:
        """A step later, so that the first one is kept too."""
        Harm.add(self, of, step + 1)

    @property
    def log_evidence(self) -> float:
        steps = log_mean_exp([bets.log_evidence for bets in self.steps.values()])
        return log_sum_exp((LOG_RUN + self.run.log_evidence, LOG_STEPS + steps))


def evidence_at_stop(job: tuple[str, bool, int]) -> float:
    """E_R when it is stopped. `job`: the rule, whether it is followed, and the number of the run."""
    name, followed, number = job
    chance = Random(f"{name}/{number}")
    if RULES[name] is many_steps:
        return _at_the_end_of_a_step(Harm(MANY_STEPS) if followed else EnteredOnly(MANY_STEPS + 1), chance)
    harm = Harm(len(STEPS))
    evidence = MetricEvidence(harm, Safety(MARGIN))
    for scored in RULES[name](chance, followed):
        evidence.add(*_arguments(scored))
        if harm.largest_log >= LOG_LINE and harm.log_evidence >= LOG_LINE:
            break
    return math.exp(harm.log_evidence)


def _at_the_end_of_a_step(harm: Harm, chance: Random) -> float:
    """Stops as soon as E is above 1 where a step begins: a ramp goes on while it looks harmless."""
    evidence, step = MetricEvidence(harm, Safety(MARGIN)), 0
    for scored in many_steps(chance, True):
        if scored.step != step and harm.log_evidence > 0:
            break
        step = scored.step
        evidence.add(*_arguments(scored))
    return math.exp(harm.log_evidence)


def _arguments(scored: Scored) -> tuple[int, bool, float, int]:
    return scored.score, scored.is_treatment, scored.probability, scored.step
