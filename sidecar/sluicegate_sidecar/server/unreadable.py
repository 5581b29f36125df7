"""Requests that are no protobuf at all: INVALID_ARGUMENT, as for any other request that can never be taken.

Left to itself grpc.aio answers UNKNOWN, and logs a traceback for each.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from sluicegate_sidecar.errors import InvalidRequest
from sluicegate_sidecar.server.status import Context, told_as_status

OURS = "/sluicegate.v1."
UNREADABLE = object()
"""In the place of a request that could not be read."""

Handler = Any
"""`grpc.RpcMethodHandler`, generic in the type stubs alone."""


class Unreadable(grpc.aio.ServerInterceptor):
    """Stands before every handler of ours, and lets through what can be read."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]], details: grpc.HandlerCallDetails
    ) -> Handler:
        method = details.method
        if method in self._handlers:
            return self._handlers[method]
        handler = await continuation(details)
        # A method that does not exist has no handler, and is not remembered.
        if handler is None or not method.startswith(OURS):
            return handler
        self._handlers[method] = _guarded(handler, method)
        return self._handlers[method]


def _guarded(handler: Any, method: str) -> Handler:
    def read(packed: bytes) -> Any:
        try:
            return handler.request_deserializer(packed)
        except DecodeError:
            return UNREADABLE

    def readable(request: Any) -> Any:
        if request is UNREADABLE:
            raise InvalidRequest("request", f"not what {method} takes; is the client built from the same protocol?")
        return request

    async def answer(request: Any, context: Context) -> Any:
        async with told_as_status(context):
            readable(request)
        return await handler.unary_unary(request, context)

    async def answers(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        async for one in handler.stream_stream((readable(request) async for request in requests), context):
            yield one

    write = handler.response_serializer
    if handler.stream_stream:
        return grpc.stream_stream_rpc_method_handler(answers, read, write)
    return grpc.unary_unary_rpc_method_handler(answer, read, write)
