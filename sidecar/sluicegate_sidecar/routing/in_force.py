"""What is in force in this process: the last good snapshot, and every halt ever seen."""

import asyncio
import logging
import math

from sluicegate.experiment import ExperimentInForce
from sluicegate.snapshot import Snapshot
from sluicegate_sidecar.routing.clock import Clock

log = logging.getLogger(__name__)


class InForce:
    """Held in memory, replaced whole, read without waiting.

    Halts only ever grow: a variant that a gate shut out stays out, whatever a later snapshot or a Redis that lost
    its data says.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        """The time that everything here goes by."""
        self.snapshot = Snapshot()
        self.halted: set[str] = set()
        """Names of series."""
        self.caller_key = b""
        """The key under which callers are hashed; empty until it is known."""
        self.heard_at = math.inf
        """When the control plane's word was last heard, by `clock`; for ever fresh where it comes from a file."""
        self.loaded = asyncio.Event()
        """Set once a snapshot has been loaded."""
        self.keyed = asyncio.Event()
        """Set once the key is known: before that, no session can be taken."""

    def replace(self, snapshot: Snapshot) -> None:
        if snapshot.experiment and snapshot.experiment != self.snapshot.experiment:
            _tell_unknown_variants(snapshot.experiment)
        self.snapshot = snapshot
        self.loaded.set()

    def take_key(self, caller_key: bytes) -> None:
        self.caller_key = caller_key
        self.keyed.set()


def _tell_unknown_variants(experiment: ExperimentInForce) -> None:
    """What counts for nothing is told here, once, and not in each call that it would have been for."""
    named = {f"override for {override.variant!r}": override.variant for override in experiment.overrides}
    if experiment.winner:
        named[f"winner {experiment.winner!r}"] = experiment.winner
    for what, name in named.items():
        if experiment.variant(name) is None:
            known = ", ".join(variant.name for variant in experiment.variants)
            log.error("experiment %s: the %s is not in force: its variants are %s", experiment.name, what, known)
