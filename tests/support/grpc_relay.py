"""A gRPC server that has every call served by one function, with requests and answers as bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc


class Relay:
    """A server on a free port of the loopback interface, and a channel to the real server."""

    def __init__(
        self,
        upstream: str,
        serve: Callable[[str, Any, grpc.ServicerContext], Iterator[bytes]],
        *,
        handler: Callable[..., Any] = grpc.unary_stream_rpc_method_handler,
    ) -> None:
        """Prepare the server.

        Args:
            upstream: `host:port` of the real server.
            serve: takes path, request and context of a call, and yields its answers. With the
                `handler` grpc.stream_stream_rpc_method_handler it takes an iterator of requests.
            handler: how gRPC calls `serve`. One answer looks the same on the wire as a stream of
                one, and so does one request.
        """
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self.channel = grpc.insecure_channel(upstream, options=options)
        self._pool = ThreadPoolExecutor(32, thread_name_prefix="relay")
        self._server = grpc.server(self._pool, options=options)
        self._server.add_generic_rpc_handlers((_AnyMethod(serve, handler),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{self.port}"
        """`host:port` for clients."""

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop(grace=None).wait()
        self.channel.close()
        self._pool.shutdown()


class _AnyMethod(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    def __init__(self, serve: Callable[..., Iterator[bytes]], handler: Callable[..., Any]) -> None:
        self._serve, self._handler = serve, handler

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        path = handler_call_details.method

        def serve(given: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
            return self._serve(path, given, context)

        return self._handler(serve)


def passed_on(context: grpc.ServicerContext) -> tuple[tuple[str, str | bytes], ...]:
    """Return the client's metadata without what gRPC adds itself."""
    return tuple(
        (key, value)
        for key, value in context.invocation_metadata() or ()
        if key != "user-agent" and not key.startswith(("grpc-", ":"))
    )
