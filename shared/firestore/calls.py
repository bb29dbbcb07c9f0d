"""Calls that read and change the ledger, as gRPC messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
from google.api_core import exceptions
from google.cloud import firestore
from google.cloud.firestore_v1 import types

from shared.firestore import messages
from shared.firestore.channel import Channel
from shared.firestore.encoding import decode_fields, encode_fields
from shared.firestore.query import Fields

TIMEOUT = 60.0
"""Seconds that a call may take."""


class Within:
    """The transaction that reads are part of. The first of these reads begins it."""

    def __init__(self) -> None:
        self.id = b""

    def join(self, request: Any) -> None:
        """Make a request for a read part of the transaction."""
        if self.id:
            request.transaction = self.id
        else:
            request.new_transaction.read_write.SetInParent()

    def began(self, answer: Any) -> None:
        """Take the transaction's id from the first answer."""
        self.id = self.id or answer.transaction


class LedgerCalls:
    """Calls on a client's channel. They raise the errors of `google.api_core`.

    Documents are given by their paths, e.g. `connections/au/imports/…`.
    """

    def __init__(self, client: firestore.Client) -> None:
        channel = Channel(client)
        self._database = channel.database
        self._root = f"{channel.database}/documents/"
        self._metadata = channel.by_name
        self._routed = channel.routed
        self._batch_get = channel.stream("BatchGetDocuments")
        self._run_query = channel.stream("RunQuery")
        self._commit = channel.unary("Commit")
        self._rollback = channel.unary("Rollback")

    def get(
        self, paths: Iterable[str], within: Within | None = None, *, timeout: float = TIMEOUT
    ) -> dict[str, Any]:
        """Return path -> raw document; None for one that does not exist."""
        names = [self._root + path for path in paths]
        request = messages.BatchGetRequest(database=self._database, documents=names)
        answers = self._answers(self._batch_get, request, self._metadata, within, timeout)
        found = {self._path(name): document for name, document in messages.documents(answers)}
        if len(found) != len(names):
            raise exceptions.InternalServerError("incomplete")  # type: ignore[no-untyped-call]
        return found

    def between(
        self, collection: str, first: str, last: str, within: Within | None = None
    ) -> dict[str, Any]:
        """Return path -> raw document with ids from `first` to `last` inclusive, sorted."""
        query = messages.Query()
        order = query.order_by.add(direction=types.StructuredQuery.Direction.ASCENDING)
        order.field.field_path = "__name__"
        query.start_at.before = True
        query.start_at.values.add(reference_value=f"{self._root}{collection}/{first}")
        query.end_at.values.add(reference_value=f"{self._root}{collection}/{last}")
        return self._query(collection, query, within, TIMEOUT)

    def find(
        self,
        collection: str,
        values: Sequence[tuple[str, Any]],
        *,
        either: bool = False,
        timeout: float = TIMEOUT,
    ) -> dict[str, Any]:
        """Return path -> raw document with all of these fields and values; `either`: with any."""
        operators = types.StructuredQuery.CompositeFilter.Operator
        query = messages.Query()
        every = query.where.composite_filter
        every.op = operators.OR if either else operators.AND
        for name, value in values:
            _fill_filter(every.filters.add(), name, value)
        return self._query(collection, query, None, timeout)

    def commit(self, writes: Mapping[str, Fields], transaction: bytes) -> None:
        """Write documents whole: path -> fields; an empty `transaction` is none."""
        request = messages.CommitRequest(database=self._database, transaction=transaction)
        for path, fields in writes.items():
            document = request.writes.add().update
            document.name = self._root + path
            encode_fields(fields, document.fields)
        with _translated():
            self._commit(request, timeout=TIMEOUT, metadata=self._metadata)

    def rollback(self, transaction: bytes) -> None:
        """End a transaction without writes."""
        request = messages.RollbackRequest(database=self._database, transaction=transaction)
        with _translated():
            self._rollback(request, timeout=TIMEOUT, metadata=self._metadata)

    def _query(
        self, collection: str, query: Any, within: Within | None, timeout: float
    ) -> dict[str, Any]:
        parent, _, name = f"{self._root}{collection}".rpartition("/")
        query.from_.add(collection_id=name)
        request = messages.QueryRequest(parent=parent, structured_query=query)
        metadata = self._routed((("parent", parent),))
        return {
            self._path(answer.document.name): answer.document
            for answer in self._answers(self._run_query, request, metadata, within, timeout)
            if answer.HasField("document")
        }

    def _answers(
        self, call: Any, request: Any, metadata: Any, within: Within | None, timeout: float
    ) -> Iterator[Any]:
        if within is not None:
            within.join(request)
        with _translated():
            for answer in call(request, timeout=timeout, metadata=metadata):
                if within is not None:
                    within.began(answer)
                yield answer

    def _path(self, name: str) -> str:
        return name.removeprefix(self._root)


def fields_of(found: Any) -> Fields | None:
    """Return the fields of a raw document; None for None."""
    return None if found is None else decode_fields(found.fields)


def _fill_filter(into: Any, name: str, value: Any) -> None:
    if value is None:
        into.unary_filter.op = types.StructuredQuery.UnaryFilter.Operator.IS_NULL
        into.unary_filter.field.field_path = name
        return
    encoded = messages.MapValue()
    encode_fields({"value": value}, encoded.fields)
    into.field_filter.op = types.StructuredQuery.FieldFilter.Operator.EQUAL
    into.field_filter.field.field_path = name
    into.field_filter.value.CopyFrom(encoded.fields["value"])


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise exceptions.from_grpc_error(error) from error  # type: ignore[no-untyped-call]
