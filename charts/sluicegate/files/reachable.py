"""What `helm test` runs: have the operator and the injector started, and does Redis answer?"""

import asyncio
import os
import sys
from urllib.error import URLError
from urllib.request import urlopen

from redis.exceptions import RedisError

from sluicegate.keys import Keys
from sluicegate_sidecar.errors import ConfigError
from sluicegate_sidecar.redis_client import connected

SECONDS = 5.0


def started(address: str) -> bool:
    """Whether the part at `host:port` says that it has started; told in a line."""
    try:
        with urlopen(f"http://{address}/startupz", timeout=SECONDS) as answer:
            print(f"{address}: {answer.read().decode().strip()}")
    except (URLError, TimeoutError) as error:
        print(f"{address}: {error}; see the log of that pod")
        return False
    return True


async def answers(redis_url: str) -> bool:
    """Whether Redis lets us in and answers; told in a line."""
    try:
        async with connected(redis_url, Keys("", "")) as redis:
            await redis.ping()
    except (RedisError, OSError, ConfigError) as error:
        print(f"Redis: {error}; see redis.mode in the values, and its Secret")
        return False
    print("Redis: ok")
    return True


results = [started(address) for address in os.environ["ADDRESSES"].split()]
results.append(asyncio.run(answers(os.environ["SLUICEGATE_REDIS_URL"])))
sys.exit(0 if all(results) else 1)
