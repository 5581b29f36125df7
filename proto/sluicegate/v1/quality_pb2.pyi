import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from sluicegate.v1 import session_pb2 as _session_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GateState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GATE_STATE_UNSPECIFIED: _ClassVar[GateState]
    GATE_STATE_UNKNOWN: _ClassVar[GateState]
    GATE_STATE_OK: _ClassVar[GateState]
    GATE_STATE_BROKEN: _ClassVar[GateState]

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_WARNING: _ClassVar[Severity]
    SEVERITY_CRITICAL: _ClassVar[Severity]
GATE_STATE_UNSPECIFIED: GateState
GATE_STATE_UNKNOWN: GateState
GATE_STATE_OK: GateState
GATE_STATE_BROKEN: GateState
SEVERITY_UNSPECIFIED: Severity
SEVERITY_WARNING: Severity
SEVERITY_CRITICAL: Severity

class GetGatesRequest(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: str
    def __init__(self, agent: _Optional[str] = ...) -> None: ...

class GetGatesResponse(_message.Message):
    __slots__ = ("gates", "halts")
    GATES_FIELD_NUMBER: _ClassVar[int]
    HALTS_FIELD_NUMBER: _ClassVar[int]
    gates: _containers.RepeatedCompositeFieldContainer[Gate]
    halts: _containers.RepeatedCompositeFieldContainer[Halt]
    def __init__(self, gates: _Optional[_Iterable[_Union[Gate, _Mapping]]] = ..., halts: _Optional[_Iterable[_Union[Halt, _Mapping]]] = ...) -> None: ...

class Gate(_message.Message):
    __slots__ = ("experiment", "run_id", "variant", "gate", "state", "count", "mean", "lower", "upper", "threshold", "severity", "since", "unknown_reason")
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_REASON_FIELD_NUMBER: _ClassVar[int]
    experiment: str
    run_id: str
    variant: str
    gate: str
    state: GateState
    count: int
    mean: float
    lower: float
    upper: float
    threshold: float
    severity: Severity
    since: _timestamp_pb2.Timestamp
    unknown_reason: str
    def __init__(self, experiment: _Optional[str] = ..., run_id: _Optional[str] = ..., variant: _Optional[str] = ..., gate: _Optional[str] = ..., state: _Optional[_Union[GateState, str]] = ..., count: _Optional[int] = ..., mean: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ..., threshold: _Optional[float] = ..., severity: _Optional[_Union[Severity, str]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unknown_reason: _Optional[str] = ...) -> None: ...

class Halt(_message.Message):
    __slots__ = ("experiment", "run_id", "variant", "gate", "mean", "upper", "threshold", "count", "at")
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    experiment: str
    run_id: str
    variant: str
    gate: str
    mean: float
    upper: float
    threshold: float
    count: int
    at: _timestamp_pb2.Timestamp
    def __init__(self, experiment: _Optional[str] = ..., run_id: _Optional[str] = ..., variant: _Optional[str] = ..., gate: _Optional[str] = ..., mean: _Optional[float] = ..., upper: _Optional[float] = ..., threshold: _Optional[float] = ..., count: _Optional[int] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListResultsRequest(_message.Message):
    __slots__ = ("agent", "experiment", "page_size", "page_token")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    agent: str
    experiment: str
    page_size: int
    page_token: str
    def __init__(self, agent: _Optional[str] = ..., experiment: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListResultsResponse(_message.Message):
    __slots__ = ("results", "next_page_token")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Result]
    next_page_token: str
    def __init__(self, results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("session_id", "caller_hash", "experiment", "run_id", "variant", "scores", "average", "turn_count", "scored_at", "end_reason", "truncated", "judge_revision", "judge_model")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_HASH_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_FIELD_NUMBER: _ClassVar[int]
    TURN_COUNT_FIELD_NUMBER: _ClassVar[int]
    SCORED_AT_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    JUDGE_REVISION_FIELD_NUMBER: _ClassVar[int]
    JUDGE_MODEL_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    caller_hash: str
    experiment: str
    run_id: str
    variant: str
    scores: _containers.RepeatedCompositeFieldContainer[Score]
    average: float
    turn_count: int
    scored_at: _timestamp_pb2.Timestamp
    end_reason: _session_pb2.EndReason
    truncated: bool
    judge_revision: str
    judge_model: str
    def __init__(self, session_id: _Optional[str] = ..., caller_hash: _Optional[str] = ..., experiment: _Optional[str] = ..., run_id: _Optional[str] = ..., variant: _Optional[str] = ..., scores: _Optional[_Iterable[_Union[Score, _Mapping]]] = ..., average: _Optional[float] = ..., turn_count: _Optional[int] = ..., scored_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_reason: _Optional[_Union[_session_pb2.EndReason, str]] = ..., truncated: _Optional[bool] = ..., judge_revision: _Optional[str] = ..., judge_model: _Optional[str] = ...) -> None: ...

class GetReportRequest(_message.Message):
    __slots__ = ("agent", "experiment")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    agent: str
    experiment: str
    def __init__(self, agent: _Optional[str] = ..., experiment: _Optional[str] = ...) -> None: ...

class GetReportResponse(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class Score(_message.Message):
    __slots__ = ("metric", "value", "reason")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    metric: str
    value: int
    reason: str
    def __init__(self, metric: _Optional[str] = ..., value: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
