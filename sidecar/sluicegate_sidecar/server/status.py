"""Our errors as the status codes that the protocol promises."""

from typing import Any

import grpc

from sluicegate_sidecar.errors import (
    InvalidRequest,
    NoReport,
    OutOfOrder,
    QueueFull,
    RedisAway,
    SluicegateError,
    SpoolFull,
    UnknownAgent,
)

STATUS: tuple[tuple[type[SluicegateError], grpc.StatusCode], ...] = (
    (UnknownAgent, grpc.StatusCode.NOT_FOUND),
    (NoReport, grpc.StatusCode.NOT_FOUND),
    (OutOfOrder, grpc.StatusCode.OUT_OF_RANGE),
    (InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT),
    (QueueFull, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (SpoolFull, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (RedisAway, grpc.StatusCode.UNAVAILABLE),
)

Context = grpc.aio.ServicerContext[Any, Any]


def status_of(error: Exception) -> grpc.StatusCode:
    """The code of an error of ours; INTERNAL for one that no request should meet."""
    return next((code for kind, code in STATUS if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def check_agent(field: str, asked: str, served: str) -> None:
    """UnknownAgent unless the request is for the agent served here, by name or by leaving it empty."""
    if asked not in ("", served):
        raise UnknownAgent(field, f"{asked[:256]!r} is not served here; this sidecar serves {served!r}")
