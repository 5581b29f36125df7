"""What must hold between resources: unique names, one policy for an agent, a primary metric that exists."""

from collections.abc import Callable, Iterator, Sequence

from sluicegate.policy import OVERALL, Policy
from sluicegate.resources.errors import ResourceProblem
from sluicegate.resources.policy import PolicyResource, policy_resource
from sluicegate.resources.reading import CheckedResource

_Key = tuple[str | None, ...]


def conflicts(resources: Sequence[CheckedResource], complete: bool) -> Iterator[ResourceProblem]:
    """The problems between `resources`; `complete` tells that no document was left out as unreadable."""
    for resource, first in _repeated(resources, _name):
        message = f"{resource.kind} {resource.text('metadata', 'name')} is there already, at {first.source}: rename one"
        yield resource.problem(("metadata", "name"), message)
    policies = [resource for resource in resources if resource.kind == "EvaluationPolicy"]
    for resource, first in _repeated(policies, _agent):
        message = f"agent {resource.text('spec', 'agent')} has a policy already, at {first.source}: remove one"
        yield resource.problem(("spec", "agent"), message)
    if complete and not any(policy.problems for policy in policies):
        yield from _missing_metrics(resources, policies)


def _name(resource: CheckedResource) -> _Key:
    return resource.kind, resource.text("metadata", "namespace"), resource.text("metadata", "name")


def _agent(resource: CheckedResource) -> _Key:
    return resource.text("metadata", "namespace"), resource.text("spec", "agent")


def _repeated(
    resources: Sequence[CheckedResource], key_of: Callable[[CheckedResource], _Key]
) -> Iterator[tuple[CheckedResource, CheckedResource]]:
    """Every resource whose key came before, with the first one of that key."""
    seen: dict[_Key, CheckedResource] = {}
    for resource in resources:
        key = key_of(resource)
        first = seen.setdefault(key, resource)
        if first is not resource and None not in key:
            yield resource, first


def _missing_metrics(
    resources: Sequence[CheckedResource], policies: Sequence[CheckedResource]
) -> Iterator[ResourceProblem]:
    """Experiments whose primary metric their agent's policy, or the default one, does not yield."""
    by_agent: dict[_Key, PolicyResource] = {}
    for checked in policies:
        by_agent.setdefault(_agent(checked), policy_resource(checked.resource, checked.source))
    for checked in resources:
        primary = checked.text("spec", "analysis", "primary")
        if checked.kind != "Experiment" or primary is None:
            continue
        policy = by_agent.get(_agent(checked))
        metrics = policy.policy.metrics if policy else Policy().metrics
        if primary not in metrics:
            whose = (
                f"of the agent's policy at {policy.source}"
                if policy
                else "of the default policy, and no other is given"
            )
            known = ", ".join(metric for metric in metrics if metric != OVERALL)
            yield checked.problem(
                ("spec", "analysis", "primary"), f"must be a metric {whose}: {known}; not {primary[:63]}"
            )
