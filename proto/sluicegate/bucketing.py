"""Where a unit falls on the unit interval, the same in every process, language and restart."""

import functools
import hashlib
from typing import Literal

Purpose = Literal["ramp", "sampling"]


def position(purpose: Purpose, salt: str, unit: str) -> float:
    """Position of `unit` in [0, 1), uniform over units and independent between purposes and between salts.

    The top 53 bits of SHA-256 over the three parts, each as UTF-8 behind its length in bytes (4 bytes, big-endian).
    53 bits, because that is what a double holds: the value is exact in every language and never rounds up to 1.
    `bucketing_vectors.json` beside this file has golden values.
    """
    encoded = unit.encode()
    digest = hashlib.sha256(_before_unit(purpose, salt) + len(encoded).to_bytes(4, "big") + encoded).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53


@functools.lru_cache(maxsize=16)
def _before_unit(purpose: Purpose, salt: str) -> bytes:
    parts = purpose.encode(), salt.encode()
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def in_treatment(salt: str, unit: str, weight: float) -> bool:
    """Whether `unit` is among the share `weight` (0 to 1) that gets the treatment.

    Raising the weight never moves a unit out of treatment.
    """
    return position("ramp", salt, unit) < weight


def in_sample(salt: str, unit: str, rate: float) -> bool:
    """Whether the sessions of `unit` are judged, at the sampling rate `rate` (0 to 1)."""
    return position("sampling", salt, unit) < rate
