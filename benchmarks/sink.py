"""A Firestore that answers every write and every read at once and keeps nothing.

Whoever asks only whether a document exists is told that it does: orders have their customers. All
others find nothing.

`python -m benchmarks.sink` serves it in a process of its own, so that its work is not counted.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.cloud.firestore_v1 import types
from google.protobuf import timestamp_pb2
from google.rpc import status_pb2

_SERVICE = "google.firestore.v1.Firestore"
_LIMIT = 64 * 1024 * 1024
_OK = status_pb2.Status()
_RESULT = types.WriteResult.pb()(update_time=timestamp_pb2.Timestamp(seconds=1_700_000_000))


def _batch_write(request: Any, context: grpc.ServicerContext) -> Any:
    count = len(request.writes)
    return types.BatchWriteResponse.pb()(write_results=[_RESULT] * count, status=[_OK] * count)


def _commit(request: Any, context: grpc.ServicerContext) -> Any:
    return types.CommitResponse.pb()(write_results=[_RESULT] * len(request.writes))


def _batch_get(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
    exists = request.HasField("mask") and not request.mask.field_paths
    for name in request.documents:
        if exists:
            yield types.BatchGetDocumentsResponse.pb()(found={"name": name})
        else:
            yield types.BatchGetDocumentsResponse.pb()(missing=name)


def _unary(handle: Callable[..., Any], request: Any) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(
        handle, request.pb().FromString, lambda answer: answer.SerializeToString()
    )


def serve() -> tuple[grpc.Server, int]:
    """Serve on a free port; returns the running server and the port."""
    handlers = {
        "BatchWrite": _unary(_batch_write, types.BatchWriteRequest),
        "Commit": _unary(_commit, types.CommitRequest),
        "BatchGetDocuments": grpc.unary_stream_rpc_method_handler(
            _batch_get,
            types.BatchGetDocumentsRequest.pb().FromString,
            lambda answer: answer.SerializeToString(),
        ),
    }
    server = grpc.server(
        ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", _LIMIT)]
    )
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_SERVICE, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


@contextmanager
def running() -> Iterator[str]:
    """Run it in a process of its own; gives its address."""
    command = [sys.executable, "-m", "benchmarks.sink"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.stdin.close()  # the sign to stop, which a crash gives as well
            process.wait(10)


def main() -> None:
    """Serve until the standard input is closed."""
    server, port = serve()
    print(f"127.0.0.1:{port}", flush=True)
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
