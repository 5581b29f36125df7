"""The controller without Kubernetes: the same reconcile, over resources from files, with its state in Redis."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from sluicegate.keys import series
from sluicegate.policy import Policy
from sluicegate.records import GateEvent
from sluicegate.resources.experiment import ExperimentResource
from sluicegate.snapshot import VersionedExperiment
from sluicegate_operator.analysis.bills import Bills
from sluicegate_operator.analysis.comparison import Analysis
from sluicegate_operator.analysis.evidence import Evidence
from sluicegate_operator.analysis.plan import plan_of
from sluicegate_operator.analysis.scores import Cursor, Scores
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_operator.rollout.reconcile import begins_run, reconcile
from sluicegate_operator.rollout.state import RolloutState
from sluicegate_operator.rollout.thrift import affordable_policy, affordable_run, budget_sentence

Kind = Literal["Started", "Advanced", "RolledBack", "Complete", "Held", "Refused", "Deleted", "Gate", "Budget"]

WORTH_TELLING = frozenset(
    {"Paused", "SharedCause", "GateBroken", "JudgeLag", "SampleRatioMismatch", "TooFewCallers", "DeadlineExceeded"}
)
"""Holds that somebody may have to do something about. To wait for sessions is what a ramp does most of the time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Transition:
    """Something that a person wants to hear of, once."""

    kind: Kind
    experiment: str
    message: str


Tell = Callable[[Transition], None]


class Controller:
    """The control plane of one agent."""

    def __init__(self, delivery: Delivery, scores: Scores, tell: Tell) -> None:
        self._delivery = delivery
        self._scores = scores
        self._tell = tell
        self._analysis: Analysis | None = None
        self._read_up_to = Cursor()
        self._bills = Bills(scores)
        self._is_thrifty = False
        self._told: dict[Kind, str] = {}

    async def running(self) -> str:
        """The name of the experiment that the sidecars have now; empty if there is none."""
        _, stored, _ = await self._delivery.read()
        return stored.experiment.name if stored and stored.experiment else ""

    async def look(self, resource: ExperimentResource | None, policy: Policy, now: float) -> RolloutState | None:
        """One look at the agent: publishes what changed. Outrun and RedisAway mean: look again.

        `resource` is the agent's experiment, None if there is none; the state that is returned is what now holds.
        """
        stored_policy, stored, states = await self._delivery.read()
        affordable = await self._bills.affordable(policy.budget, now)
        in_force = stored_policy.policy if stored_policy else None
        asked, policy = policy, affordable_policy(policy, in_force, affordable)
        if stored_policy is None or in_force != policy:
            expected = stored_policy.version if stored_policy else 0
            await self._delivery.put_policy(policy, expected, max(expected + 1, int(now * 1000)))
            if self._is_thrifty or policy != asked:
                self._tell(Transition("Budget", "", budget_sentence(affordable, policy.sampling_rate)))
            self._is_thrifty = policy != asked
        if resource is None:
            await self._delete(stored, now)
            return None
        before = states.get(resource.name)
        resource = affordable_run(resource, before, affordable)
        state = await self._look_at(resource, policy, stored, before, now)
        if (
            affordable.rate < 1
            and before
            and before.run_id == state.run_id
            and before.sampling_rate > state.sampling_rate
        ):
            self._tell(Transition("Budget", resource.name, budget_sentence(affordable, state.sampling_rate)))
        return state

    async def _look_at(
        self,
        resource: ExperimentResource,
        policy: Policy,
        stored: VersionedExperiment | None,
        before: RolloutState | None,
        now: float,
    ) -> RolloutState:
        current = stored.experiment if stored else None
        outcome = reconcile(resource, before, current, await self._evidence(resource, before), policy, now)
        state = outcome.state
        expected = stored.version if stored else 0
        if current != outcome.in_force or before is None or _unlike(before, state):
            state = replace(state, version=max(state.version, expected + 1))
            await self._delivery.put_experiment(outcome.in_force, state, expected, state.version)
        self._tell_of(resource, before, state, outcome.refused)
        return state

    async def _evidence(self, resource: ExperimentResource, state: RolloutState | None) -> Evidence:
        """What is known now. The comparison is kept in memory, and rebuilt from the log where it is not of this run."""
        plan = state.plan if state and not begins_run(resource, state) else plan_of(resource)
        if state is None or self._analysis is None or self._analysis.plan != plan:
            self._analysis, self._read_up_to = Analysis(plan), Cursor()
        arrivals, self._read_up_to = await self._scores.since(self._read_up_to)
        for arrival in arrivals:
            self._analysis.arrive(arrival)
        self._analysis.advance(self._read_up_to.now)
        gates, halts = await self._scores.gates()
        treatment = series(plan.experiment, plan.run_id, plan.treatment)
        return Evidence(
            comparison=self._analysis.reading(),
            treatment=gates.get(treatment),
            control=gates.get(series(plan.experiment, plan.run_id, plan.control)),
            halt=halts.get(treatment),
        )

    async def _delete(self, stored: VersionedExperiment | None, now: float) -> None:
        if stored and stored.experiment is None:
            return
        # Also where there never was one: a sidecar waits until it knows that.
        expected = stored.version if stored else 0
        await self._delivery.put_experiment(None, None, expected, max(expected + 1, int(now * 1000)))
        if stored and stored.experiment:
            message = "deleted: everybody gets the agent's own default"
            self._tell(Transition("Deleted", stored.experiment.name, message))

    def _tell_of(
        self, resource: ExperimentResource, before: RolloutState | None, after: RolloutState, refused: str
    ) -> None:
        name = resource.name
        if before is None or before.run_id != after.run_id:
            self._tell(Transition("Started", name, f"run {after.run_id} started at {resource.in_force(0).weight:.0%}"))
            self._told.clear()
        if before and before.run_id == after.run_id and before.step < after.step:
            self._tell(Transition("Advanced", name, after.message))
        if after.phase != "Ramping" and (
            before is None or (before.run_id, before.phase) != (after.run_id, after.phase)
        ):
            self._tell(Transition("Complete" if after.phase == "Complete" else "RolledBack", name, after.message))
        if after.reason in WORTH_TELLING and (before is None or before.reason != after.reason):
            self._tell(Transition("Held", name, after.message))
        if refused and self._told.get("Refused") != refused:
            self._tell(Transition("Refused", name, refused))
        self._told["Refused"] = refused

    async def wait(self, seconds: float) -> None:
        """Waits for a gate to change, for so long at most, and tells if one broke, recovered or halted a variant."""
        for event in await self._scores.events(seconds):
            if event.halted or event.shared_cause or "Broken" in (event.before, event.after):
                self._tell(Transition("Gate", event.series.partition("/")[0], gate_sentence(event)))


def _unlike(before: RolloutState, after: RolloutState) -> bool:
    """Whether more has changed than the numbers of what is waited for, which are new at every look."""
    return replace(before, message=after.message, needed=after.needed) != after


def gate_sentence(event: GateEvent) -> str:
    """A gate event as a person reads it."""
    of = "the agent" if event.series == "*" else event.series.rpartition("/")[2] or "sessions without an experiment"
    reading = event.reading
    mean = f"mean {reading.mean:.2f}" if reading.mean is not None else "no mean"
    numbers = f"{mean} of {reading.count} scored sessions, floor {reading.threshold:g}"
    change = f"{event.gate} of {of}: {event.before} → {event.after} ({numbers}, {reading.severity})"
    if event.halted:
        return f"{change}; {of} is halted, everywhere"
    if event.shared_cause:
        return f"{change}; control's gate is broken too: the cause is shared, the ramp stands still"
    return change
