"""Answers `Assign`: from the pins if the session was asked for before, else from what is in force."""

from collections.abc import Mapping

import msgspec

from sluicegate.caller import hash_caller
from sluicegate.experiment import ExperimentInForce
from sluicegate_sidecar.routing import token
from sluicegate_sidecar.routing.assignment import Assignment, assign
from sluicegate_sidecar.routing.in_force import InForce
from sluicegate_sidecar.routing.pins import Pins


class Router:
    """Assigns sessions, each one once."""

    def __init__(self, in_force: InForce, pins: Pins) -> None:
        self._in_force = in_force
        self._pins = pins

    def assign(
        self, session_id: str, caller_id: str, attributes: Mapping[str, str], given: str, now: float
    ) -> Assignment | None:
        """The session's variant; None if no experiment is in force. A live session keeps its variant after a halt.

        `given`: the token of an earlier answer, if the agent has one.
        """
        experiment = self._in_force.snapshot.experiment
        pinned = self._pins.get(session_id) or (self._from_token(experiment, session_id, given) if experiment else None)
        if pinned is not None:
            halted = pinned.reason == "SPLIT" and pinned.series in self._in_force.halted
            return msgspec.structs.replace(pinned, reason="HALTED") if halted else pinned
        if experiment is None:
            return None
        unit = caller_id if experiment.unit == "Caller" and caller_id else session_id
        caller_hash = hash_caller(self._in_force.caller_key, caller_id) if experiment.overrides else ""
        known = self._in_force
        assignment = assign(experiment, known.halted, unit, caller_hash, attributes, now, known.heard_at)
        self._pins.pin(session_id, assignment)
        return assignment

    def token(self, session_id: str, assignment: Assignment) -> str:
        """The signed note of a session's assignment; empty while the key is not known."""
        return token.sign(self._in_force.caller_key, session_id, assignment.attribution)

    def _from_token(self, experiment: ExperimentInForce, session_id: str, given: str) -> Assignment | None:
        """What an earlier answer said, as long as its run is the one in force, and still has the variant."""
        told = token.verify(self._in_force.caller_key, session_id, given)
        if told is None or (told.experiment, told.run_id) != (experiment.name, experiment.run_id):
            return None
        variant = experiment.variant(told.variant)
        if variant is None:
            return None
        assignment = Assignment(variant, told.reason, told)
        self._pins.pin(session_id, assignment)
        return assignment
