"""Scores of a run that Redis lost, told from those that were erased or are only late.

The comparison counts a caller once in a run. Where it no longer knows who called before, a caller whom the treatment
made call again would count as a new one, and the evidence would mean nothing: the run cannot be finished.
"""

from dataclasses import replace

from sluicegate_operator.analysis.evidence import Evidence
from sluicegate_operator.rollout.state import RolloutState
from sluicegate_operator.rollout.verdicts import Hold

TOLERATED = 0.01
"""A Redis that fails over may lose its last moments, and their sessions are judged again: too little to matter."""


def after_loss(state: RolloutState, evidence: Evidence) -> RolloutState:
    """The state with what was lost since it was written. Once something is, that stays so for the run."""
    if state.phase != "Ramping":
        return state
    missing = state.seen - evidence.seen
    lost = state.lost + (missing if missing > max(1, TOLERATED * state.seen) else 0)
    return replace(state, seen=evidence.seen, lost=lost)


def lost_evidence(state: RolloutState) -> Hold | None:
    """A run whose evidence was lost stays where it is: it can be rolled back, and not go on."""
    if not state.lost:
        return None
    return Hold(
        "EvidenceLost",
        f"Redis lost {state.lost} scores of this run, and with them who called before: the ramp stands still, gates "
        "and evidence for harm stay live",
        "a new spec.runId, which assigns everybody anew",
    )
