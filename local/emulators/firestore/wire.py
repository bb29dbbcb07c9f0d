"""Encodes answers as bytes, so that documents reach the client without being decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from google.cloud.firestore_v1.types import document as document_types
from google.cloud.firestore_v1.types import firestore as firestore_types
from google.cloud.firestore_v1.types import write as write_types
from google.protobuf import timestamp_pb2
from google.rpc import status_pb2

from local.emulators.firestore.commits import Outcome, Written
from local.emulators.firestore.writes import Content

_LENGTH_DELIMITED = 2


def _tag(message: Any, field: str) -> bytes:
    """The bytes that a message or string field begins with."""
    number: int = message.DESCRIPTOR.fields_by_name[field].number
    return _varint(number << 3 | _LENGTH_DELIMITED)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_SHORT = [_varint(number) for number in range(4096)]


def _size(data: bytes) -> bytes:
    length = len(data)
    return _SHORT[length] if length < 4096 else _varint(length)


_Document = document_types.Document.pb()
_NAME = _tag(_Document, "name")
_CREATED = _tag(_Document, "create_time")
_UPDATED = _tag(_Document, "update_time")

_Got = firestore_types.BatchGetDocumentsResponse.pb()
_GOT_FOUND = _tag(_Got, "found")
_GOT_MISSING = _tag(_Got, "missing")
_GOT_READ_TIME = _tag(_Got, "read_time")

_Row = firestore_types.RunQueryResponse.pb()
_ROW_DOCUMENT = _tag(_Row, "document")
_ROW_READ_TIME = _tag(_Row, "read_time")

_Listed = firestore_types.ListDocumentsResponse.pb()
_LISTED_DOCUMENT = _tag(_Listed, "documents")
_LISTED_TOKEN = _tag(_Listed, "next_page_token")

_Committed = firestore_types.CommitResponse.pb()
_COMMITTED_RESULT = _tag(_Committed, "write_results")
_COMMITTED_TIME = _tag(_Committed, "commit_time")

_Batch = firestore_types.BatchWriteResponse.pb()
_BATCH_RESULT = _tag(_Batch, "write_results")
_BATCH_STATUS = _tag(_Batch, "status")

_Result = write_types.WriteResult.pb()
_RESULT_UPDATED = _tag(_Result, "update_time")
_RESULT_TRANSFORM = _tag(_Result, "transform_results")

_Aggregated = firestore_types.RunAggregationQueryResponse.pb()


@lru_cache(maxsize=8192)
def timestamp(micros: int) -> bytes:
    """A timestamp field without its tag: length and content."""
    data: bytes = stamp(micros).SerializeToString()
    return _size(data) + data


def stamp(micros: int) -> Any:
    """Microseconds since 1970 as a protobuf timestamp."""
    return timestamp_pb2.Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)


def document(name: str, content: Content | None, fields: bytes | None = None) -> bytes:
    """A `Document`. `fields` replaces what is stored; without content it has only its name."""
    encoded = name.encode()
    head = _NAME + _size(encoded) + encoded
    if content is None:
        return head
    return b"".join(
        (
            head,
            content.fields if fields is None else fields,
            _CREATED,
            timestamp(content.created),
            _UPDATED,
            timestamp(content.updated),
        )
    )


def found(data: bytes, *, read_micros: int) -> bytes:
    """A `BatchGetDocumentsResponse` with a document."""
    return b"".join((_GOT_FOUND, _size(data), data, _GOT_READ_TIME, timestamp(read_micros)))


def missing(name: str, *, read_micros: int) -> bytes:
    """A `BatchGetDocumentsResponse` for a document that does not exist."""
    data = name.encode()
    return b"".join((_GOT_MISSING, _size(data), data, _GOT_READ_TIME, timestamp(read_micros)))


def began(transaction: bytes) -> bytes:
    """A `BatchGetDocumentsResponse` that only names the transaction it has begun."""
    return bytes(_Got(transaction=transaction).SerializeToString())


def row(data: bytes, *, read_micros: int) -> bytes:
    """A `RunQueryResponse` with a document."""
    return b"".join((_ROW_DOCUMENT, _size(data), data, _ROW_READ_TIME, timestamp(read_micros)))


def no_row(*, read_micros: int | None, transaction: bytes = b"", done: bool = False) -> bytes:
    """A `RunQueryResponse` without a document."""
    message = _Row(transaction=transaction)
    if read_micros is not None:
        message.read_time.CopyFrom(stamp(read_micros))
    if done:
        message.done = True
    return bytes(message.SerializeToString())


def listed(documents: Sequence[bytes], token: str) -> bytes:
    """A `ListDocumentsResponse`."""
    parts: list[bytes] = []
    for data in documents:
        parts += (_LISTED_DOCUMENT, _size(data), data)
    if token:
        parts += (_LISTED_TOKEN, _size(token.encode()), token.encode())
    return b"".join(parts)


def aggregated(
    values: Mapping[str, Any] | None, *, read_micros: int | None, transaction: bytes = b""
) -> bytes:
    """A `RunAggregationQueryResponse`."""
    message = _Aggregated(transaction=transaction)
    if read_micros is not None:
        message.read_time.CopyFrom(stamp(read_micros))
    if values is not None:
        message.result.SetInParent()
        for alias, value in values.items():
            message.result.aggregate_fields[alias].CopyFrom(value)
    return bytes(message.SerializeToString())


def _write_result(written: Written) -> bytes:
    parts: list[bytes] = []
    if written.updated is not None:
        parts += (_RESULT_UPDATED, timestamp(written.updated))
    for value in written.transforms:
        data = value.SerializeToString()
        parts += (_RESULT_TRANSFORM, _size(data), data)
    return b"".join(parts)


def committed(outcome: Outcome) -> bytes:
    """A `CommitResponse`."""
    parts: list[bytes] = []
    for written in outcome.written:
        data = _write_result(written)
        parts += (_COMMITTED_RESULT, _size(data), data)
    parts += (_COMMITTED_TIME, timestamp(outcome.version))
    return b"".join(parts)


def batch_written(outcome: Outcome) -> bytes:
    """A `BatchWriteResponse`: one result and one status per write, in order."""
    parts: list[bytes] = []
    for written in outcome.written:
        data = _write_result(written)
        parts += (_BATCH_RESULT, _size(data), data)
        status = b""
        if written.refusal is not None:
            refusal = written.refusal
            status = status_pb2.Status(
                code=refusal.number, message=refusal.message
            ).SerializeToString()
        parts += (_BATCH_STATUS, _size(status), status)
    return b"".join(parts)
