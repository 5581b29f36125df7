"""The assignment rule, pure: the same snapshot, halts and unit always give the same answer."""

import math
from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from sluicegate.bucketing import in_treatment
from sluicegate.experiment import ExperimentInForce, Variant
from sluicegate.keys import series

Reason = Literal["SPLIT", "CONTROL_ONLY", "HALTED", "OVERRIDE", "STALE", "COMPLETE"]


class Attribution(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The variant that the session was assigned, with all that the analysis needs to weigh it."""

    # Many are alive at a time, and none can be in a cycle: the garbage collector passes over it, and Assignment.

    experiment: str
    run_id: str
    variant: str
    control: str
    reason: Reason
    step: int
    weight: float
    assigned_at: float
    """Unix seconds."""


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """The variant of one session, and why."""

    variant: Variant
    reason: Reason
    """As it is told now: a halt since then is told, and changes nothing of the attribution."""
    attribution: Attribution
    """As the session was assigned first."""

    @property
    def series(self) -> str:
        of = self.attribution
        return series(of.experiment, of.run_id, of.variant)


def assign(
    experiment: ExperimentInForce,
    halted: Collection[str],
    unit: str,
    caller_hash: str,
    attributes: Mapping[str, str],
    now: float,
    heard_at: float = math.inf,
) -> Assignment:
    """The variant that `unit` gets, given the series that are `halted`, and when the control plane was last heard.

    A decided experiment gives everybody the winner, unless a gate has shut it out since; then come overrides, halts,
    staleness, and last the split. A winner or an override that is no variant of the experiment counts for nothing.
    """
    variant, reason = _chosen(experiment, halted, unit, caller_hash, attributes, now - heard_at)
    attribution = Attribution(
        experiment=experiment.name,
        run_id=experiment.run_id,
        variant=variant.name,
        control=experiment.control.name,
        reason=reason,
        step=experiment.step,
        weight=experiment.weight,
        assigned_at=now,
    )
    return Assignment(variant, reason, attribution)


def _chosen(
    experiment: ExperimentInForce,
    halted: Collection[str],
    unit: str,
    caller_hash: str,
    attributes: Mapping[str, str],
    age: float,
) -> tuple[Variant, Reason]:
    """The variant, and why; `age` is how long ago the control plane was heard, in seconds."""
    is_halted = bool(halted) and series(experiment.name, experiment.run_id, experiment.treatment.name) in halted
    winner = experiment.variant(experiment.winner) if experiment.winner else None
    if winner and not (is_halted and winner is experiment.treatment):
        return winner, "COMPLETE"
    tester = _override(experiment, caller_hash, attributes) if experiment.overrides else None
    if tester:
        return tester, "OVERRIDE"
    if is_halted:
        return experiment.control, "HALTED"
    if experiment.weight <= 0:
        return experiment.control, "CONTROL_ONLY"
    stale = age > experiment.stale_after
    if stale and experiment.on_stale == "ControlOnly":
        return experiment.control, "STALE"
    treated = in_treatment(experiment.salt, unit, experiment.weight)
    return experiment.treatment if treated else experiment.control, "STALE" if stale else "SPLIT"


def _override(experiment: ExperimentInForce, caller_hash: str, attributes: Mapping[str, str]) -> Variant | None:
    """The variant of the first override that matches and names one."""
    for override in experiment.overrides:
        by_caller = override.caller_hash and override.caller_hash == caller_hash
        if by_caller or (override.attribute and attributes.get(override.attribute) == override.value):
            variant = experiment.variant(override.variant)
            if variant:
                return variant
    return None
