"""What stands around every handler of ours: it reads the request, and tells errors as the protocol promises.

Put there once, when a servicer is added to the server. An interceptor would be asked anew in each call, and cannot see
a request that is no protobuf: left to itself grpc.aio answers UNKNOWN then, and logs a traceback.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from sluicegate_sidecar.errors import InvalidRequest, SluicegateError
from sluicegate_sidecar.server.status import Context, status_of

Handler = Any
"""`grpc.RpcMethodHandler`, generic in the type stubs alone."""


class Guarded:
    """Takes the place of the server in `add_…Servicer_to_server`, and adds guarded handlers to it."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """The same handlers as by name, which is how they are added."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        guarded = {name: _guarded(handler, f"/{service}/{name}") for name, handler in handlers.items()}
        self._server.add_registered_method_handlers(service, guarded)


def _guarded(handler: Handler, method: str) -> Handler:
    """A handler of bytes: what is read and written in here can be told about."""
    if handler.stream_stream:
        return grpc.stream_stream_rpc_method_handler(_streaming(handler, method))
    return grpc.unary_unary_rpc_method_handler(_unary(handler, method))


def _unary(handler: Handler, method: str) -> Callable[[bytes, Context], Any]:
    read, behave, write = handler.request_deserializer, handler.unary_unary, handler.response_serializer

    async def answer(packed: bytes, context: Context) -> bytes:
        try:
            answered: bytes = write(await behave(read(packed), context))
        except (DecodeError, SluicegateError) as error:
            await _tell(context, error, method)
        return answered

    return answer


def _streaming(handler: Handler, method: str) -> Callable[[AsyncIterator[bytes], Context], Any]:
    read, behave, write = handler.request_deserializer, handler.stream_stream, handler.response_serializer

    async def answers(packed: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        try:
            async for one in behave((read(each) async for each in packed), context):
                yield write(one)
        except (DecodeError, SluicegateError) as error:
            await _tell(context, error, method)

    return answers


async def _tell(context: Context, error: Exception, method: str) -> NoReturn:
    """Ends the call with the status of an error."""
    if isinstance(error, DecodeError):
        error = InvalidRequest("request", f"not what {method} takes; is the client built from the same protocol?")
    await context.abort(status_of(error), str(error))
    raise AssertionError("abort raises")
