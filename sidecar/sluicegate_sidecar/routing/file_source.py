"""The snapshot from resource files: what `SLUICEGATE_CONFIG` names, read again when its content changes.

Without a controller nothing ramps: the weight in force is that of the first ramp step.
"""

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.snapshot import Snapshot
from sluicegate_sidecar.errors import ConfigError
from sluicegate_sidecar.routing.in_force import InForce

if TYPE_CHECKING:
    from sluicegate.resources.load import Resources

POLL_SECONDS = 1.0

log = logging.getLogger(__name__)


class FileSource:
    """Keeps an `InForce` at what the files say. Files that became unreadable or wrong leave the last good state."""

    def __init__(self, path: str, namespace: str, agent: str, in_force: InForce) -> None:
        # Validation costs 40 MiB and 0.2 s of imports, which a sidecar that follows Redis does without.
        from sluicegate.resources.watch import WatchedFiles

        self._files = WatchedFiles([Path(path)])
        self._namespace = namespace
        self._agent = agent
        self._in_force = in_force

    def load(self) -> None:
        """Reads the files if they changed; ConfigError has every problem of every file, a line each."""
        from sluicegate.resources.errors import ResourceErrors

        try:
            resources = self._files.read()
        except ResourceErrors as errors:
            raise ConfigError(f"SLUICEGATE_CONFIG:\n{errors}") from errors
        if resources is not None:
            self._take(resources)

    def _take(self, resources: "Resources") -> None:
        from sluicegate.resources.watch import for_agent

        own = for_agent(resources, self._namespace, self._agent)
        for other in own.busy:
            log.warning("%s: agent %s is busy; %s gets no traffic", other.source, self._agent, other.name)
        first_step = own.experiment.in_force(0) if own.experiment else None
        self._in_force.replace(Snapshot(policy=own.policy, experiment=first_step))
        log.info("experiment in force: %s", first_step.name if first_step else "none")

    async def follow(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                self.load()
            except ConfigError as error:
                log.error("%s\nthe last good state stays in force", error)
