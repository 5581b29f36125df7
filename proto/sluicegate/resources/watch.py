"""Resource files that are read again when their content changes, and what of them concerns one agent."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sluicegate.policy import Policy
from sluicegate.resources.experiment import ExperimentResource
from sluicegate.resources.load import Resources, load


class WatchedFiles:
    """Files and folders of resources. Compares contents, not times: a mounted ConfigMap keeps neither."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._digest = b""

    def read(self) -> Resources | None:
        """The resources; None if nothing changed since the last call.

        ResourceErrors has every problem of every file. It is raised once for each change: the last good state stays.
        """
        digest = self._content()
        if digest == self._digest:
            return None
        self._digest = digest
        return load(self._paths)

    def _content(self) -> bytes:
        digest = hashlib.sha256()
        for path in self._files():
            try:
                digest.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                digest.update(f"{path}\0{error}".encode())
        return digest.digest()

    def _files(self) -> list[Path]:
        return [file for path in self._paths for file in (sorted(path.glob("*.y*ml")) if path.is_dir() else [path])]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForAgent:
    """The resources of one agent. One experiment runs at a time; the others are told that the agent is busy."""

    experiment: ExperimentResource | None
    busy: tuple[ExperimentResource, ...]
    policy: Policy


def for_agent(resources: Resources, namespace: str, agent: str, running: str = "") -> ForAgent:
    """What concerns `agent`. The experiment that is `running` already goes first, then the order of the files."""
    own = [e for e in resources.experiments if (e.namespace, e.agent) == (namespace, agent)]
    own.sort(key=lambda experiment: experiment.name != running)
    policies = [p.policy for p in resources.policies if (p.namespace, p.agent) == (namespace, agent)]
    return ForAgent(
        experiment=own[0] if own else None, busy=tuple(own[1:]), policy=policies[0] if policies else Policy()
    )
