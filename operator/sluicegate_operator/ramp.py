"""The ramp of one agent: a look at it reads what is known, decides, and publishes what changed.

With files or with Kubernetes, this is the same. They differ in where the state of a run is kept: in Redis alone, or in
the resource's status, which is written first. What the status holds, no loss of Redis can undo.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from sluicegate.experiment import ExperimentInForce
from sluicegate.policy import Policy
from sluicegate.resources.experiment import ExperimentResource
from sluicegate.snapshot import VersionedExperiment, VersionedPolicy
from sluicegate.spending import Affordable
from sluicegate_operator.analysis.bills import Bills
from sluicegate_operator.analysis.evidence import Evidence
from sluicegate_operator.analysis.plan import plan_of
from sluicegate_operator.analysis.reader import EvidenceReader
from sluicegate_operator.analysis.scores import Scores
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_operator.publishing import Publishing
from sluicegate_operator.rollout.operations import attempted
from sluicegate_operator.rollout.reconcile import begins_run, reconcile
from sluicegate_operator.rollout.state import RolloutState
from sluicegate_operator.rollout.thrift import affordable_policy, affordable_run, budget_sentence
from sluicegate_operator.rollout.transitions import Transition

MOST_NEWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look saw and did."""

    resource: ExperimentResource
    """With the id of the run that is meant, which a retry changes."""
    before: RolloutState | None
    after: RolloutState
    in_force: ExperimentInForce
    evidence: Evidence
    refused: str
    published: bool


Reserve = Callable[[Look], Awaitable[None]]
"""Keeps the state that is about to be published. Outrun if somebody else kept another one: nothing is published."""


async def _keep_nowhere_else(look: Look) -> None:
    """Redis keeps the state, in the step that publishes it."""


class AgentRamp:
    """Looks at one agent. Outrun and RedisAway mean: look again."""

    def __init__(self, delivery: Delivery, scores: Scores, publishing: Publishing | None = None) -> None:
        """`publishing`: None, where nobody wants reports."""
        self._delivery = delivery
        self._evidence = EvidenceReader(scores)
        self._bills = Bills(scores)
        self._publishing = publishing
        self._is_thrifty = False
        self._news: deque[Transition] = deque(maxlen=MOST_NEWS)

    async def running(self) -> str:
        """The name of the experiment that the sidecars have now; empty if there is none."""
        _, stored, _ = await self._delivery.read()
        return stored.experiment.name if stored and stored.experiment else ""

    async def look(
        self,
        resource: ExperimentResource,
        policy: Policy,
        now: float,
        remembered: RolloutState | None = None,
        reserve: Reserve = _keep_nowhere_else,
    ) -> Look:
        """One look at the agent's experiment: publishes what changed.

        `remembered`: the state that is kept outside of Redis, if one is.
        """
        stored_policy, stored, states = await self._delivery.read()
        policy, affordable = await self._put_policy(policy, stored_policy, now)
        in_redis = states.get(resource.name)
        before = _later(in_redis, remembered)
        resource = affordable_run(attempted(resource, before), before, affordable)
        plan = before.plan if before and not begins_run(resource, before) else plan_of(resource)
        evidence = await self._evidence.read(plan, anew=in_redis is None)
        current = stored.experiment if stored else None
        outcome = reconcile(resource, before, current, evidence, policy, now)
        state, expected = outcome.state, stored.version if stored else 0
        is_news = current != outcome.in_force or _unlike(in_redis, state) or _unlike(remembered or in_redis, state)
        if is_news:
            state = replace(state, version=max(state.version, expected + 1))
        look = Look(
            resource=resource,
            before=before,
            after=state,
            in_force=outcome.in_force,
            evidence=evidence,
            refused=outcome.refused,
            published=is_news,
        )
        if is_news:
            await reserve(look)
            await self._delivery.put_experiment(outcome.in_force, state, expected, state.version)
        if affordable.limit and before and before.run_id == state.run_id and before.sampling_rate > state.sampling_rate:
            self._news.append(Transition("Budget", resource.name, budget_sentence(affordable, state.sampling_rate)))
        recording = self._evidence.recording
        if self._publishing and recording and plan == state.plan:
            await self._publishing.offer(state, evidence, recording, now)
        return look

    def news(self) -> list[Transition]:
        """What the looks since the last call did because of the judge's budget."""
        news = list(self._news)
        self._news.clear()
        return news

    async def without_run(self, instead: ExperimentInForce | None, policy: Policy, now: float) -> str:
        """One look where no experiment may run: the sidecars get `instead`, or hear that there is none.

        Returns the name of the experiment that they had until now, if it is not the same one; empty otherwise.
        """
        stored_policy, stored, _ = await self._delivery.read()
        await self._put_policy(policy, stored_policy, now)
        # Also where there never was one: a sidecar waits until it knows that.
        if stored is None or stored.experiment != instead:
            expected = stored.version if stored else 0
            await self._delivery.put_experiment(instead, None, expected, max(expected + 1, int(now * 1000)))
        return _ended(stored, instead)

    async def _put_policy(self, asked: Policy, stored: VersionedPolicy | None, now: float) -> tuple[Policy, Affordable]:
        """Publishes the policy, at the rate that its budget allows. Returns it, and what that is."""
        affordable = await self._bills.affordable(asked.budget, now)
        policy = affordable_policy(asked, stored.policy if stored else None, affordable)
        if stored is None or stored.policy != policy:
            expected = stored.version if stored else 0
            await self._delivery.put_policy(policy, expected, max(expected + 1, int(now * 1000)))
            if self._is_thrifty or policy != asked:
                self._news.append(Transition("Budget", "", budget_sentence(affordable, policy.sampling_rate)))
            self._is_thrifty = policy != asked
        return policy, affordable


def _ended(stored: VersionedExperiment | None, instead: ExperimentInForce | None) -> str:
    had = stored.experiment.name if stored and stored.experiment else ""
    return "" if instead and instead.name == had else had


def _later(in_redis: RolloutState | None, remembered: RolloutState | None) -> RolloutState | None:
    """Of two memories the one with the higher version; what is kept outside of Redis where they agree."""
    if in_redis and remembered:
        return in_redis if in_redis.version > remembered.version else remembered
    return remembered or in_redis


def _unlike(before: RolloutState | None, after: RolloutState) -> bool:
    """Whether more has changed than the numbers of what is waited for, which are new at every look."""
    return before is None or replace(before, message=after.message, needed=after.needed, seen=after.seen) != after
