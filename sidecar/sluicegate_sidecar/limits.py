"""How much a sidecar takes. What is over a limit is refused by the name of its field, and nothing else suffers."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
ID_BYTES = 256
"""The one limit that is not a setting: ids are part of the names of keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one sidecar."""

    item_bytes: int = 64 * KIB
    session_bytes: int = MIB
    """All items of a session."""
    session_items: int = 2_000
    open_sessions: int = 10_000
    """Told as they happen, and not ended yet; of the agent, over all its sidecars."""
    waiting_sessions: int = 100_000
    """For a judge; of the agent."""
    spool_bytes: int = 256 * MIB
    """On disk, while Redis is away."""

    @property
    def request_bytes(self) -> int:
        """Of one gRPC message: a session at its limit, and the protocol around it."""
        return 4 * self.session_bytes


RANGES: dict[str, tuple[int, int]] = {
    "item_bytes": (KIB, 4 * MIB),
    "session_bytes": (KIB, 4 * MIB),
    "session_items": (1, 20_000),
    "open_sessions": (1, 1_000_000),
    "waiting_sessions": (1, 10_000_000),
    "spool_bytes": (4 * MIB, 1024 * 1024 * MIB),
}
"""The least and the most that each limit can be set to."""


def read_limits(text: str) -> Limits:
    """Limits from `name=number,…`, the rest as they are by default; ValueError names what is wrong."""
    given: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (half.strip() for half in part.partition("="))
        if name not in RANGES:
            raise ValueError(f"{name!r} is no limit; the limits are {', '.join(RANGES)}")
        if name in given:
            raise ValueError(f"{name} is given twice")
        least, most = RANGES[name]
        is_number = value.isascii() and value.isdigit() and len(value) <= 16
        if not is_number or not least <= int(value) <= most:
            raise ValueError(f"{name}: {value!r} is not a whole number from {least} to {most}")
        given[name] = int(value)
    limits = Limits(**given)
    if limits.item_bytes > limits.session_bytes:
        raise ValueError(f"item_bytes: {limits.item_bytes} is more than session_bytes, {limits.session_bytes}")
    return limits
