"""AssignmentService."""

import time

from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc
from sluicegate_sidecar.errors import InvalidRequest
from sluicegate_sidecar.routing.assignment import Assignment
from sluicegate_sidecar.routing.router import Router
from sluicegate_sidecar.server.status import Context, check_agent, told_as_status
from sluicegate_sidecar.sessions.capture import check_id
from sluicegate_sidecar.telemetry import Telemetry

MAX_ATTRIBUTES = 32
CACHED_ANSWERS = 64


class AssignmentServicer(assignment_pb2_grpc.AssignmentServiceServicer):
    """Assigns, without leaving the process."""

    def __init__(self, agent: str, router: Router, telemetry: Telemetry) -> None:
        self._agent = agent
        self._router = router
        self._telemetry = telemetry
        self._answers: dict[tuple[int, str, str], tuple[Assignment, assignment_pb2.AssignResponse]] = {}

    async def Assign(self, request: assignment_pb2.AssignRequest, context: Context) -> assignment_pb2.AssignResponse:
        async with told_as_status(context):
            check_agent("agent", request.agent, self._agent)
            check_id("session_id", request.session_id, required=True)
            check_id("caller_id", request.caller_id)
            if len(request.attributes) > MAX_ATTRIBUTES:
                raise InvalidRequest("attributes", f"{len(request.attributes)} entries; at most {MAX_ATTRIBUTES}")
            assignment = self._router.assign(
                request.session_id, request.caller_id, request.attributes, request.assignment_token, time.time()
            )
            if assignment is None:
                return assignment_pb2.AssignResponse()
            self._telemetry.assigned(assignment.experiment.name, assignment.variant.name, assignment.reason)
            answer = assignment_pb2.AssignResponse()
            answer.CopyFrom(self._answer(assignment))
            answer.assignments[0].assignment_token = self._router.token(request.session_id)
            return answer
        raise AssertionError("abort raises")

    def _answer(self, assignment: Assignment) -> assignment_pb2.AssignResponse:
        """The response but for its token, built once for all sessions: a long prompt is costly to convert.

        The experiment is told apart by identity; the entry keeps it alive, so that no other one can get its id.
        """
        key = (id(assignment.experiment), assignment.variant.name, assignment.reason)
        if key not in self._answers:
            if len(self._answers) >= CACHED_ANSWERS:
                self._answers.clear()
            self._answers[key] = (assignment, assignment_message(assignment))
        return self._answers[key][1]


def assignment_message(assignment: Assignment) -> assignment_pb2.AssignResponse:
    told = assignment_pb2.Assignment(
        experiment=assignment.experiment.name,
        run_id=assignment.experiment.run_id,
        variant=assignment.variant.name,
        reason=f"ASSIGNMENT_REASON_{assignment.reason}",
        weight=assignment.experiment.weight,
    )
    told.config.update(assignment.variant.config)
    return assignment_pb2.AssignResponse(assignments=[told])
