"""What the sidecars of an agent need to know, versioned, and its form in Redis.

A hash with four fields: `policy` and `experiment` hold a `Versioned` value each; `gates` holds what the score script
needs of the policy, and nothing else, because it is decoded at every score (`pack_table`);
`revision` counts the writes, as a hint that there is something to fetch.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from sluicegate.experiment import ExperimentInForce
from sluicegate.policy import GateRule, Policy
from sluicegate.revision import judge_revision

KEPT = 8
"""Policies whose table is remembered: every score asks for that of its own."""
MAX_JUDGE_LAG_MS = 600_000
"""A session that waited longer for the judge makes every gate that is OK unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionedPolicy:
    """A policy and the version under which it was written."""

    version: int
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionedExperiment:
    """An experiment and the version under which it was written; None where it was deleted."""

    version: int
    experiment: ExperimentInForce | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The experiment and the policy in force for an agent."""

    policy: Policy = Policy()
    experiment: ExperimentInForce | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateTable:
    """The policy as the score script reads it. `metrics` gives the order of the sums in a window."""

    revision: str
    window_seconds: int
    min_sessions: int
    max_lag_ms: int
    metrics: tuple[str, ...]
    gates: tuple[GateRule, ...]


@lru_cache(maxsize=KEPT)
def gate_table(policy: Policy) -> GateTable:
    """What the score script needs of a policy."""
    return GateTable(
        revision=judge_revision(policy),
        window_seconds=policy.window.seconds,
        min_sessions=policy.window.min_sessions,
        max_lag_ms=MAX_JUDGE_LAG_MS,
        metrics=policy.metrics,
        gates=policy.gates,
    )


@lru_cache(maxsize=KEPT)
def pack_table(table: GateTable) -> bytes:
    """A table as the script decodes it at every score: an array of what each needs, and the rules in full as a text.

    The second element is another word for the same rules, twelve hex digits over that text.
    """
    rules = msgspec.json.encode(table.gates)
    edition = hashlib.sha256(rules).hexdigest()[:12]
    floors = [rule.min for rule in table.gates]
    gated = [rule.metric for rule in table.gates]
    numbers = [table.window_seconds, table.min_sessions, table.max_lag_ms]
    return msgspec.msgpack.encode([table.revision, edition, *numbers, table.metrics, gated, floors, rules.decode()])


def pack(value: object) -> bytes:
    """The MessagePack form of a record or of a field of the snapshot."""
    return msgspec.msgpack.encode(value)
