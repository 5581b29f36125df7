"""What time it is: Redis's, which is the time of the windows, of the comparison and of all other sidecars.

A sidecar by its own clock would be wrong alone: with a clock an hour behind, each of its sessions ends before the
window begins, and is assigned too long ago to be compared.
"""

import logging
import time
from collections.abc import Callable

NOISE_SECONDS = 1.0
"""Differences that a slow reply makes too, and that change no decision."""

log = logging.getLogger(__name__)


class Clock:
    """Until Redis was heard, this host's time. Monotonic: a host's clock that is set meanwhile changes nothing."""

    def __init__(self, host: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`host`: Unix seconds by the clock of this host."""
        self._host = host
        self.monotonic = monotonic
        self._ahead = host() - monotonic()

    def now(self) -> float:
        """Unix seconds."""
        return self.monotonic() + self._ahead

    def hear(self, told: float, asked_at: float, answered_at: float) -> None:
        """Redis said that it is `told` (Unix seconds), between two moments of `monotonic`."""
        wrong = told - (asked_at + answered_at) / 2 - self._ahead
        if abs(wrong) > NOISE_SECONDS + (answered_at - asked_at) / 2:
            log.warning("the clock here is %.0f s %s Redis's; Redis's counts", abs(wrong), _side(wrong))
            self._ahead += wrong

    def from_host(self, at: float) -> float:
        """A time by this host's clock (Unix seconds), as the agents beside us tell it. 0, no time, stays 0."""
        return at + self._off if at else at

    def to_host(self, at: float) -> float:
        """The other way round: for what is kept on disk, and read by whoever knows this host's clock alone."""
        return at - self._off

    @property
    def _off(self) -> float:
        """What this host's clock lacks, in seconds; exactly 0 for noise, so that a told time stays what was told."""
        off = self.now() - self._host()
        return off if abs(off) > NOISE_SECONDS else 0.0


def _side(wrong: float) -> str:
    return "behind" if wrong > 0 else "ahead of"
