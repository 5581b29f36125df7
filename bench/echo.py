"""The floor of an RPC: a bare grpc.aio server that answers every call with the same bytes, read from a file.

It parses nothing and knows no service. `python bench/echo.py RESPONSE_FILE` prints its address.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc


class Echo(grpc.GenericRpcHandler):
    """Bytes in, the same bytes out, whatever the method."""

    def __init__(self, response: bytes) -> None:
        async def answer(request: bytes, context: object) -> bytes:
            return response

        self._handler: Any = grpc.unary_unary_rpc_method_handler(answer)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handler


async def serve(response: bytes) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([Echo(response)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"serving on 127.0.0.1:{port}", file=sys.stderr, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__" and len(sys.argv) > 1:
    asyncio.run(serve(Path(sys.argv[1]).read_bytes()))
