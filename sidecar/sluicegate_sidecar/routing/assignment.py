"""The assignment rule, pure: the same snapshot, halts and unit always give the same answer."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from sluicegate.bucketing import in_treatment
from sluicegate.experiment import ExperimentInForce, Variant
from sluicegate.keys import series

Reason = Literal["SPLIT", "CONTROL_ONLY", "HALTED", "OVERRIDE", "STALE", "COMPLETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """The variant that the session was assigned, with all that the analysis needs to weigh it."""

    experiment: str
    run_id: str
    variant: str
    control: str
    reason: Reason
    step: int
    weight: float
    assigned_at: float


@dataclass(frozen=True, slots=True)
class Assignment:
    """The variant of one session, and why."""

    experiment: ExperimentInForce
    """The experiment as it was when the session was assigned."""
    variant: Variant
    reason: Reason
    assigned_at: float
    """Unix seconds."""

    @property
    def attribution(self) -> Attribution:
        return Attribution(
            experiment=self.experiment.name,
            run_id=self.experiment.run_id,
            variant=self.variant.name,
            control=self.experiment.control.name,
            reason=self.reason,
            step=self.experiment.step,
            weight=self.experiment.weight,
            assigned_at=self.assigned_at,
        )

    @property
    def series(self) -> str:
        return series(self.experiment.name, self.experiment.run_id, self.variant.name)


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
    staleness, and last the split.
    """

    def answer(variant: Variant, reason: Reason) -> Assignment:
        return Assignment(experiment, variant, reason, now)

    is_halted = series(experiment.name, experiment.run_id, experiment.treatment.name) in halted
    if experiment.winner and not (is_halted and experiment.winner == experiment.treatment.name):
        return answer(experiment.variant(experiment.winner), "COMPLETE")
    for override in experiment.overrides:
        by_caller = override.caller_hash and override.caller_hash == caller_hash
        if by_caller or (override.attribute and attributes.get(override.attribute) == override.value):
            return answer(experiment.variant(override.variant), "OVERRIDE")
    if is_halted:
        return answer(experiment.control, "HALTED")
    if experiment.weight <= 0:
        return answer(experiment.control, "CONTROL_ONLY")
    stale = now - heard_at > experiment.stale_after
    if stale and experiment.on_stale == "ControlOnly":
        return answer(experiment.control, "STALE")
    chosen = experiment.treatment if in_treatment(experiment.salt, unit, experiment.weight) else experiment.control
    return answer(chosen, "STALE" if stale else "SPLIT")
