"""What judging cost, read back from a real server."""

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnection

from sluicegate.keys import Keys
from sluicegate.policy import Budget
from sluicegate.records import Bill
from sluicegate.snapshot import pack
from sluicegate.spending import DAY
from sluicegate_sidecar.errors import RedisAway
from sluicegate_sidecar.judging import ledger as ledger_module
from sluicegate_sidecar.judging.ledger import Ledger

KEYS = Keys("default", "receptionist")
THREE = Budget(sessions_per_hour=3)
BILL = pack(Bill(sampling_rate=1.0, prompt_tokens=100, completion_tokens=20, cost=0.5))


async def test_scores_and_failed_judgements_both_cost(redis: Redis) -> None:
    """The limit is reached with the third; each entry counts once, however often it is asked."""
    ledger = Ledger(redis, KEYS)
    await redis.xadd(KEYS.log, {"d": BILL})
    await redis.xadd(KEYS.dead, {"d": b"", "session": "", "failed": b""})
    assert [await ledger.reached(THREE) for _ in range(5)] == [""] * 5
    await redis.xadd(KEYS.dead, {"d": b"", "failed": BILL})
    assert await ledger.reached(THREE) == ""
    await redis.xadd(KEYS.log, {"d": BILL})
    assert await ledger.reached(THREE) == "3 sessions an hour"
    assert await ledger.reached(Budget(tokens_per_hour=360)) == "360 tokens an hour"
    assert await ledger.reached(Budget(money_per_day=1.5)) == "1.5 a day"
    assert await ledger.reached(Budget(money_per_day=1.6)) == ""


async def test_what_was_spent_before_the_worker_came_counts(redis: Redis) -> None:
    """More than one batch of it, and nothing that is older than a day."""
    seconds, _ = await redis.time()
    pipe = redis.pipeline()
    pipe.xadd(KEYS.log, {"d": b"what is so old is not even read"}, id=f"{(seconds - DAY - 60) * 1000}-0")
    for number in range(ledger_module.BATCH + 5):
        pipe.xadd(KEYS.log, {"d": BILL}, id=f"{(seconds - 60) * 1000}-{number}")
    await pipe.execute()
    ledger, all_of_them = Ledger(redis, KEYS), ledger_module.BATCH + 5
    assert await ledger.reached(Budget(sessions_per_hour=all_of_them)) == f"{all_of_them:,} sessions an hour"
    assert await ledger.reached(Budget(sessions_per_hour=all_of_them + 1)) == ""


async def test_no_budget_asks_nobody() -> None:
    """The queue of an agent without a budget is not a round trip slower for it."""
    assert await Ledger(Redis(port=1), KEYS).reached(Budget()) == ""


async def test_redis_that_is_away_is_told_of(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was spent is not known then, which is not the same as nothing."""

    async def away() -> None:
        raise NoConnection("refused")

    monkeypatch.setattr(redis, "time", away)
    with pytest.raises(RedisAway, match="what was spent cannot be read: refused"):
        await Ledger(redis, KEYS).reached(THREE)
