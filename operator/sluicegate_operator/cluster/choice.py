"""Which of an agent's experiments has the agent: one at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from sluicegate.resources.experiment import ExperimentResource
from sluicegate_operator.rollout.operations import attempted
from sluicegate_operator.rollout.reconcile import begins_run
from sluicegate_operator.rollout.state import RolloutState


@dataclass(frozen=True, slots=True)
class Candidate:
    """An experiment of the agent, and what its status remembers."""

    resource: ExperimentResource
    state: RolloutState | None

    @property
    def _meant(self) -> ExperimentResource:
        return attempted(self.resource, self.state)

    @property
    def wants(self) -> bool:
        """Whether it has, or would give, traffic of its own: a rolled back run leaves the agent to others."""
        if self.state is None:
            return True
        if begins_run(self._meant, self.state):
            ended = next((run for run in self.state.ended if run.run_id == self._meant.run_id), None)
            return ended is None or ended.phase == "Complete"
        return self.state.phase != "RolledBack"

    @property
    def has_begun(self) -> bool:
        """Whether it had the agent when its status was written."""
        return bool(self.state and self.state.phase != "RolledBack" and not begins_run(self._meant, self.state))


def holder(candidates: Sequence[Candidate], running: str) -> Candidate | None:
    """The one that has the agent: the one that is running, else the first that wants it. Candidates: oldest first.

    `running`: what the sidecars have; empty where Redis lost it, and then the status tells who was running.
    """
    wanting = [candidate for candidate in candidates if candidate.wants]
    order = wanting or list(candidates)
    order.sort(key=lambda candidate: (candidate.resource.name != running, not candidate.has_begun))
    return order[0] if order else None
