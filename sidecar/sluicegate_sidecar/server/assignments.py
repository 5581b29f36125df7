"""AssignmentService."""

from collections.abc import Callable

from sluicegate.experiment import Variant
from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc
from sluicegate_sidecar.errors import InvalidRequest
from sluicegate_sidecar.routing.assignment import Assignment
from sluicegate_sidecar.routing.router import Router
from sluicegate_sidecar.server.status import Context, check_agent
from sluicegate_sidecar.sessions.capture import check_id
from sluicegate_sidecar.telemetry import Telemetry

MAX_ATTRIBUTES = 32
CACHED_ANSWERS = 64


class AssignmentServicer(assignment_pb2_grpc.AssignmentServiceServicer):
    """Assigns, without leaving the process."""

    def __init__(self, agent: str, router: Router, telemetry: Telemetry, clock: Callable[[], float]) -> None:
        self._agent = agent
        self._router = router
        self._telemetry = telemetry
        self._clock = clock
        self._answers: dict[tuple[int, str, str, str, float], tuple[Variant, assignment_pb2.AssignResponse]] = {}

    async def Assign(self, request: assignment_pb2.AssignRequest, context: Context) -> assignment_pb2.AssignResponse:
        check_agent("agent", request.agent, self._agent)
        check_id("session_id", request.session_id, required=True)
        check_id("caller_id", request.caller_id)
        attributes = request.attributes
        if len(attributes) > MAX_ATTRIBUTES:
            raise InvalidRequest("attributes", f"{len(attributes)} entries; at most {MAX_ATTRIBUTES}")
        assignment = self._router.assign(
            request.session_id, request.caller_id, attributes, request.assignment_token, self._clock()
        )
        if assignment is None:
            return assignment_pb2.AssignResponse()
        self._telemetry.assigned(assignment.attribution.experiment, assignment.variant.name, assignment.reason)
        answer = assignment_pb2.AssignResponse()
        answer.CopyFrom(self._answer(assignment))
        answer.assignments[0].assignment_token = self._router.token(request.session_id, assignment)
        return answer

    def _answer(self, assignment: Assignment) -> assignment_pb2.AssignResponse:
        """The response but for its token, built once for all sessions: a long prompt is costly to convert.

        The variant is told apart by identity; the entry keeps it alive, so that no other one can get its id.
        """
        of = assignment.attribution
        key = (id(assignment.variant), of.experiment, of.run_id, assignment.reason, of.weight)
        known = self._answers.get(key)
        if known is None:
            if len(self._answers) >= CACHED_ANSWERS:
                self._answers.clear()
            known = self._answers[key] = (assignment.variant, assignment_message(assignment))
        return known[1]


def assignment_message(assignment: Assignment) -> assignment_pb2.AssignResponse:
    told = assignment_pb2.Assignment(
        experiment=assignment.attribution.experiment,
        run_id=assignment.attribution.run_id,
        variant=assignment.variant.name,
        reason=f"ASSIGNMENT_REASON_{assignment.reason}",
        weight=assignment.attribution.weight,
    )
    told.config.update(assignment.variant.config)
    return assignment_pb2.AssignResponse(assignments=[told])
