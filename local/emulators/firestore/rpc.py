"""Answers gRPC calls: parses each request, and sends a refusal as its status."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc
from google.cloud.firestore_v1.types import firestore as types
from google.protobuf.message import DecodeError

from local.emulators.firestore.refusals import Refused, invalid
from local.emulators.firestore.service import Service

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 11_534_336
"""Bytes of the largest request: the documented 10 MiB and a tenth for the envelope."""

_Unary = Callable[[Any], bytes]
_Streaming = Callable[[Any], Iterator[bytes]]


def handler(service: Service) -> grpc.GenericRpcHandler[bytes, bytes]:
    """Return the gRPC handler of a service."""
    unary: dict[str, tuple[_Unary, Any]] = {
        "GetDocument": (service.get_document, types.GetDocumentRequest),
        "ListDocuments": (service.list_documents, types.ListDocumentsRequest),
        "CreateDocument": (service.create_document, types.CreateDocumentRequest),
        "UpdateDocument": (service.update_document, types.UpdateDocumentRequest),
        "DeleteDocument": (service.delete_document, types.DeleteDocumentRequest),
        "Commit": (service.commit, types.CommitRequest),
        "BatchWrite": (service.batch_write, types.BatchWriteRequest),
        "BeginTransaction": (service.begin_transaction, types.BeginTransactionRequest),
        "Rollback": (service.rollback, types.RollbackRequest),
        "PartitionQuery": (service.partition_query, types.PartitionQueryRequest),
        "ListCollectionIds": (service.list_collection_ids, types.ListCollectionIdsRequest),
    }
    streaming: dict[str, tuple[_Streaming, Any]] = {
        "BatchGetDocuments": (service.batch_get_documents, types.BatchGetDocumentsRequest),
        "RunQuery": (service.run_query, types.RunQueryRequest),
        "RunAggregationQuery": (
            service.run_aggregation_query,
            types.RunAggregationQueryRequest,
        ),
    }
    methods: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(_unary(method, request_type.pb()))
        for name, (method, request_type) in unary.items()
    }
    for name, (answer, request_type) in streaming.items():
        methods[name] = grpc.unary_stream_rpc_method_handler(_streaming(answer, request_type.pb()))
    methods["Listen"] = grpc.stream_stream_rpc_method_handler(_listening(service))
    return grpc.method_handlers_generic_handler("google.firestore.v1.Firestore", methods)


def _parse(message_type: Any, data: bytes) -> Any:
    if len(data) > MAX_REQUEST_BYTES:
        raise invalid(f"Request payload size exceeds the limit: {MAX_REQUEST_BYTES} bytes.")
    try:
        return message_type.FromString(data)
    except DecodeError as error:
        raise invalid("Request could not be parsed.") from error


def _unary(method: _Unary, message_type: Any) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def call(data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return method(_parse(message_type, data))
        except Exception as error:
            _abort(context, error)
            raise

    return call


def _streaming(
    method: _Streaming, message_type: Any
) -> Callable[[bytes, grpc.ServicerContext], Iterator[bytes]]:
    def call(data: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            yield from method(_parse(message_type, data))
        except Exception as error:
            _abort(context, error)

    return call


def _listening(
    service: Service,
) -> Callable[[Iterable[bytes], grpc.ServicerContext], Iterator[bytes]]:
    message_type = types.ListenRequest.pb()

    def call(requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        stream = service.listen()
        context.add_callback(stream.close)
        try:
            yield from stream.run(requests, lambda data: _parse(message_type, data))
        except Exception as error:
            _abort(context, error)

    return call


def _abort(context: grpc.ServicerContext, error: Exception) -> None:
    if isinstance(error, Refused):
        context.abort(error.code, error.message)
    log.error("Request failed: %s", type(error).__name__, exc_info=error)
    context.abort(grpc.StatusCode.INTERNAL, f"Internal error: {type(error).__name__}")
