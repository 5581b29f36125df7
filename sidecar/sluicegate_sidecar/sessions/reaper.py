"""Closes sessions that never end: abandoned, with all that was acknowledged of them."""

import asyncio
import logging
import random

from sluicegate_sidecar.ending import ending
from sluicegate_sidecar.errors import QueueFull, RedisAway
from sluicegate_sidecar.sessions.operations import Close
from sluicegate_sidecar.sessions.stream import SessionStream

BATCH = 100
"""Sessions looked at in one round."""

log = logging.getLogger(__name__)


async def reap(stream: SessionStream, idle_seconds: int) -> None:
    """Closes idle sessions until cancelled. Any number may do so at once: each session is closed once."""
    while not ending():
        await asyncio.sleep(min(15.0, idle_seconds / 4) * random.uniform(0.8, 1.2))
        try:
            await reap_once(stream, idle_seconds, await stream.time())
        except (RedisAway, QueueFull) as error:
            log.warning("%s; idle sessions stay open", error)


async def reap_once(stream: SessionStream, idle_seconds: int, now: float) -> int:
    """One round; how many sessions were looked at. `now`: by Redis's clock."""
    idle_since = now - idle_seconds
    idle = await stream.idle_sessions(idle_since, BATCH)
    for session_id in idle:
        abandoned = Close(
            session_id=session_id, sequence=-1, end_reason="ABANDONED", ended_at=idle_since, idle_since=idle_since
        )
        await stream.apply(abandoned, now)
    return len(idle)
