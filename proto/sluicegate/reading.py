"""The gates of a series as the score script stores them, and what they say in full.

What changes with every score is kept apart from what changes with the state of a gate, and as sums: a mean and its
bounds are computed when somebody wants to know them, by the same formula that the script judges by.
"""

import struct
from collections.abc import Mapping

import msgspec

from sluicegate.gate import OVERALL_SCALE, GateState, UnknownReason, summarize
from sluicegate.policy import OVERALL, Action, Severity
from sluicegate.records import GateReading, SeriesGates


class StoredGate(msgspec.Struct, frozen=True, array_like=True):
    """One gate as an array. `since` in Unix milliseconds."""

    state: GateState
    reason: UnknownReason
    latched: bool
    since: int
    action: Action
    threshold: float
    severity: Severity
    place: int
    """Of its metric in the totals, from 1; 0: it is not there."""


class StoredGates(msgspec.Struct, frozen=True, array_like=True):
    """All gates of a series as an array."""

    calm: str
    """The script's own: equal as long as nothing here changes; empty while a gate is latched."""
    revision: str
    control: str
    """The series of control; empty if this one cannot be halted."""
    gates: dict[str, StoredGate] = {}


def pack_sums(at: int, sums: list[int]) -> bytes:
    """The totals of a series as doubles: sessions, then count, sum and sum of squares of each metric, then `at`.

    The overall average is summed in units of 1/OVERALL_SCALE; `at`, in Unix milliseconds, is when the gates were read.
    """
    return struct.pack(f"<{len(sums) + 1}d", *sums, at)


def series_gates(gates: Mapping[bytes, bytes], sums: Mapping[bytes, bytes]) -> dict[str, SeriesGates]:
    """Series → its gates, of the two hashes, which must have been read at the same moment."""
    return {name.decode(): _series(packed, sums[name]) for name, packed in gates.items() if name in sums}


def _series(packed_gates: bytes, packed_sums: bytes) -> SeriesGates:
    stored = msgspec.msgpack.decode(packed_gates, type=StoredGates)
    *sums, at = map(int, struct.unpack(f"<{len(packed_sums) // 8}d", packed_sums))
    return SeriesGates(
        at=at,
        revision=stored.revision,
        sessions=sums[0],
        gates={metric: _reading(metric, gate, sums) for metric, gate in stored.gates.items()},
    )


def _reading(metric: str, gate: StoredGate, sums: list[int]) -> GateReading:
    count, total, squares = sums[3 * gate.place - 2 : 3 * gate.place + 1] if gate.place else (0, 0, 0)
    summary = summarize(count, total, squares, OVERALL_SCALE if metric == OVERALL else 1)
    return GateReading(
        state=gate.state,
        reason=gate.reason,
        latched=gate.latched,
        since=gate.since,
        count=count,
        mean=summary.mean if summary else None,
        lower=summary.lower if summary else None,
        upper=summary.upper if summary else None,
        threshold=gate.threshold,
        severity=gate.severity,
        action=gate.action,
    )
