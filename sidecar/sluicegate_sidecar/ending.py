"""Whether the present task has been told to end."""

import asyncio


def ending() -> bool:
    """True once the task was cancelled, even if somebody swallowed the CancelledError.

    redis-py does so where a cancellation meets the end of one of its time limits. Every loop that waits for Redis
    asks this, or it would go round for ever.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
