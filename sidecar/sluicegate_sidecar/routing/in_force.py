"""What is in force in this process: the last good snapshot, and every halt ever seen."""

import asyncio
import math

from sluicegate.snapshot import Snapshot


class InForce:
    """Held in memory, replaced whole, read without waiting.

    Halts only ever grow: a variant that a gate shut out stays out, whatever a later snapshot or a Redis that lost
    its data says.
    """

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.halted: set[str] = set()
        """Names of series."""
        self.caller_key = b""
        """The key under which callers are hashed; empty until it is known."""
        self.heard_at = math.inf
        """When the control plane's word was last heard, Unix seconds; for ever fresh where it comes from a file."""
        self.loaded = asyncio.Event()
        """Set once a snapshot has been loaded."""
        self.keyed = asyncio.Event()
        """Set once the key is known: before that, no session can be taken."""

    def replace(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.loaded.set()

    def take_key(self, caller_key: bytes) -> None:
        self.caller_key = caller_key
        self.keyed.set()
