from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AssignmentReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ASSIGNMENT_REASON_UNSPECIFIED: _ClassVar[AssignmentReason]
    ASSIGNMENT_REASON_SPLIT: _ClassVar[AssignmentReason]
    ASSIGNMENT_REASON_CONTROL_ONLY: _ClassVar[AssignmentReason]
    ASSIGNMENT_REASON_HALTED: _ClassVar[AssignmentReason]
    ASSIGNMENT_REASON_OVERRIDE: _ClassVar[AssignmentReason]
    ASSIGNMENT_REASON_STALE: _ClassVar[AssignmentReason]
    ASSIGNMENT_REASON_COMPLETE: _ClassVar[AssignmentReason]
ASSIGNMENT_REASON_UNSPECIFIED: AssignmentReason
ASSIGNMENT_REASON_SPLIT: AssignmentReason
ASSIGNMENT_REASON_CONTROL_ONLY: AssignmentReason
ASSIGNMENT_REASON_HALTED: AssignmentReason
ASSIGNMENT_REASON_OVERRIDE: AssignmentReason
ASSIGNMENT_REASON_STALE: AssignmentReason
ASSIGNMENT_REASON_COMPLETE: AssignmentReason

class AssignRequest(_message.Message):
    __slots__ = ("agent", "caller_id", "session_id", "attributes", "assignment_token")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    AGENT_FIELD_NUMBER: _ClassVar[int]
    CALLER_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    agent: str
    caller_id: str
    session_id: str
    attributes: _containers.ScalarMap[str, str]
    assignment_token: str
    def __init__(self, agent: _Optional[str] = ..., caller_id: _Optional[str] = ..., session_id: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., assignment_token: _Optional[str] = ...) -> None: ...

class AssignResponse(_message.Message):
    __slots__ = ("assignments",)
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    assignments: _containers.RepeatedCompositeFieldContainer[Assignment]
    def __init__(self, assignments: _Optional[_Iterable[_Union[Assignment, _Mapping]]] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("experiment", "run_id", "variant", "config", "reason", "weight", "assignment_token")
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    experiment: str
    run_id: str
    variant: str
    config: _struct_pb2.Struct
    reason: AssignmentReason
    weight: float
    assignment_token: str
    def __init__(self, experiment: _Optional[str] = ..., run_id: _Optional[str] = ..., variant: _Optional[str] = ..., config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., reason: _Optional[_Union[AssignmentReason, str]] = ..., weight: _Optional[float] = ..., assignment_token: _Optional[str] = ...) -> None: ...
