"""Values of the data plane for tests, each as plain as can be, and the wait for a condition."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sluicegate.experiment import ExperimentInForce, Variant
from sluicegate_sidecar.sessions.session import CapturedSession, Item

DAY = "2026-01-02"
CONTROL, WARM = Variant(name="control", control=True), Variant(name="warm", config={"model": "m"})
WARM_SERIES = "greeting/run-1/warm"


def an_experiment(**changes: Any) -> ExperimentInForce:
    """Half of the callers get the variant `warm`, unless told otherwise."""
    defaults: dict[str, Any] = {
        "name": "greeting",
        "run_id": "run-1",
        "salt": "salt",
        "unit": "Caller",
        "variants": (CONTROL, WARM),
        "step": 1,
        "weight": 0.5,
        "sampling_rate": 1.0,
    }
    return ExperimentInForce(**{**defaults, **changes})


def user(text: str) -> Item:
    return Item(kind="message", role="user", text=text)


def agent(text: str) -> Item:
    return Item(kind="message", role="assistant", text=text)


def system(text: str) -> Item:
    return Item(kind="message", role="system", text=text)


def call(name: str, arguments: str = "{}") -> Item:
    return Item(kind="function_call", call_id="c-1", name=name, text=arguments)


def output(text: str, *, is_error: bool = False) -> Item:
    return Item(kind="function_call_output", call_id="c-1", text=text, is_error=is_error)


def a_captured(session_id: str = "s-1", items: tuple[Item, ...] = (), **changes: Any) -> CapturedSession:
    """A session of one question and one answer, unless told otherwise."""
    defaults: dict[str, Any] = {
        "caller_hash": "0" * 32,
        "attribution": None,
        "sampling_rate": 1.0,
        "started_at": 1_767_312_000.0,
        "ended_at": 1_767_312_060.0,
        "end_reason": "COMPLETED",
        "recorded_day": DAY,
    }
    spoken = items or (user("Hello?"), agent("You are booked."))
    return CapturedSession(session_id=session_id, items=spoken, **{**defaults, **changes})


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Returns once the condition holds; TimeoutError if it never does."""

    async def holds() -> object:
        return condition()

    await eventually(holds, seconds)


async def eventually(condition: Callable[[], Awaitable[object]], seconds: float = 20.0) -> None:
    """Returns once the condition, which has to be awaited, holds; TimeoutError if it never does."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for is often in another process
            await asyncio.sleep(0.005)
