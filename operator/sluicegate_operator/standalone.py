"""The controller without Kubernetes: the same looks, over resources from files, with its state in Redis."""

from collections.abc import Callable

from sluicegate.policy import Policy
from sluicegate.resources.experiment import ExperimentResource
from sluicegate_operator.analysis.scores import Scores
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_operator.publishing import Publishing
from sluicegate_operator.ramp import AgentRamp, Look
from sluicegate_operator.rollout.state import RolloutState
from sluicegate_operator.rollout.transitions import Transition, gate_sentence, transitions

Tell = Callable[[Transition], None]


class Controller:
    """The control plane of one agent."""

    def __init__(self, delivery: Delivery, scores: Scores, tell: Tell, publishing: Publishing | None = None) -> None:
        """`publishing`: None, where nobody wants reports."""
        self._ramp = AgentRamp(delivery, scores, publishing)
        self._scores = scores
        self._tell = tell
        self._last: RolloutState | None = None
        """What held after the last look: a Redis that lost it gets it back."""
        self._told_refused = ""

    async def running(self) -> str:
        """The name of the experiment that the sidecars have now; empty if there is none."""
        return await self._ramp.running()

    async def look(self, resource: ExperimentResource | None, policy: Policy, now: float) -> RolloutState | None:
        """One look at the agent: publishes what changed. Outrun and RedisAway mean: look again.

        `resource` is the agent's experiment, None if there is none; the state that is returned is what now holds.
        """
        if resource is None:
            ended = await self._ramp.without_run(None, policy, now)
            if ended:
                self._tell(Transition("Deleted", ended, "deleted: everybody gets the agent's own default"))
            self._last = None
        else:
            remembered = self._last if self._last and self._last.experiment == resource.name else None
            look = await self._ramp.look(resource, policy, now, remembered)
            self._tell_of(look)
            self._last = look.after
        for transition in self._ramp.news():
            self._tell(transition)
        return self._last

    def _tell_of(self, look: Look) -> None:
        before, after = look.before, look.after
        if before is None or before.run_id != after.run_id:
            self._told_refused = ""
        for transition in transitions(before, after, look.resource.in_force(0).weight):
            self._tell(transition)
        if look.refused and self._told_refused != look.refused:
            self._tell(Transition("Refused", after.experiment, look.refused))
        self._told_refused = look.refused

    async def wait(self, seconds: float) -> None:
        """Waits for a gate to change, for so long at most, and tells if one broke, recovered or halted a variant."""
        for event in await self._scores.events(seconds):
            if event.halted or event.shared_cause or "Broken" in (event.before, event.after):
                self._tell(Transition("Gate", event.series.partition("/")[0], gate_sentence(event)))
