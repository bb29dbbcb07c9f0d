"""Calls to Firestore that read, count and write documents, as gRPC messages.

The client's own methods would cost more than the rest of a load; see `shared.firestore.channel`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any, Protocol

import grpc
import numpy as np
from google.cloud import firestore
from google.cloud.firestore_v1 import types
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from shared.firestore import messages
from shared.firestore.bulk.encoding import encode_content
from shared.firestore.bulk.wire import Heads, padded_varints, varint
from shared.firestore.channel import Channel
from shared.firestore.encoding import decode_fields, nanoseconds

__all__ = ["CallFailed", "Stored", "Transport", "WriteAnswer", "encode_write", "encode_writes"]

_IN = types.StructuredQuery.FieldFilter.Operator.IN


def _tag(message: Any, field: str) -> int:
    """Return the tag of a field with a length: its number, and wire type 2."""
    number: int = message.DESCRIPTOR.fields_by_name[field].number
    return number << 3 | 2


_REQUEST_WRITES = _tag(messages.BatchWriteRequest, "writes")
_WRITE_UPDATE = _tag(messages.Write, "update")
_WRITE_DELETE = _tag(messages.Write, "delete")
_WRITE_MASK = _tag(messages.Write, "update_mask")
_WRITE_CONDITION = _tag(messages.Write, "current_document")
_DOCUMENT_NAME = _tag(messages.Document, "name")
_MASK_PATH = _tag(types.DocumentMask.pb(), "field_paths")
_UPDATE_TIME = _tag(messages.Precondition, "update_time")

_RESULT = _tag(messages.BatchWriteResponse, "write_results")
_RESULT_TIME = _tag(types.WriteResult.pb(), "update_time")
_SECONDS, _NANOS = (
    Timestamp.DESCRIPTOR.fields_by_name[name].number << 3 for name in ("seconds", "nanos")
)
_GOOD = bytes((_tag(messages.BatchWriteResponse, "status"), 0))

COUNTED = 30
"""Documents counted per query: Firestore's limit of alternatives in an `in` filter."""

READ = 300
"""Documents read per call."""

# Error texts of gRPC servers (C core, Go; Java) about a message that is too long.
_TOO_LARGE = re.compile(r"(larger than max|exceeds maximum size)")


class CallFailed(Exception):
    """A call that had no answer, or was refused as a whole."""

    def __init__(self, method: str, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{method}: {code.name}")
        self.method = method
        self.code = code
        self.details = details
        """The server's message. It may quote a document: never log it unchanged."""

    @property
    def too_large(self) -> bool:
        """True if the message was too long for the server; a retry cannot help."""
        return self.code is grpc.StatusCode.RESOURCE_EXHAUSTED and bool(
            _TOO_LARGE.search(self.details)
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """A document that was read."""

    data: dict[str, Any]
    """The requested fields that the document has."""
    update_time: Any
    """Raw Timestamp of the last change; a precondition needs its exact nanoseconds."""


class Calls(Protocol):
    """The calls of `Transport` that the writer uses."""

    database: str

    def get(
        self, names: Sequence[str], mask: Sequence[str] | None, *, timeout: float
    ) -> dict[str, Stored | None]:
        """Read documents; see Transport."""

    def write(self, writes: Iterable[bytes], *, timeout: float) -> bytes:
        """Write documents; see Transport."""


class Transport:
    """Calls that block and are never retried: the caller handles failures."""

    def __init__(self, client: firestore.Client) -> None:
        channel = Channel(client)
        self.database = channel.database
        self._metadata = channel.by_id
        self._batch_write = channel.unary_of_bytes("BatchWrite")
        self._batch_get = channel.stream("BatchGetDocuments")
        self._count = channel.stream("RunAggregationQuery")
        self._head = messages.BatchWriteRequest(database=self.database).SerializeToString()

    def get(
        self, names: Sequence[str], mask: Sequence[str] | None, *, timeout: float
    ) -> dict[str, Stored | None]:
        """Return full resource name -> document; None for one that does not exist.

        Every `READ` documents take a call; all calls are made at once. A name that is missing in
        the server's answer is missing in the result, too.

        Args:
            names: full resource names, `projects/…/documents/connections/au/orders/D1`.
            mask: field paths to read; None: all fields; empty: no field, only the update time.
            timeout: seconds.

        Raises:
            CallFailed: the call failed, perhaps in the middle of the answer.
        """
        requests = []
        for first in range(0, len(names), READ):
            lot = names[first : first + READ]
            request = messages.BatchGetRequest(database=self.database, documents=lot)
            if mask is not None:
                request.mask.SetInParent()
                request.mask.field_paths.extend(mask)
            requests.append(request)
        found: dict[str, Stored | None] = {}
        for answers in self._ask("BatchGetDocuments", self._batch_get, requests, timeout):
            for name, document in messages.documents(answers):
                found[name] = document and Stored(
                    decode_fields(document.fields), document.update_time
                )
        return found

    def count(self, groups: Sequence[Sequence[str]], *, timeout: float) -> list[int]:
        """Return per group the number of documents that exist. All groups are counted at once.

        A group costs as much as one read.

        Args:
            groups: groups of full resource names, each name once. A group has at most COUNTED
                documents of one collection.
            timeout: seconds.

        Raises:
            CallFailed: a call failed, or had no count.
        """
        method = "RunAggregationQuery"
        counts = []
        for answers in self._ask(method, self._count, map(_count_request, groups), timeout):
            if not answers:  # not the same as none that exist
                raise CallFailed(method, grpc.StatusCode.UNKNOWN, "no count")
            counts.append(answers[-1].result.aggregate_fields["count"].integer_value)
        return counts

    def _ask(
        self, method: str, call: Any, requests: Iterable[Any], timeout: float
    ) -> Iterator[list[Any]]:
        """Yield the answers to each request.

        All requests are sent before the first answer is read. The answers to the later ones arrive
        meanwhile, and are there when they are read. With a thread for each, every answer would wake
        one up, which costs more than to read it.

        Raises:
            CallFailed: a call failed, perhaps in the middle of the answer.
        """
        calls = [call(request, timeout=timeout, metadata=self._metadata) for request in requests]
        try:
            for answers in calls:
                yield [*answers]
        except grpc.RpcError as error:
            raise _failed(method, error) from error
        finally:
            for one in calls:
                one.cancel()  # without effect on a call that has ended

    def write(self, writes: Iterable[bytes], *, timeout: float) -> bytes:
        """Send writes that `encode_write` made, and return the encoded BatchWriteResponse.

        The writes are independent: the answer has one status per write, see `WriteAnswer`.

        Raises:
            CallFailed: the call failed. Any of the writes may or may not have happened.
        """
        request = b"".join((self._head, *writes))
        try:
            answer: bytes = self._batch_write(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _failed("BatchWrite", error) from error
        return answer


def _count_request(names: Sequence[str]) -> Any:
    parent, collection, _ = names[0].rsplit("/", 2)
    request = messages.CountRequest(parent=parent)
    aggregation = request.structured_aggregation_query
    aggregation.aggregations.add(alias="count").count.SetInParent()
    query = aggregation.structured_query
    query.from_.add(collection_id=collection)
    query.where.field_filter.MergeFrom(
        messages.FieldFilter(
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
    """Return the bytes of one write: the document `name` becomes exactly `wire` and `data`.

    The bytes are a BatchWriteRequest with this one write. Joining the bytes of protobuf messages
    merges the messages. So a request is the join of its head and its writes, and a document the
    join of its fields. Each write has a known size, and a retry does not encode it again.

    Args:
        name: full resource name.
        data: fields that are not encoded yet.
        wire: fields that `encode_content` has encoded.
        base: raw Timestamp that the stored document must have; None: there must be no document.
        only: field paths to replace; the rest of the stored document stays. None: all.

    Raises:
        TypeError, ValueError: as `encode_fields`.
    """
    before = _condition(base)
    if only is not None:
        paths = b"".join([_field(_MASK_PATH, path.encode()) for path in only])
        before += _field(_WRITE_MASK, paths)
    document = wire + encode_content(data) + _field(_DOCUMENT_NAME, name.encode())
    update = _field(_WRITE_UPDATE, document)
    return _field(_REQUEST_WRITES, before + update)


def encode_delete(name: str, *, base: Any) -> bytes:
    """Return the bytes of one write that deletes a document; otherwise like `encode_write`."""
    return _field(_REQUEST_WRITES, _condition(base) + _field(_WRITE_DELETE, name.encode()))


def encode_writes(
    root: str,
    keys: Sequence[str],
    wires: Sequence[bytes],
    sources: Sequence[bytes],
    updates: Sequence[int],
) -> tuple[Iterable[bytes], int]:
    """Return many writes as pieces of bytes, and their total size in bytes.

    Joined, the pieces are what `encode_write` returns for each document, one after the other.

    Args:
        root: the collection, `projects/…/documents/connections/au/customers/`.
        keys: document ids.
        wires: encoded fields of each document.
        sources: the encoded field `source` of each document.
        updates: update times that the stored documents must have, in nanoseconds since 1970; 0:
            there must be no document.
    """
    name_heads = _name_heads(root)
    names = [name_heads[len(key)] + key for key in map(str.encode, keys)]
    sizes = [
        len(wire) + len(source) + len(name)
        for wire, source, name in zip(wires, sources, names, strict=True)
    ]
    if any(updates):
        heads = [
            _head_of(size, condition) if update else _NEW_HEADS[size]
            for size, update, condition in zip(sizes, updates, _conditions(updates), strict=True)
        ]
    else:
        heads = [_NEW_HEADS[size] for size in sizes]
    pieces = chain.from_iterable(zip(heads, wires, sources, names, strict=True))
    return pieces, sum(sizes) + sum(map(len, heads))


class WriteAnswer:
    """Answer to `count` writes, which is read as a message only if not all writes succeeded."""

    def __init__(self, encoded: bytes, count: int) -> None:
        """Take an encoded BatchWriteResponse."""
        self._encoded = encoded
        self._count = count
        self.times = self._times()
        """Update time of each write in nanoseconds since 1970, if all writes succeeded. None also
        if the encoded times do not all have the same length."""

    @cached_property
    def message(self) -> Any:
        """The raw BatchWriteResponse."""
        return messages.BatchWriteResponse.FromString(self._encoded)

    def _times(self) -> NDArray[np.int64] | None:
        """Read all times from the bytes at once."""
        octets, count = np.frombuffer(self._encoded, np.uint8), self._count
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
    """Return the varint of each row (7 bits per byte); None if one does not fill its row.

    Example: the row `[0x96, 0x01]` is 150.
    """
    more = octets >= 0x80
    if not octets.shape[1] or more[:, -1].any() or not more[:, :-1].all():
        return None
    groups: NDArray[np.int64] = (octets & 0x7F).astype(np.int64)
    return groups @ (1 << 7 * np.arange(octets.shape[1]))


@lru_cache(8)
def _name_heads(root: str) -> Heads:
    return Heads(((varint(_DOCUMENT_NAME), b""),), root.encode())


def _head_of(size: int, condition: bytes) -> bytes:
    """Return the bytes before a document of `size` bytes in a request."""
    update = _UPDATES[size]
    return _WRITES[len(condition) + len(update) + size] + condition + update


def _condition(base: Any | None) -> bytes:
    """Return the precondition of one write; `base` as in `encode_write`."""
    return _IS_NEW if base is None else _conditions([nanoseconds(base)])[0]


def _conditions(updates: Sequence[int]) -> list[bytes]:
    """Return preconditions: a stored document with each update time, in nanoseconds since 1970."""
    seconds, nanos = np.divmod(np.array(updates, np.int64), 1_000_000_000)
    rows = np.tile(_UPDATED_AT, (len(updates), 1))
    rows[:, _AT_SECONDS] = padded_varints(seconds, len(_GROUPS))
    rows[:, _AT_NANOS] = padded_varints(nanos, len(_GROUPS))
    encoded, size = rows.tobytes(), rows.shape[1]
    return [encoded[start : start + size] for start in range(0, len(encoded), size)]


def _field(tag: int, content: bytes) -> bytes:
    """Return a field of text, bytes or a message: its tag, its length, its content."""
    return b"".join((varint(tag), varint(len(content)), content))


_IS_NEW = _field(_WRITE_CONDITION, messages.Precondition(exists=False).SerializeToString())
_NEW_HEADS = Heads(((varint(_REQUEST_WRITES), _IS_NEW), (varint(_WRITE_UPDATE), b"")))
"""Bytes before a new document in a request, by the document's size in bytes."""
_WRITES, _UPDATES = Heads(((varint(_REQUEST_WRITES), b""),)), Heads(((varint(_WRITE_UPDATE), b""),))
"""Bytes before a write in a request, and before a document in a write, by its size in bytes."""

_GROUPS = bytes(5)
_UPDATED_AT = np.frombuffer(
    _field(
        _WRITE_CONDITION,
        _field(_UPDATE_TIME, bytes((_SECONDS, *_GROUPS, _NANOS, *_GROUPS))),
    ),
    np.uint8,
)
"""Precondition of an update, with five groups of seven bits for each number of the update time."""
_AT_SECONDS, _AT_NANOS = slice(-11, -6), slice(-5, None)


def _failed(method: str, error: grpc.RpcError) -> CallFailed:
    # Every error that a call raises is also a grpc.Call; the type stubs do not say so.
    call: Any = error
    return CallFailed(method, call.code(), call.details() or "")
