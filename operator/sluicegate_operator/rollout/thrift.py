"""How many sessions are judged where not all can be afforded. Pure; the same rate holds for both variants.

Within a run the rate only falls (see `RolloutState.sampling_rate`), so it leaves some room under the limit; a policy's
own rate follows what is affordable, in steps, so that not every look writes a new snapshot.
"""

from dataclasses import replace

from sluicegate.policy import Policy
from sluicegate.resources.experiment import ExperimentResource
from sluicegate.spending import Affordable
from sluicegate_operator.rollout.reconcile import begins_run
from sluicegate_operator.rollout.state import RolloutState

ROOM = 0.9
"""Of what is affordable, so much is used: the estimate is of the last hour, and the next may bring a little more."""
STEP = 1.25
"""A rate that may rise again is raised once it can be raised by so much."""
LEAST = 0.001


def affordable_run(
    resource: ExperimentResource, state: RolloutState | None, affordable: Affordable
) -> ExperimentResource:
    """The experiment at the rate that the budget allows for the rest of its run."""
    rate = resource.sampling_rate
    if state and not begins_run(resource, state):
        rate = min(rate, state.sampling_rate)
    return replace(resource, sampling_rate=_thrifty(affordable) if affordable.rate < rate else rate)


def affordable_policy(policy: Policy, in_force: Policy | None, affordable: Affordable) -> Policy:
    """The policy at the rate that the budget allows now; `in_force` is what the sidecars have."""
    asked = policy.sampling_rate
    rate = asked if affordable.rate >= asked else min(asked, _thrifty(affordable))
    now = (
        in_force.sampling_rate
        if in_force and in_force == replace(policy, sampling_rate=in_force.sampling_rate)
        else 0.0
    )
    keeps = 0 < now <= min(asked, max(affordable.rate, LEAST)) and rate < asked and rate < now * STEP
    return replace(policy, sampling_rate=now if keeps else rate)


def budget_sentence(affordable: Affordable, rate: float) -> str:
    """What a budget did to the rate, as a person reads it."""
    if not affordable.limit:
        return f"the judge's budget allows every session again: {rate:.1%} are sampled, as the policy says"
    return (
        f"the judge's budget of {affordable.limit} is enough for {affordable.rate:.1%} of the sessions: "
        f"{rate:.1%} are sampled now"
    )


def _thrifty(affordable: Affordable) -> float:
    return max(LEAST, float(f"{affordable.rate * ROOM:.2g}"))
