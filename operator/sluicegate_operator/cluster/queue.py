"""Agents that are to be looked at, each once at a time, the earliest due first."""

import asyncio
import contextlib
import heapq
from collections.abc import Callable
from typing import NamedTuple


class AgentKey(NamedTuple):
    """An agent of a namespace."""

    namespace: str
    agent: str


class AgentQueue:
    """Each agent is in it at most once. One that is added while it is being looked at comes again afterwards."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: seconds, never going back."""
        self._clock = clock
        self._heap: list[tuple[float, AgentKey]] = []
        self._due: dict[AgentKey, float] = {}
        self._in_hand: set[AgentKey] = set()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """How many are due."""
        now = self._clock()
        return sum(due <= now for due in self._due.values())

    def add(self, key: AgentKey, seconds: float = 0.0) -> None:
        """To be looked at in so many seconds, unless it is due earlier."""
        due = self._clock() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))
            self._changed.set()

    def forget(self, key: AgentKey) -> None:
        self._due.pop(key, None)

    async def take(self) -> AgentKey:
        """The next one that is due and that nobody has in hand; `done` gives it back."""
        while True:
            self._changed.clear()
            key, wait = self._next()
            if key:
                return key
            # Not wait_for: before Python 3.12 it drops a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    def done(self, key: AgentKey) -> None:
        self._in_hand.discard(key)
        if key in self._due:
            heapq.heappush(self._heap, (self._due[key], key))
            self._changed.set()

    def _next(self) -> tuple[AgentKey | None, float | None]:
        """The one to take, or how long to wait for one; without a number where nothing is due at any time."""
        now = self._clock()
        while self._heap:
            due, key = self._heap[0]
            if self._due.get(key) != due or key in self._in_hand:
                # An earlier or later entry counts; one in hand is pushed again when it is done.
                heapq.heappop(self._heap)
                continue
            if due > now:
                return None, due - now
            heapq.heappop(self._heap)
            del self._due[key]
            self._in_hand.add(key)
            return key, None
        return None, None
