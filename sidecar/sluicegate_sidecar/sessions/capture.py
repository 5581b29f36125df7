"""From what the agent told to a captured session: bounded, sampled and attributed. Pure."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime

from sluicegate.bucketing import in_sample
from sluicegate.caller import hash_caller
from sluicegate.snapshot import Snapshot
from sluicegate_sidecar.errors import InvalidRequest, TooLarge
from sluicegate_sidecar.limits import ID_BYTES, Limits
from sluicegate_sidecar.routing.assignment import Attribution
from sluicegate_sidecar.sessions.session import CapturedSession, Item


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldSession:
    """A session as the agent told it. Times are Unix seconds, 0 where the agent said nothing."""

    session_id: str
    caller_id: str
    items: tuple[Item, ...]
    started_at: float
    ended_at: float
    end_reason: str
    assignment_token: str = ""


def check_id(field: str, value: str, *, required: bool = False) -> None:
    """InvalidRequest if an id is missing or over its limit."""
    if required and not value:
        raise InvalidRequest(field, f"empty; give an id of 1 to {ID_BYTES} bytes")
    # A character has at most four bytes, so that hardly any id has to be encoded to be measured.
    if len(value) > ID_BYTES // 4 and len(value.encode()) > ID_BYTES:
        raise InvalidRequest(field, f"{len(value.encode())} bytes; an id has at most {ID_BYTES}")


def check_start(told: ToldSession) -> None:
    """InvalidRequest if the session cannot even begin."""
    check_id("session.session_id", told.session_id, required=True)
    check_id("session.caller_id", told.caller_id)
    check_time("session.started_at", told.started_at)
    check_time("session.ended_at", told.ended_at)


def check_time(field: str, at: float) -> None:
    """InvalidRequest for a time that no session has."""
    if at < 0:
        raise InvalidRequest(field, "before 1970")


def check_count(items: int, limits: Limits) -> None:
    """TooLarge if there are more items than a session has; asked before they are converted, which takes memory."""
    if items > limits.session_items:
        raise TooLarge("session.items", f"{items} items; a session has at most {limits.session_items}")


def item_field(index: int | None) -> str:
    """What an item is called in messages: by its place in a session, or `item` where it is told alone."""
    return "item" if index is None else f"session.items[{index}]"


def check_item(item: Item, limits: Limits, index: int | None = None) -> int:
    """The size of an item in bytes; TooLarge if it is over its limit, InvalidRequest if its time cannot be."""
    if item.at < 0:
        check_time(f"{item_field(index)}.at", item.at)
    size = len((item.text + item.name + item.call_id).encode())
    if size > limits.item_bytes:
        raise TooLarge(item_field(index), f"{size} bytes; an item has at most {limits.item_bytes}")
    return size


def check(told: ToldSession, limits: Limits) -> None:
    """InvalidRequest or TooLarge, naming the field, if the session cannot be taken."""
    check_start(told)
    if not told.items:
        raise InvalidRequest("session.items", "empty; a session has at least one item")
    check_count(len(told.items), limits)
    total = sum(map(check_item, told.items, itertools.repeat(limits), itertools.count()))
    if total > limits.session_bytes:
        raise TooLarge("session.items", f"{total} bytes in all; a session has at most {limits.session_bytes}")
    if told.started_at and told.ended_at and told.ended_at < told.started_at:
        raise InvalidRequest("session.ended_at", "before session.started_at")


def capture(
    told: ToldSession, snapshot: Snapshot, attribution: Attribution | None, caller_key: bytes, now: float
) -> tuple[CapturedSession, bool]:
    """The session to keep, and whether it is to be judged.

    Sampling goes by caller and at the experiment's rate while an experiment runs, so that it does not depend on how
    often somebody calls; otherwise by session and at the policy's rate.
    """
    experiment = snapshot.experiment
    if attribution and experiment and attribution.experiment == experiment.name:
        salt, unit, rate = experiment.salt, told.caller_id or told.session_id, experiment.sampling_rate
    else:
        salt, unit, rate = "", told.session_id, snapshot.policy.sampling_rate
    ended_at = min(told.ended_at or now, now)
    session = CapturedSession(
        session_id=told.session_id,
        caller_hash=hash_caller(caller_key, told.caller_id),
        attribution=attribution,
        sampling_rate=rate,
        items=told.items,
        started_at=min(told.started_at or (told.items[0].at if told.items else 0.0) or ended_at, ended_at),
        ended_at=ended_at,
        end_reason=told.end_reason,
        recorded_day=datetime.fromtimestamp(now, UTC).date().isoformat(),
    )
    return session, in_sample(salt, unit, rate)
