"""QualityService."""

from collections.abc import Callable

from google.protobuf import timestamp_pb2

from sluicegate.keys import AGENT_SERIES, UNATTRIBUTED
from sluicegate.records import GateReading, Halt, ScoreRecord
from sluicegate.v1 import quality_pb2, quality_pb2_grpc
from sluicegate_sidecar.errors import InvalidRequest
from sluicegate_sidecar.gating.report import Reports
from sluicegate_sidecar.gating.score_log import ScoreLog
from sluicegate_sidecar.gating.window import Windows
from sluicegate_sidecar.server.status import Context, check_agent
from sluicegate_sidecar.sessions.capture import check_id

MAX_PAGE = 500
DEFAULT_PAGE = 50
STALE_READING_MS = 60_000
"""A reading that nobody renewed for so long says nothing of now."""


class QualityServicer(quality_pb2_grpc.QualityServiceServicer):
    """Tells what was found."""

    def __init__(
        self, agent: str, windows: Windows, score_log: ScoreLog, reports: Reports, clock: Callable[[], float]
    ) -> None:
        self._agent = agent
        self._windows = windows
        self._score_log = score_log
        self._reports = reports
        self._clock = clock

    async def GetGates(self, request: quality_pb2.GetGatesRequest, context: Context) -> quality_pb2.GetGatesResponse:
        check_agent("agent", request.agent, self._agent)
        readings, halts = await self._windows.readings(), await self._windows.halts()
        oldest = self._clock() * 1000 - STALE_READING_MS
        return quality_pb2.GetGatesResponse(
            gates=[
                gate_message(series, gate, reading, stale=of.at < oldest)
                for series, of in sorted(readings.items())
                if series != UNATTRIBUTED
                for gate, reading in of.gates.items()
            ],
            halts=[halt_message(halt) for halt in halts.values()],
        )

    async def ListResults(
        self, request: quality_pb2.ListResultsRequest, context: Context
    ) -> quality_pb2.ListResultsResponse:
        check_agent("agent", request.agent, self._agent)
        if not 0 <= request.page_size <= MAX_PAGE:
            raise InvalidRequest("page_size", f"{request.page_size}; give 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}")
        page = await self._score_log.page(request.experiment, request.page_size or DEFAULT_PAGE, request.page_token)
        return quality_pb2.ListResultsResponse(
            results=[result_message(scored_at, record) for scored_at, record in page.results],
            next_page_token=page.next_token,
        )

    async def GetReport(self, request: quality_pb2.GetReportRequest, context: Context) -> quality_pb2.GetReportResponse:
        check_agent("agent", request.agent, self._agent)
        check_id("experiment", request.experiment, required=True)
        return quality_pb2.GetReportResponse(json=await self._reports.document(request.experiment))


def gate_message(series: str, gate: str, reading: GateReading, *, stale: bool) -> quality_pb2.Gate:
    """One gate. A stale reading is told as unknown, with the numbers that were last seen."""
    experiment, run_id, variant = _parts(series)
    return quality_pb2.Gate(
        experiment=experiment,
        run_id=run_id,
        variant=variant,
        gate=gate,
        state=f"GATE_STATE_{'UNKNOWN' if stale else reading.state.upper()}",
        count=reading.count,
        mean=reading.mean,
        lower=reading.lower,
        upper=reading.upper,
        threshold=reading.threshold,
        severity=f"SEVERITY_{reading.severity.upper()}",
        since=_stamp(reading.since),
        unknown_reason="JudgeLag" if stale else reading.reason,
    )


def halt_message(halt: Halt) -> quality_pb2.Halt:
    experiment, run_id, variant = _parts(halt.series)
    return quality_pb2.Halt(
        experiment=experiment,
        run_id=run_id,
        variant=variant,
        gate=halt.gate,
        mean=halt.mean,
        upper=halt.upper,
        threshold=halt.threshold,
        count=halt.count,
        at=_stamp(halt.at),
    )


def result_message(scored_at: int, record: ScoreRecord) -> quality_pb2.Result:
    return quality_pb2.Result(
        session_id=record.session_id,
        caller_hash=record.caller_hash,
        experiment=record.experiment,
        run_id=record.run_id,
        variant=record.variant,
        scores=[
            quality_pb2.Score(metric=metric, value=value, reason=record.reasons.get(metric, ""))
            for metric, value in record.scores.items()
        ],
        average=record.average,
        turn_count=record.turn_count,
        scored_at=_stamp(scored_at),
        end_reason=f"END_REASON_{record.end_reason}",
        truncated=record.truncated,
        judge_revision=record.judge_revision,
        judge_model=record.judge_model,
    )


def _parts(series: str) -> tuple[str, str, str]:
    if series == AGENT_SERIES:
        return "", "", ""
    experiment, run_id, variant = series.split("/")
    return experiment, run_id, variant


def _stamp(milliseconds: int) -> timestamp_pb2.Timestamp:
    stamp = timestamp_pb2.Timestamp()
    stamp.FromMilliseconds(milliseconds)
    return stamp
