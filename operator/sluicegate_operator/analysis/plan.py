"""What the comparison of a run is set to: fixed when the run starts, since evidence may not choose its own test."""

from dataclasses import dataclass

from sluicegate.experiment import Unit
from sluicegate.resources.experiment import ExperimentResource


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The comparison of one run, as it was planned."""

    experiment: str
    run_id: str
    treatment: str
    control: str
    unit: Unit
    primary: str
    """The metric that must be shown safe; all metrics are watched for harm."""
    weights: tuple[float, ...]
    """Treatment's share in each planned step, 0 to 1."""
    margin: float
    """How much worse still counts as comparable, in points of the 1–5 scale, at weights of one half and more."""
    wait: float
    """Seconds from the assignment to the score, after which a session is out of the comparison."""


def plan_of(resource: ExperimentResource) -> Plan:
    """The plan of a run that starts with this resource."""
    return Plan(
        experiment=resource.name,
        run_id=resource.run_id,
        treatment=resource.treatment.name,
        control=resource.control.name,
        unit=resource.unit,
        primary=resource.primary,
        weights=tuple(step.weight for step in resource.steps),
        margin=resource.margin,
        wait=resource.wait_seconds,
    )
