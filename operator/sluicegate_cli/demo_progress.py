"""The demo's line of progress: the step, the weight, and the calls by variant."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

from sluicegate_operator.rollout.state import RolloutState


@contextmanager
def progress(
    experiment: str, state: Callable[[], RolloutState | None], calls: Callable[[], Mapping[str, int]]
) -> Iterator[Callable[[], None]]:
    """Shows a live line while the body runs; call what it gives to renew it. Silent where there is no terminal."""
    with Status("callers are calling", console=Console(stderr=True)) as status:

        def show() -> None:
            now = state()
            message = now.message if now and now.experiment == experiment else "waiting for the controller"
            by_variant = ", ".join(f"{variant} {count}" for variant, count in sorted(calls().items()))
            status.update(f"{message}  ·  calls: {by_variant}")

        yield show
