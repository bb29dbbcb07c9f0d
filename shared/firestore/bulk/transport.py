"""What the calls that load documents look like on Firestore's wire, and how they can fail.

They go through the client's own channel, so that address, credentials and emulator are the
client's, but not through its wrappers: those cost more than the rest of a load together and retry
by rules of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import grpc
import numpy as np
from google.api_core.gapic_v1 import routing_header
from google.cloud import firestore
from google.cloud.firestore_v1 import types
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from shared.firestore.bulk.encoding import decode_fields, encode_content, timestamp
from shared.firestore.bulk.wire import Heads, varint

__all__ = ["CallFailed", "Stored", "Transport", "encode_write", "encode_writes", "times_of_all"]

_Document: Any = types.Document.pb()
_Write: Any = types.Write.pb()
_Precondition: Any = types.Precondition.pb()
_BatchWriteRequest: Any = types.BatchWriteRequest.pb()
_BatchWriteResponse: Any = types.BatchWriteResponse.pb()
_BatchGetRequest: Any = types.BatchGetDocumentsRequest.pb()
_BatchGetResponse: Any = types.BatchGetDocumentsResponse.pb()
_CountRequest: Any = types.RunAggregationQueryRequest.pb()
_CountResponse: Any = types.RunAggregationQueryResponse.pb()

_FieldFilter: Any = types.StructuredQuery.FieldFilter.pb()
_IN = types.StructuredQuery.FieldFilter.Operator.IN


def _tag(message: Any, field: str) -> int:
    """Return what stands before a field that has a length: its number, and that it has one."""
    number: int = message.DESCRIPTOR.fields_by_name[field].number
    return number << 3 | 2


_REQUEST_WRITES = _tag(_BatchWriteRequest, "writes")
_WRITE_UPDATE = _tag(_Write, "update")
_WRITE_DELETE = _tag(_Write, "delete")
_WRITE_MASK = _tag(_Write, "update_mask")
_WRITE_CONDITION = _tag(_Write, "current_document")
_DOCUMENT_NAME = _tag(_Document, "name")
_MASK_PATH = _tag(types.DocumentMask.pb(), "field_paths")
_UPDATE_TIME = _tag(_Precondition, "update_time")

_RESULT = _tag(_BatchWriteResponse, "write_results")
_RESULT_TIME = _tag(types.WriteResult.pb(), "update_time")
_SECONDS, _NANOS = (
    Timestamp.DESCRIPTOR.fields_by_name[name].number << 3 for name in ("seconds", "nanos")
)
_GOOD = bytes((_tag(_BatchWriteResponse, "status"), 0))

COUNTED = 30
"""Documents that may be counted together: the alternatives that a query can have."""

_SERVICE = "/google.firestore.v1.Firestore/"
# What gRPC servers say (C core, Go; Java) of a message that is too long for them.
_TOO_LARGE = re.compile(r"(larger than max|exceeds maximum size)")


class CallFailed(Exception):
    """A call was not answered, or refused as a whole."""

    def __init__(self, method: str, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{method}: {code.name}")
        self.method = method
        self.code = code
        self.details = details
        """The server's own words. They may quote a document: not for logs without a look."""

    @property
    def too_large(self) -> bool:
        """Whether the message was too long for the server, which sending it again cannot mend."""
        return self.code is grpc.StatusCode.RESOURCE_EXHAUSTED and bool(
            _TOO_LARGE.search(self.details)
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it was read."""

    data: dict[str, Any]
    """The fields that were asked for, as far as the document has them."""
    update_time: Any
    """When it was last changed: the raw Timestamp, whose nanoseconds a condition needs exactly."""


class Transport:
    """The calls, blocking, once each: whoever calls decides what to do about a failure."""

    def __init__(self, client: firestore.Client) -> None:
        # The client has no public way to its channel, its metadata or the name of its database.
        inside: Any = client
        self.database: str = inside._database_string
        channel: grpc.Channel = inside._firestore_api.transport.grpc_channel
        # None passes on the bytes as they are.
        self._batch_write = channel.unary_unary(
            f"{_SERVICE}BatchWrite",
            request_serializer=None,
            response_deserializer=_BatchWriteResponse.FromString,
        )
        self._batch_get = channel.unary_stream(
            f"{_SERVICE}BatchGetDocuments",
            request_serializer=_BatchGetRequest.SerializeToString,
            response_deserializer=_BatchGetResponse.FromString,
        )
        self._count = channel.unary_stream(
            f"{_SERVICE}RunAggregationQuery",
            request_serializer=_CountRequest.SerializeToString,
            response_deserializer=_CountResponse.FromString,
        )
        # BatchWrite takes no other routing to a named database: it refuses `database=…`.
        routing = (("project_id", client.project), ("database_id", inside._database))
        self._metadata = (
            *inside._rpc_metadata,  # the database; for an emulator also "Bearer owner"
            routing_header.to_grpc_metadata(routing),  # type: ignore[no-untyped-call]
            inside._client_info.to_grpc_metadata(),
        )
        self._head = _BatchWriteRequest(database=self.database).SerializeToString()

    def get(
        self, names: Sequence[str], mask: Sequence[str] | None, *, timeout: float
    ) -> dict[str, Stored | None]:
        """Read documents by full resource name; None for one that does not exist.

        `mask` holds the field paths wanted; None means all fields, an empty one none but the
        update time. A name that the server left out of its answer is not in the result. Raises
        CallFailed, also when the answer breaks off in the middle.
        """
        request = _BatchGetRequest(database=self.database, documents=names)
        if mask is not None:
            request.mask.SetInParent()
            request.mask.field_paths.extend(mask)
        found: dict[str, Stored | None] = {}
        try:
            for answer in self._batch_get(request, timeout=timeout, metadata=self._metadata):
                if answer.HasField("found"):
                    document = answer.found
                    found[document.name] = Stored(
                        decode_fields(document.fields), document.update_time
                    )
                elif answer.missing:
                    found[answer.missing] = None
        except grpc.RpcError as error:
            raise _failed("BatchGetDocuments", error) from error
        return found

    def count(self, groups: Sequence[Sequence[str]], *, timeout: float) -> list[int]:
        """Return of each group of documents how many exist; all groups are asked for at once.

        A group has full resource names, each once, of at most COUNTED documents of one collection.
        One that is counted costs as much as one document that is read. Raises CallFailed.
        """
        calls: list[Any] = []
        for names in groups:
            request = _count_request(names)
            calls.append(self._count(request, timeout=timeout, metadata=self._metadata))
        counts = []
        try:
            for call in calls:
                found = [answer.result.aggregate_fields["count"] for answer in call]
                if not found:  # not the same as none that exist
                    raise CallFailed("RunAggregationQuery", grpc.StatusCode.UNKNOWN, "no count")
                counts.append(found[-1].integer_value)
        except grpc.RpcError as error:
            for call in calls:
                call.cancel()
            raise _failed("RunAggregationQuery", error) from error
        return counts

    def write(self, writes: Iterable[bytes], *, timeout: float) -> Any:
        """Send what `encode_write` made, and return the raw BatchWriteResponse.

        The writes are independent of each other: each has a status of its own in the answer.
        Raises CallFailed, after which any of them may or may not have been carried out.
        """
        request = b"".join((self._head, *writes))
        try:
            return self._batch_write(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _failed("BatchWrite", error) from error


def _count_request(names: Sequence[str]) -> Any:
    parent, collection, _ = names[0].rsplit("/", 2)
    request = _CountRequest(parent=parent)
    aggregation = request.structured_aggregation_query
    aggregation.aggregations.add(alias="count").count.SetInParent()
    query = aggregation.structured_query
    query.from_.add(collection_id=collection)
    query.where.field_filter.MergeFrom(
        _FieldFilter(
            field={"field_path": "__name__"},
            op=_IN,
            value={"array_value": {"values": [{"reference_value": name} for name in names]}},
        )
    )
    return request


def encode_write(
    name: str,
    data: Mapping[str, Any],
    *,
    wire: bytes = b"",
    base: Any | None,
    only: Sequence[str] | None = None,
) -> bytes:
    """Return the wire bytes of one write: the document `name` becomes exactly `wire` and `data`.

    `wire` is what `encode_content` made of some of the fields, `data` are the others. With `only`,
    just these field paths become so, and the rest of the document stays. `base` is the update
    time that the stored document must still have; None means that there must be none.

    The bytes are those of a BatchWriteRequest with this one write: protobuf messages are merged by
    joining their bytes, so a document is the join of its fields, and a request that of its writes
    and of what it has besides them. That keeps every write's size known, lets it be sent again
    without encoding it again, and takes fields as they are that have been encoded before.

    Raises what `encode_fields` raises.
    """
    before = _condition(base)
    if only is not None:
        paths = b"".join([_field(_MASK_PATH, path.encode()) for path in only])
        before += _field(_WRITE_MASK, paths)
    document = wire + encode_content(data) + _field(_DOCUMENT_NAME, name.encode())
    update = _field(_WRITE_UPDATE, document)
    return _field(_REQUEST_WRITES, before + update)


def encode_delete(name: str, *, base: Any) -> bytes:
    """Return the wire bytes of one write that deletes a document; else like `encode_write`."""
    return _field(_REQUEST_WRITES, _condition(base) + _field(_WRITE_DELETE, name.encode()))


def encode_writes(
    root: str,
    keys: Sequence[str],
    wires: Sequence[bytes],
    sources: Sequence[bytes],
    updates: Sequence[int],
) -> tuple[Iterable[bytes], int]:
    """Return pieces that make up what `encode_write` makes of many documents, and their size.

    The document `root` + key becomes exactly its `wire` and `source`. `updates` are the update
    times that the stored documents must still have, in nanoseconds since 1970; 0 means that there
    must be none.
    """
    name_heads = _name_heads(root)
    names = [name_heads[len(key)] + key for key in map(str.encode, keys)]
    sizes = [
        len(wire) + len(source) + len(name)
        for wire, source, name in zip(wires, sources, names, strict=True)
    ]
    heads = [
        _head_of(size, update) if update else _NEW_HEADS[size]
        for size, update in zip(sizes, updates, strict=True)
    ]
    pieces = chain.from_iterable(zip(heads, wires, sources, names, strict=True))
    return pieces, sum(sizes) + sum(map(len, heads))


def times_of_all(answer: Any) -> NDArray[np.int64] | None:
    """Return the update times, in nanoseconds since 1970, of a BatchWriteResponse to writes that
    were all carried out; None where one was not, or where the times are not all equally long."""
    octets = np.frombuffer(answer.SerializeToString(), np.uint8)
    count = len(answer.status)
    results, statuses = octets[: -2 * count], octets[-2 * count :]
    if not count or len(results) % count or bytes(statuses) != _GOOD * count:
        return None
    times = results.reshape(count, -1)
    size = times.shape[1]
    head = (_RESULT, size - 2, _RESULT_TIME, size - 4, _SECONDS)
    if size < 10 or (times[:, :5] != head).any():
        return None
    seconds = _numbers(times[:, 5:10])
    if size == 10 or seconds is None:
        return None if seconds is None else seconds * 1_000_000_000
    nanos = _numbers(times[:, 11:])
    if nanos is None or (times[:, 10] != _NANOS).any():
        return None
    return seconds * 1_000_000_000 + nanos


def _numbers(octets: NDArray[np.uint8]) -> NDArray[np.int64] | None:
    """Read a number a row, written in groups of seven bits; None where one ends elsewhere."""
    more = octets >= 0x80
    if not octets.shape[1] or more[:, -1].any() or not more[:, :-1].all():
        return None
    groups: NDArray[np.int64] = (octets & 0x7F).astype(np.int64)
    return groups @ (1 << 7 * np.arange(octets.shape[1]))


@lru_cache(8)
def _name_heads(root: str) -> Heads:
    return Heads(((varint(_DOCUMENT_NAME), b""),), root.encode())


def _head_of(size: int, update: int) -> bytes:
    """Return what comes before a document of so many bytes, stored as of `update`, in a request."""
    before = _condition(timestamp(update)) + varint(_WRITE_UPDATE) + varint(size)
    return varint(_REQUEST_WRITES) + varint(len(before) + size) + before


def _condition(base: Any | None) -> bytes:
    if base is None:
        return _IS_NEW
    return _field(_WRITE_CONDITION, _field(_UPDATE_TIME, base.SerializeToString()))


def _field(tag: int, content: bytes) -> bytes:
    """Return a field of text, bytes or a message: its tag, its length, its content."""
    return b"".join((varint(tag), varint(len(content)), content))


_IS_NEW = _field(_WRITE_CONDITION, _Precondition(exists=False).SerializeToString())
_NEW_HEADS = Heads(((varint(_REQUEST_WRITES), _IS_NEW), (varint(_WRITE_UPDATE), b"")))
"""What comes before a new document in a request, by the document's bytes."""


def _failed(method: str, error: grpc.RpcError) -> CallFailed:
    # Every error that a call raises is a grpc.Call as well; the stubs do not know it.
    call: Any = error
    return CallFailed(method, call.code(), call.details() or "")
