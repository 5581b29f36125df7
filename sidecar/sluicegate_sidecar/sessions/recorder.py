"""Takes sessions that are told to us, whole or as they happen: checks them, adds their variant, has them kept."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from sluicegate.policy import Capture
from sluicegate_sidecar.errors import OutOfOrder, RedisAway
from sluicegate_sidecar.limits import Limits
from sluicegate_sidecar.routing import token
from sluicegate_sidecar.routing.assignment import Attribution
from sluicegate_sidecar.routing.clock import Clock
from sluicegate_sidecar.routing.in_force import InForce
from sluicegate_sidecar.routing.pins import Pins
from sluicegate_sidecar.sessions.capture import ToldSession, capture, check, check_item, check_start, check_time
from sluicegate_sidecar.sessions.keeper import Keeper
from sluicegate_sidecar.sessions.operations import Append, Close, Record
from sluicegate_sidecar.sessions.redaction import Redactor
from sluicegate_sidecar.sessions.session import CapturedSession, Item
from sluicegate_sidecar.sessions.stream import Kept

Redacted = Callable[[Mapping[str, int]], None]
Redact = Callable[[tuple[Item, ...]], Awaitable[tuple[Item, ...]]]

LONG_TEXT = 32 * 1024
"""Characters over which redaction leaves the event loop: a hostile megabyte takes it a second or more."""

log = logging.getLogger(__name__)


class Recorder:
    """Records sessions, each one once."""

    def __init__(
        self, in_force: InForce, pins: Pins, keeper: Keeper, redacted: Redacted, limits: Limits = Limits()
    ) -> None:
        """`redacted` is told what was replaced in each session: preset or pattern → how often."""
        self._in_force = in_force
        self._pins = pins
        self._keeper = keeper
        self._redacted = redacted
        self.limits = limits
        self._capture_rule = in_force.snapshot.policy.capture
        self._redactor = Redactor(self._capture_rule)

    async def record(self, told: ToldSession, now: float) -> Kept:
        """A whole session. Raises InvalidRequest, TooLarge, QueueFull, SpoolFull or RedisAway: nothing was kept."""
        check(told, self.limits)
        session, sampled = self._capture(replace(told, items=await self._redact(told.items)), now)
        kept = await self._keeper.keep(Record(session=session, sampled=sampled), now)
        self._pins.release(told.session_id)
        return kept

    async def open(self, told: ToldSession, now: float) -> "OpenRecording":
        """The start, or the resumption, of a session that is told as it happens. Raises as `record` does."""
        check_start(told)
        session, sampled = self._capture(told, now)
        start = Append(session=replace(session, ended_at=0.0, items=()), sampled=sampled, sequence=1, at=now)
        kept = await self._keeper.keep(start, now)
        return OpenRecording(start, kept, self._keeper, self._pins, self._redact, self._in_force.clock, self.limits)

    async def _redact(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """The items as they may leave the pod, by the policy that is in force now."""
        rule = self._in_force.snapshot.policy.capture
        if rule != self._capture_rule:
            self._take_rule(rule)
        if sum(len(item.text) for item in items) <= LONG_TEXT:
            redacted, found = self._redactor.redact(items)
        else:
            redacted, found = await asyncio.to_thread(self._redactor.redact, items)
        if found:
            self._redacted(found)
        return redacted

    def _take_rule(self, rule: Capture) -> None:
        """A rule that cannot be used is told of, and the last good one stays."""
        self._capture_rule = rule
        try:
            self._redactor = Redactor(rule)
        except ValueError as error:
            log.error("spec.capture of the policy cannot be used (%s); the last good one stays", error)

    def _capture(self, told: ToldSession, now: float) -> tuple[CapturedSession, bool]:
        key = self._in_force.caller_key
        if not key:
            raise RedisAway("the key for hashing callers is not known yet: Redis has not answered since the start")
        told = _by(self._in_force.clock, told)
        return capture(told, self._in_force.snapshot, self._attribution(told, key), key, now)

    def _attribution(self, told: ToldSession, key: bytes) -> Attribution | None:
        """From the pin, or, where that is forgotten, from the token that the agent gave back."""
        pinned = self._pins.get(told.session_id)
        return pinned.attribution if pinned else token.verify(key, told.session_id, told.assignment_token)


class OpenRecording:
    """One session that is told as it happens, over one connection."""

    def __init__(
        self, start: Append, kept: Kept, keeper: Keeper, pins: Pins, redact: Redact, clock: Clock, limits: Limits
    ) -> None:
        self._start = start
        self._limits = limits
        self._clock = clock
        self._redact = redact
        self._keeper = keeper
        self._pins = pins
        self.kept = kept
        """What became of the last event."""

    async def item(self, sequence: int, item: Item, now: float) -> Kept:
        """The item with this sequence number, from 1; an item that is kept already changes nothing."""
        check_item(item, self._limits)
        if sequence < 1:
            raise OutOfOrder("sequence", f"{sequence}; the items are 1, 2, 3 …")
        operation = Append(
            session=self._start.session,
            sampled=self._start.sampled,
            sequence=sequence,
            items=await self._redact((item,)),
            at=now,
        )
        self.kept = await self._keeper.keep(operation, now)
        return self.kept

    async def end(self, sequence: int, end_reason: str, ended_at: float, now: float) -> Kept:
        """The end, with the sequence number after the last item's; one with the number of an item changes nothing."""
        check_time("end.ended_at", ended_at)
        # Also because a Close of -1 would end the session wherever it is, and one below 64 bits cannot be spooled.
        if sequence < 1:
            raise OutOfOrder("sequence", f"{sequence}; the end comes after the last item")
        session_id = self._start.session.session_id
        ended = min(self._clock.from_host(ended_at) or now, now)
        operation = Close(session_id=session_id, sequence=sequence - 1, end_reason=end_reason, ended_at=ended)
        kept = await self._keeper.keep(operation, now)
        if kept.closed:
            self._pins.release(session_id)
            kept = replace(kept, sequence=sequence, sampled=kept.sampled or self.kept.sampled)
        self.kept = kept
        return self.kept


def _by(clock: Clock, told: ToldSession) -> ToldSession:
    """Its times by the clock that all go by: the agent beside us has this host's."""
    return replace(told, started_at=clock.from_host(told.started_at), ended_at=clock.from_host(told.ended_at))
