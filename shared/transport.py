"""What the two calls that load documents look like on Firestore's wire, and how they can fail.

They go through the client's own channel, so that address, credentials and emulator are the
client's, but not through its wrappers: those cost more than the rest of a load together and retry
by rules of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.api_core.gapic_v1 import routing_header
from google.cloud import firestore
from google.cloud.firestore_v1 import types

from shared.encoding import decode_fields, encode_fields

__all__ = ["CallFailed", "Stored", "Transport", "encode_write"]

_BatchWriteRequest: Any = types.BatchWriteRequest.pb()
_BatchWriteResponse: Any = types.BatchWriteResponse.pb()
_BatchGetRequest: Any = types.BatchGetDocumentsRequest.pb()
_BatchGetResponse: Any = types.BatchGetDocumentsResponse.pb()

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
    """The two calls, blocking, once each: whoever calls decides what to do about a failure."""

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
        self._metadata = (
            *inside._rpc_metadata,  # the database; for an emulator also "Bearer owner"
            routing_header.to_grpc_metadata(  # type: ignore[no-untyped-call]
                (("database", self.database),)
            ),
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


def encode_write(
    name: str, data: Mapping[str, Any], *, base: Any | None, only: Sequence[str] | None = None
) -> bytes:
    """Return the wire bytes of one write: the document `name` becomes exactly `data`.

    With `only`, just these field paths of it do, and the rest of the document stays. `base` is the
    update time that the stored document must still have; None means that there must be none.

    The bytes are those of a BatchWriteRequest with this one write: protobuf messages are merged by
    joining their bytes, so a request is the join of its writes and of what it has besides them.
    That keeps every write's size known and lets it be sent again without encoding it again.

    Raises what `encode_fields` raises.
    """
    request = _BatchWriteRequest()
    write = request.writes.add()
    write.update.name = name
    encode_fields(data, write.update.fields)
    if only is not None:
        write.update_mask.field_paths.extend(only)
        write.update_mask.SetInParent()
    if base is None:
        write.current_document.exists = False
    else:
        write.current_document.update_time.CopyFrom(base)
    encoded: bytes = request.SerializeToString()
    return encoded


def _failed(method: str, error: grpc.RpcError) -> CallFailed:
    # Every error that a call raises is a grpc.Call as well; the stubs do not know it.
    call: Any = error
    return CallFailed(method, call.code(), call.details() or "")
