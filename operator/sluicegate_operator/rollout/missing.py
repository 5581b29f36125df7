"""What is missing for a step to pass: sessions, callers, or evidence for safety."""

import math

from sluicegate_operator.analysis.bets import LOG_LINE
from sluicegate_operator.analysis.evidence import Comparison
from sluicegate_operator.rollout.sentences import evidence_shown, means_shown
from sluicegate_operator.rollout.verdicts import Hold


def too_few(comparison: Comparison, step: int, weight: float, least: int) -> Hold | None:
    """Too few sessions of the treatment count in this step. Where enough were scored, it is callers that lack."""
    name = comparison.plan.treatment
    counted, scored = comparison.counted_in_step.get(step, 0), comparison.scored_in_step.get(step, 0)
    if counted >= least:
        return None
    needed = f"{least - counted} more sessions of {name}, of callers who are new to the run"
    told = f"{counted} of {least} sessions of {name} counted at {weight:.0%}"
    if scored < least:
        return Hold("TooFewSessions", told, needed)
    return Hold(
        "TooFewCallers",
        f"{told}: {scored} were scored, but {scored - counted} of them came from callers with an earlier session in "
        "the run, came late, or were scored by an earlier judge",
        needed,
    )


def unsafe(comparison: Comparison, margin: float) -> Hold | None:
    """The primary metric is not shown safe yet."""
    primary, plan = comparison.primary, comparison.plan
    assert primary is not None, "too few sessions come first"
    if primary.is_safe(margin):
        return None
    log_safety, seen = primary.log_safety[margin], primary.treatment_count + primary.control_count
    return Hold(
        "NotYetSafe",
        f"not yet known whether {plan.treatment} is worse than {plan.control} by {margin:g} points: evidence for "
        f"safety {evidence_shown(log_safety)} (20 decides), for harm {evidence_shown(comparison.log_harm)}; "
        f"{means_shown(primary, plan)}",
        _more_sessions(log_safety, seen),
    )


def sessions_until_safe(log_safety: float, seen: int) -> int | None:
    """How many more of both variants. Evidence grows by a factor per session: as it did so far, or not at all."""
    if log_safety <= 0 or seen == 0:
        return None
    return math.ceil((LOG_LINE - log_safety) * seen / log_safety)


def _more_sessions(log_safety: float, seen: int) -> str:
    more = sessions_until_safe(log_safety, seen)
    if more is None:
        return "evidence for safety of 20; it does not grow at present"
    return f"evidence for safety of 20: some {more} more sessions of both variants, if it goes on as it did"
