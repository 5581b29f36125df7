"""The circuit breaker before the judge endpoint: when it is away, one call asks for it from time to time, not all."""

import asyncio
import random
from collections.abc import Callable

TRIPS_AFTER = 5
"""Calls in a row that found nobody."""
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0


class Breaker:
    """Closed: calls pass. Open: nobody calls until a time. Half open: one call passes, and its end decides."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._clock = clock
        self._failures = 0
        self._opens_at = 0.0
        self._probe = asyncio.Lock()

    def is_open(self) -> bool:
        return self._failures >= TRIPS_AFTER

    def wait_seconds(self) -> float:
        """How long until the next call may be tried; 0 if it may be now."""
        return max(0.0, self._opens_at - self._clock()) if self.is_open() else 0.0

    async def passage(self) -> bool:
        """Waits until a call may pass; True if it is the probe of an open breaker, which `settle` then ends."""
        while self.is_open():
            await self._probe.acquire()
            try:
                await asyncio.sleep(self.wait_seconds())
            except BaseException:
                self._probe.release()
                raise
            if self.is_open():
                return True
            self._probe.release()  # Another probe was answered while this one waited for its turn.
        return False

    def settle(self, *, probe: bool, answered: bool, retry_after: float = 0.0) -> None:
        """The end of a call. `retry_after`: seconds that the endpoint asked to be left alone for."""
        if answered:
            self._failures = 0
        else:
            self._failures += 1
            doublings = min(max(0, self._failures - TRIPS_AFTER), 10)
            wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**doublings) * random.uniform(0.5, 1.0)
            self._opens_at = self._clock() + max(wait, min(retry_after, LONGEST_WAIT_SECONDS))
        if probe:
            self._probe.release()
