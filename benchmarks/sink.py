"""A Firestore that answers every write and every read and keeps nothing.

Whoever asks only whether a document exists is told that it does: orders have their customers. All
others find nothing or, if that is wished, the `source` of a document that an older file has
written. Writes are answered at once, or after as long as is wished, and no more of them a second
than is wished: the others wait, and are refused when they would have to wait too long.

`python -m benchmarks.sink` serves it in a process of its own, so that its work is not counted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
from google.cloud.firestore_v1 import types
from google.protobuf import timestamp_pb2
from google.rpc import status_pb2

_SERVICE = "google.firestore.v1.Firestore"
_LIMIT = 64 * 1024 * 1024
_OK = status_pb2.Status()
_RESULT = types.WriteResult.pb()(update_time=timestamp_pb2.Timestamp(seconds=1_700_000_000))


_SOURCE = {
    "source": {
        "map_value": {
            "fields": {
                "file": {"string_value": "customers_20241101T190000Z.csv"},
                "import": {"string_value": "customers_20241101T190000Z"},
                "row": {"integer_value": 1_000},
                "exportedAt": {"timestamp_value": {"seconds": 1_730_487_600}},
                "generation": {"integer_value": 1_730_487_601_000_000},
                "content": {"integer_value": 1},
            }
        }
    }
}
"""The field `source` of every document that is said to be stored."""

_LONGEST_WAIT = 1.0
"""Seconds that a write waits for its turn at most."""
_THREADS = 128
"""Calls answered at once: of eight workers, as many as they send."""


class Limit:
    """Makes writes wait as a busy database would."""

    def __init__(self, *, seconds: float = 0.0, rate: float = 0.0) -> None:
        """`seconds` pass until a call is answered; `rate` writes a second are taken, 0 is all."""
        self._seconds = seconds
        self._rate = rate
        self._free_at = time.monotonic()
        self._lock = threading.Lock()

    def take(self, writes: int, context: grpc.ServicerContext) -> None:
        """Wait until the writes have been taken, or refuse them."""
        wait = 0.0
        if self._rate:
            with self._lock:
                now = time.monotonic()
                wait = max(0.0, self._free_at - now)
                if wait <= _LONGEST_WAIT:
                    self._free_at = max(self._free_at, now) + writes / self._rate
        if wait > _LONGEST_WAIT:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many writes")
        if wait + self._seconds:
            time.sleep(wait + self._seconds)


def _batch_write(limit: Limit, request: Any, context: grpc.ServicerContext) -> Any:
    count = len(request.writes)
    limit.take(count, context)
    return types.BatchWriteResponse.pb()(write_results=[_RESULT] * count, status=[_OK] * count)


def _commit(request: Any, context: grpc.ServicerContext) -> Any:
    return types.CommitResponse.pb()(write_results=[_RESULT] * len(request.writes))


def _batch_get(stored: bool, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
    exists = request.HasField("mask") and not request.mask.field_paths
    for name in request.documents:
        if exists:
            yield types.BatchGetDocumentsResponse.pb()(found={"name": name})
        elif stored and [*request.mask.field_paths] == ["source"]:
            yield types.BatchGetDocumentsResponse.pb()(
                found={"name": name, "fields": _SOURCE, "update_time": _RESULT.update_time}
            )
        else:
            yield types.BatchGetDocumentsResponse.pb()(missing=name)


def _count(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
    """Answer a count of documents by name: all of them exist."""
    query = request.structured_aggregation_query
    named = query.structured_query.where.field_filter.value.array_value.values
    fields = {one.alias: {"integer_value": len(named)} for one in query.aggregations}
    yield types.RunAggregationQueryResponse.pb()(result={"aggregate_fields": fields})


def _unary(handle: Callable[..., Any], request: Any) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(
        handle, request.pb().FromString, lambda answer: answer.SerializeToString()
    )


def serve(limit: Limit, *, stored: bool = False) -> tuple[grpc.Server, int]:
    """Serve on a free port; returns the running server and the port."""
    handlers = {
        "BatchWrite": _unary(partial(_batch_write, limit), types.BatchWriteRequest),
        "Commit": _unary(_commit, types.CommitRequest),
        "BatchGetDocuments": grpc.unary_stream_rpc_method_handler(
            partial(_batch_get, stored),
            types.BatchGetDocumentsRequest.pb().FromString,
            lambda answer: answer.SerializeToString(),
        ),
        "RunAggregationQuery": grpc.unary_stream_rpc_method_handler(
            _count,
            types.RunAggregationQueryRequest.pb().FromString,
            lambda answer: answer.SerializeToString(),
        ),
    }
    server = grpc.server(
        ThreadPoolExecutor(_THREADS), options=[("grpc.max_receive_message_length", _LIMIT)]
    )
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_SERVICE, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


@contextmanager
def running(*, seconds: float = 0.0, rate: float = 0.0, stored: bool = False) -> Iterator[str]:
    """Run it in a process of its own, limited as `Limit` says; gives its address.

    With `stored`, it says that every document is there whose `source` is read.
    """
    limits = ["--seconds", str(seconds), "--rate", str(rate), *(["--stored"] if stored else [])]
    command = [sys.executable, "-m", "benchmarks.sink", *limits]
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sink")
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--stored", action="store_true")
    limits = parser.parse_args()
    limit = Limit(seconds=limits.seconds, rate=limits.rate)
    server, port = serve(limit, stored=limits.stored)
    print(f"127.0.0.1:{port}", flush=True)
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
