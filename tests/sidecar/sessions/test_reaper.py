"""Sessions that never end, on a real server, closed by whichever reaper comes first."""

from dataclasses import replace

import pytest
from captured import a_captured, user
from redis.asyncio import Redis

from sluicegate.keys import Keys
from sluicegate_sidecar.sessions.operations import Append
from sluicegate_sidecar.sessions.reaper import reap_once
from sluicegate_sidecar.sessions.stream import SessionStream, decode

KEYS = Keys("default", "receptionist")
IDLE_SECONDS = 1800


@pytest.fixture
def stream(redis: Redis) -> SessionStream:
    return SessionStream(redis, KEYS)


async def _opened(stream: SessionStream, session_id: str, at: float) -> None:
    start = replace(a_captured(session_id), items=(), ended_at=0.0)
    await stream.apply(Append(session=start, sampled=True, sequence=1, items=(user("Hello?"),), at=at), at)


@pytest.mark.parametrize("off", [0.0, 3600.0, -3600.0])
async def test_idle_is_by_the_clock_of_redis(redis: Redis, stream: SessionStream, off: float) -> None:
    """Whatever the clock of the sidecar that was told: a session of now stays open, one that was idle is closed."""
    now = await stream.time()
    await _opened(stream, "live", now + off)
    await _opened(stream, "dead", now + off)
    await redis.zincrby(KEYS.open, -1000 * IDLE_SECONDS - 1000, "dead")
    assert await reap_once(stream, IDLE_SECONDS, now) == 1
    ((_, fields),) = await redis.xrange(KEYS.queue)
    abandoned = decode(fields[b"d"])
    assert (abandoned.session_id, abandoned.end_reason, abandoned.ended_at) == ("dead", "ABANDONED", now - IDLE_SECONDS)
    assert await redis.zrange(KEYS.open, 0, -1) == [b"live"]
    assert await reap_once(stream, IDLE_SECONDS, now) == 0
