"""Implements the methods of google.firestore.v1.Firestore on a store."""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from google.cloud.firestore_v1.types import firestore as firestore_types
from google.cloud.firestore_v1.types import query as query_types
from google.cloud.firestore_v1.types import write as write_types

from local.emulators.firestore import aggregations, commits, names, queries, wire, writes
from local.emulators.firestore.fields import KEY, Mask
from local.emulators.firestore.listening import Stream
from local.emulators.firestore.names import Collection, Document, Parent
from local.emulators.firestore.queries import Found, Order, Query
from local.emulators.firestore.refusals import invalid, not_found
from local.emulators.firestore.store import Reader, Store
from local.emulators.firestore.transactions import Recheck, Transaction, Transactions
from local.emulators.firestore.writes import Content, Write

_PAGE_SIZE = 300
_MIN_PARTITION = 128
"""The fewest documents that are worth a partition of their own."""

_AUTO_ID = string.ascii_letters + string.digits
_ROOT_ORDER = Order(KEY, False)

_Structured = query_types.StructuredQuery.pb()


class Service:
    """Answers request messages with response bytes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._transactions = Transactions(store)

    # -- documents --------------------------------------------------------------------------

    def get_document(self, request: Any) -> bytes:
        document = names.parse_document(request.name)
        mask = _mask(request)
        _reader, found = self._read(request, document.collection.database, [document])
        if document not in found:
            raise not_found(f'Document "{request.name}" not found.')
        return _document(Found(document, found[document]), mask)

    def batch_get_documents(self, request: Any) -> Iterator[bytes]:
        database = names.parse_database(request.database)
        documents = [names.parse_document(name) for name in dict.fromkeys(request.documents)]
        for document in documents:
            if document.collection.database != database:
                raise invalid(
                    f'Document name "{document.name}" is not in the database "{database}".'
                )
        mask = _mask(request)
        transaction = self._begun(request, database)
        if transaction is not None and request.HasField("new_transaction"):
            yield wire.began(transaction.id)
        if not documents:
            return
        reader, found = self._read(request, database, documents, transaction)
        for document in documents:
            content = found.get(document)
            if content is None:
                yield wire.missing(document.name, read_micros=reader.version)
            else:
                data = _document(Found(document, content), mask)
                yield wire.found(data, read_micros=reader.version)

    def list_documents(self, request: Any) -> bytes:
        parent = names.parse_parent(request.parent)
        if request.page_size < 0:
            raise invalid("Page size must be nonnegative.")
        if request.show_missing and request.order_by:
            raise invalid("cannot specify an order when show_missing is true")
        names.check_id(request.collection_id, "Collection id")
        mask = _mask(request)
        size = min(request.page_size or _PAGE_SIZE, _PAGE_SIZE)
        shape = f"{request.parent}\n{request.collection_id}\n{request.order_by}"
        # In name order, a page begins after the last id of the previous page; other orders count.
        by_name = bool(request.collection_id) and not request.order_by
        after = _token_position(request.page_token, shape)
        start = 0 if by_name else _number(after)
        message = _list_query(request, offset=start, limit=size + 1)
        if by_name and after:
            message.order_by.add().field.field_path = "__name__"
            message.start_at.values.add().reference_value = parent.collection(
                request.collection_id
            ).document(after)
        query = queries.parse(request.parent, message)

        def rows(reader: Reader) -> list[tuple[Document, Content | None]]:
            if request.show_missing and by_name:
                collection = parent.collection(request.collection_id)
                return list(islice(_with_missing(reader, collection, after), size + 1))
            return list(query.results(reader))

        def recheck(reader: Reader) -> object:
            return [(d, content.updated if content else 0) for d, content in rows(reader)]

        reader = self._results_reader(request, parent.database, query, recheck)
        found = rows(reader)
        token = ""
        if len(found) > size:
            token = _page_token(found[size - 1][0].id if by_name else str(start + size), shape)
        return wire.listed(
            [
                _document(Found(document, content), mask)
                if content is not None
                else wire.document(document.name, None)
                for document, content in found[:size]
            ],
            token,
        )

    def create_document(self, request: Any) -> bytes:
        parent = names.parse_parent(request.parent)
        if request.document.name:
            raise invalid("document.name must not be set")
        if not request.collection_id:
            raise invalid("collectionId is the empty string.")
        document_id = request.document_id or "".join(secrets.choice(_AUTO_ID) for _ in range(20))
        names.check_id(request.collection_id, "Collection id")
        names.check_id(document_id, "Resource id")
        document = Document(parent.collection(request.collection_id), document_id)
        write = write_types.Write.pb()(update=request.document)
        write.update.name = document.name
        write.current_document.exists = False
        return self._write_one(document, write, _mask(request))

    def update_document(self, request: Any) -> bytes:
        document = names.parse_document(request.document.name)
        write = write_types.Write.pb()(update=request.document)
        if request.HasField("update_mask"):
            write.update_mask.CopyFrom(request.update_mask)
        if request.HasField("current_document"):
            write.current_document.CopyFrom(request.current_document)
        return self._write_one(document, write, _mask(request))

    def delete_document(self, request: Any) -> bytes:
        document = names.parse_document(request.name)
        write = write_types.Write.pb()(delete=request.name)
        if request.HasField("current_document"):
            write.current_document.CopyFrom(request.current_document)
        database = document.collection.database
        commits.commit(self._store, [writes.parse(write, database=database)])
        return b""

    def _write_one(self, document: Document, message: Any, mask: Mask | None) -> bytes:
        write = writes.parse(message, database=document.collection.database)
        outcome = commits.commit(self._store, [write])
        content = self._store.reader(outcome.version).get(document)
        assert content is not None
        return _document(Found(document, content), mask)

    # -- writes and transactions ------------------------------------------------------------

    def commit(self, request: Any) -> bytes:
        database = names.parse_database(request.database)
        parsed = _writes(request, database)
        if request.transaction:
            outcome = self._transactions.commit(request.transaction, database, parsed)
        else:
            outcome = commits.commit(self._store, parsed)
        return wire.committed(outcome)

    def batch_write(self, request: Any) -> bytes:
        database = names.parse_database(request.database)
        return wire.batch_written(commits.batch(self._store, _writes(request, database)))

    def begin_transaction(self, request: Any) -> bytes:
        database = names.parse_database(request.database)
        transaction = self._transactions.begin(database, request.options)
        response = firestore_types.BeginTransactionResponse.pb()(transaction=transaction.id)
        return bytes(response.SerializeToString())

    def rollback(self, request: Any) -> bytes:
        names.parse_database(request.database)
        self._transactions.rollback(request.transaction)
        return b""

    # -- queries ----------------------------------------------------------------------------

    def run_query(self, request: Any) -> Iterator[bytes]:
        if not request.HasField("structured_query"):
            raise invalid("only structured queries are supported")
        query = queries.parse(request.parent, request.structured_query)
        database = query.scope.parent.database
        transaction = self._begun(request, database)
        if transaction is not None and request.HasField("new_transaction"):
            yield wire.no_row(read_micros=None, transaction=transaction.id)

        def recheck(reader: Reader) -> object:
            return _fingerprint(query.results(reader))

        reader = self._results_reader(request, database, query, recheck, transaction)
        any_row = False
        for row in query.results(reader):
            any_row = True
            yield wire.row(_document(row, query.mask), read_micros=reader.version)
        if not any_row:
            yield wire.no_row(read_micros=reader.version, done=True)

    def run_aggregation_query(self, request: Any) -> Iterator[bytes]:
        structured = request.structured_aggregation_query
        query, wanted = aggregations.parse(request.parent, structured)
        database = query.scope.parent.database
        transaction = self._begun(request, database)
        if transaction is not None and request.HasField("new_transaction"):
            yield wire.aggregated(None, read_micros=None, transaction=transaction.id)

        def recheck(reader: Reader) -> object:
            result = _aggregate(query, wanted, reader)
            return [(alias, value.SerializeToString()) for alias, value in result.items()]

        reader = self._results_reader(request, database, query, recheck, transaction)
        yield wire.aggregated(_aggregate(query, wanted, reader), read_micros=reader.version)

    def partition_query(self, request: Any) -> bytes:
        query = queries.parse(request.parent, request.structured_query)
        if request.partition_count <= 0:
            raise invalid("partition_count must be greater than zero.")
        if query.scope.collection is not None or query.scope.parent.path:
            raise invalid("A partition query must be a collection group query over a database.")
        if query.orders != (_ROOT_ORDER,) or not query.unfiltered or query.bounded:
            raise invalid(
                "A partition query must be ordered by __name__ and have no filter, offset or limit."
            )
        reader = self._results_reader(request, query.scope.parent.database, query, None)
        found = [document.name for document, _content in query.results(reader)]
        parts = max(1, min(request.partition_count + 1, len(found) // _MIN_PARTITION))
        response = firestore_types.PartitionQueryResponse.pb()()
        for part in range(1, parts):
            cursor = response.partitions.add()
            cursor.before = True
            cursor.values.add().reference_value = found[part * len(found) // parts]
        return bytes(response.SerializeToString())

    def list_collection_ids(self, request: Any) -> bytes:
        parent = names.parse_parent(request.parent)
        if request.page_size < 0:
            raise invalid("Page size must be nonnegative.")
        start = _number(_token_position(request.page_token, request.parent))
        ids = self._reader(request).children(parent)
        stop = start + (request.page_size or len(ids))
        response = firestore_types.ListCollectionIdsResponse.pb()(collection_ids=ids[start:stop])
        if stop < len(ids):
            response.next_page_token = _page_token(str(stop), request.parent)
        return bytes(response.SerializeToString())

    def listen(self) -> Stream:
        """Return a new stream for one `Listen` call."""
        return Stream(self._store)

    # -- consistency ------------------------------------------------------------------------

    def _begun(self, request: Any, database: str) -> Transaction | None:
        """Return the transaction of a read, if any, and begin it if the read asks for that."""
        match request.WhichOneof("consistency_selector"):
            case "new_transaction":
                return self._transactions.begin(database, request.new_transaction)
            case "transaction":
                return self._transactions.find(request.transaction, database)
            case _:
                return None

    def _reader(self, request: Any) -> Reader:
        """Return the state that a read outside of transactions sees."""
        if request.WhichOneof("consistency_selector") == "read_time":
            return self._store.reader(self._transactions.version_at(request.read_time))
        return self._store.reader()

    def _read(
        self,
        request: Any,
        database: str,
        documents: Sequence[Document],
        transaction: Transaction | None = None,
    ) -> tuple[Reader, dict[Document, Content]]:
        transaction = transaction or self._begun(request, database)
        if transaction is not None:
            return self._transactions.read_documents(transaction, documents)
        reader = self._reader(request)
        return reader, reader.get_all(documents)

    def _results_reader(
        self,
        request: Any,
        database: str,
        query: Query,
        recheck: Recheck | None,
        transaction: Transaction | None = None,
    ) -> Reader:
        """Return the state that a query sees. In a transaction, `recheck` repeats the query."""
        if transaction is None and recheck is not None:
            transaction = self._begun(request, database)
        if transaction is None or recheck is None:
            return self._reader(request)
        return self._transactions.read_results(transaction, query.scope, recheck)


def _mask(request: Any) -> Mask | None:
    return Mask(request.mask.field_paths) if request.HasField("mask") else None


def _document(found: Found, mask: Mask | None) -> bytes:
    fields = None if mask is None else mask.apply(found.content.fields)
    return wire.document(found.document.name, found.content, fields)


def _writes(request: Any, database: str) -> list[Write]:
    return [writes.parse(write, database=database) for write in request.writes]


def _fingerprint(found: Iterable[Found]) -> bytes:
    """Return a digest that differs whenever the results or their content differ."""
    digest = hashlib.blake2b(digest_size=16)
    for document, content in found:
        digest.update(f"{document.path}\0{content.updated}\0".encode())
    return digest.digest()


def _aggregate(
    query: Query, wanted: Sequence[aggregations.Aggregation], reader: Reader
) -> dict[str, Any]:
    collection = query.scope.collection
    if collection is not None and query.countable and all(each.path is None for each in wanted):
        count = max(0, reader.count(collection) - query.offset)
        if query.limit is not None:
            count = min(count, query.limit)
        return aggregations.report(wanted, count=count)
    rows = reader.values(query, aggregations.paths(wanted))
    if rows is not None:
        return aggregations.compute_keys(wanted, rows)
    return aggregations.compute(wanted, query.results(reader))


def _list_query(request: Any, *, offset: int, limit: int) -> Any:
    """Return the query that a `ListDocuments` request means."""
    query = _Structured(offset=offset)
    query.limit.value = limit
    if request.collection_id:
        query.from_.add().collection_id = request.collection_id
    for clause in request.order_by.split(",") if request.order_by.strip() else ():
        words = clause.split()
        directions = {"asc": "ASCENDING", "desc": "DESCENDING"}
        if not 1 <= len(words) <= 2 or (len(words) == 2 and words[1].lower() not in directions):
            raise invalid(f'Invalid order by clause "{clause.strip()}".')
        order = query.order_by.add()
        order.field.field_path = words[0]
        order.direction = _Structured.Direction.Value(
            directions[words[1].lower()] if len(words) == 2 else "ASCENDING"
        )
    return query


def _with_missing(
    reader: Reader, collection: Collection, after: str
) -> Iterator[tuple[Document, Content | None]]:
    """Yield the documents of a collection, and missing ones that have documents below them.

    Sorted by id; with `after`, only those after that id.
    """
    below = reader.children(Parent(collection.database, collection.path))
    missing = [document_id for document_id in below if document_id > after]
    position = 0
    bounds = queries.Bounds(after, low_included=False) if after else queries.Bounds()
    for document, content in reader.scan(collection, bounds, (), _PAGE_SIZE):
        while position < len(missing) and missing[position] <= document.id:
            if missing[position] != document.id:
                yield Document(collection, missing[position]), None
            position += 1
        yield document, content
    for document_id in missing[position:]:
        yield Document(collection, document_id), None


def _page_token(position: str, shape: str) -> str:
    """Return a token for the next page: its position, and a digest of the request."""
    digest = hashlib.blake2b(f"{shape}\n{position}".encode(), digest_size=6).hexdigest()
    return f"{digest}{position.encode().hex()}"


def _token_position(token: str, shape: str) -> str:
    """Return the position in a page token; refuse a token of another request."""
    if not token:
        return ""
    try:
        position = bytes.fromhex(token[12:]).decode()
    except ValueError:
        position = ""
    if not position or token != _page_token(position, shape):
        raise invalid("invalid page token")
    return position


def _number(position: str) -> int:
    return int(position or "0")
