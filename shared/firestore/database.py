"""The ledger's port to Firestore: reads, queries and transactions."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, Self, TypeVar

from google.api_core import exceptions, retry
from google.cloud import firestore

from shared.core import TryAgain
from shared.firestore.calls import TIMEOUT, LedgerCalls, fields_of
from shared.firestore.query import Fields, Slice
from shared.firestore.transaction import Transaction

_T = TypeVar("_T")

TRANSACTION_TRIES = 12
"""Attempts at one transaction while other transactions change the documents it reads."""

UNREACHABLE_TRIES = 40
"""Attempts at one transaction while Firestore does not answer, at most about a minute."""

READ_SECONDS = 300.0
"""Time for a read outside a transaction, unless `patience` is shorter."""

_PASSING = (
    exceptions.Aborted,
    exceptions.InternalServerError,
    exceptions.ResourceExhausted,
    exceptions.ServiceUnavailable,
)
"""Errors after which a transaction is attempted again."""


class Reads(Protocol):
    """The reads of a transaction."""

    def fetch(self, paths: Iterable[str]) -> None:
        """Read documents in one call; later reads of these documents need no call."""

    def document(self, path: str) -> Fields | None:
        """Return a document's fields; None where there is no such document."""

    def documents_between(self, collection: str, first: str, last: str) -> dict[str, Fields]:
        """Return id -> fields of documents with ids from `first` to `last` inclusive, sorted."""


SCANNED_AT_ONCE = 1_000
"""Documents that `scan` fetches per request."""

Change = Callable[[Reads], tuple[_T, Mapping[str, Fields]]]
"""Reads documents; returns a result, and the writes: path -> all fields of the document."""


class Database(Protocol):
    """The operations of Firestore that the ledger uses.

    Every method raises TryAgain if Firestore cannot be reached.
    """

    def transact(self, change: Change[_T]) -> _T:
        """Run `change` in a transaction, and return its result; see `LedgerStore.transact`."""

    def documents(self, paths: Iterable[str]) -> dict[str, Fields]:
        """Return path -> fields of the documents that exist."""

    def find(self, collection: str, equals: Mapping[str, Any]) -> dict[str, Fields]:
        """Return id -> fields of a collection's documents with these field values."""

    def find_any(
        self, collection: str, alternatives: Sequence[tuple[str, str]]
    ) -> dict[str, Fields]:
        """Return id -> fields of a collection's documents with any of these fields and values."""

    def find_in_group(
        self, group: str, name: str, values: Iterable[str]
    ) -> Iterator[tuple[str, Fields]]:
        """Yield path and fields of a group's documents whose field `name` has one of the values."""

    def newest(self, which: Slice, *, limit: int) -> Iterator[tuple[str, Fields]]:
        """Yield path and fields of at most `limit` documents of a slice, the latest first."""

    def totals(self, which: Slice, sums: Iterable[str]) -> dict[str, int]:
        """Return `count` -> number of a slice's documents, and field -> sum of its values.

        The fields must be in every document. The database counts; no document is fetched.
        """

    def list(self, collection: str) -> Iterator[tuple[str, Fields | None, datetime | None]]:
        """Yield id, fields and creation time of each document of a collection.

        A document that exists only as part of other documents' paths has None for both.
        """

    def created_at(self, path: str) -> datetime | None:
        """Return a document's creation time; None if there is no document."""

    def scan(
        self, collection: str, fields: Sequence[str]
    ) -> Iterator[tuple[str, Fields, datetime]]:
        """Yield id, the named fields and creation time of each document of a collection.

        The documents are read page by page, so that memory does not grow with the collection.
        """

    def delete(self, path: str) -> None:
        """Delete a document, if it exists."""

    def within(self, seconds: float) -> Self:
        """Return this database with `seconds` as the longest wait for a read."""


@dataclass(frozen=True, slots=True)
class FirestoreDatabase:
    """The database over the real client."""

    client: firestore.Client
    sleep: Callable[[float], None] = time.sleep
    patience: float | None = None
    """Seconds that a read outside a transaction may take; None: as long as the client retries,
    which is minutes."""
    _calls: LedgerCalls = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the calls of transactions."""
        object.__setattr__(self, "_calls", LedgerCalls(self.client))

    def within(self, seconds: float) -> Self:
        """Return this database with `seconds` as the longest wait for a read."""
        return replace(self, patience=seconds)

    def _patiently(self) -> dict[str, Any]:
        if self.patience is None:
            return {}
        again = retry.Retry(
            predicate=retry.if_exception_type(
                exceptions.ResourceExhausted, exceptions.ServiceUnavailable
            ),
            initial=0.1,
            maximum=1.0,
            timeout=self.patience,
        )
        return {"retry": again, "timeout": self.patience}

    def transact(self, change: Change[_T]) -> _T:
        """Run `change` in a transaction, and return its result.

        A transaction that others interfered with is retried, with backoff and jitter. So is one
        that had no answer.

        Raises:
            TryAgain: Firestore could not be reached, or `TRANSACTION_TRIES` attempts failed.
        """
        failures: list[exceptions.GoogleAPICallError] = []
        while True:
            transaction = Transaction(self._calls)
            try:
                result, writes = change(transaction)
                transaction.commit(writes)
            except exceptions.GoogleAPICallError as error:
                transaction.abandon()
                failures.append(error)
            except BaseException:
                transaction.abandon()
                raise
            else:
                return result
            self._wait_after(failures)

    def _wait_after(self, failures: Sequence[exceptions.GoogleAPICallError]) -> None:
        """Wait before the next attempt at a transaction, or raise TryAgain."""
        last, number = failures[-1], len(failures)
        aborted = sum(isinstance(failure, exceptions.Aborted) for failure in failures)
        if aborted >= TRANSACTION_TRIES:
            raise TryAgain("The ledger is too busy.") from last
        if number >= UNREACHABLE_TRIES or not isinstance(last, _PASSING):
            raise _out_of_reach(last) from last
        self.sleep(random.uniform(0, min(2.0, 0.02 * 2 ** min(number, 10))))

    def documents(self, paths: Iterable[str]) -> dict[str, Fields]:
        """Return path -> fields of the documents that exist."""
        wanted = [*dict.fromkeys(paths)]
        if not wanted:
            return {}
        found = self._read(lambda timeout: self._calls.get(wanted, timeout=timeout))
        return {
            path: fields for path, one in found.items() if (fields := fields_of(one)) is not None
        }

    def find(self, collection: str, equals: Mapping[str, Any]) -> dict[str, Fields]:
        """Return id -> fields of a collection's documents with these field values."""
        return self._find(collection, [*equals.items()])

    def find_any(
        self, collection: str, alternatives: Sequence[tuple[str, str]]
    ) -> dict[str, Fields]:
        """Return id -> fields of a collection's documents with any of these fields and values."""
        return self._find(collection, alternatives, either=True)

    def _find(
        self, collection: str, values: Sequence[tuple[str, Any]], *, either: bool = False
    ) -> dict[str, Fields]:
        found = self._read(
            lambda timeout: self._calls.find(collection, values, either=either, timeout=timeout)
        )
        return {path.rpartition("/")[2]: fields_of(one) or {} for path, one in found.items()}

    def _read(self, call: Callable[[float], dict[str, Any]]) -> dict[str, Any]:
        """Make a call that reads, given its longest time, and again while it is not answered."""
        again = retry.Retry(
            predicate=retry.if_exception_type(exceptions.DeadlineExceeded, *_PASSING),
            initial=0.1,
            maximum=1.0 if self.patience else 10.0,
            timeout=self.patience or READ_SECONDS,
        )
        with _reachable():
            found: dict[str, Any] = again(call)(self.patience or TIMEOUT)
        return found

    def find_in_group(
        self, group: str, name: str, values: Iterable[str]
    ) -> Iterator[tuple[str, Fields]]:
        """Yield path and fields of a group's documents whose field `name` has one of the values."""
        query = self.client.collection_group(group).where(
            filter=firestore.FieldFilter(name, "in", list(values))
        )
        with _reachable():
            for snapshot in query.stream(**self._patiently()):
                yield _path(snapshot), snapshot.to_dict() or {}

    def newest(self, which: Slice, *, limit: int) -> Iterator[tuple[str, Fields]]:
        """Yield path and fields of at most `limit` documents of a slice, the latest first."""
        query = self._slice(which)
        query = query.order_by(which.by, direction=firestore.Query.DESCENDING)
        query = query.order_by("__name__", direction=firestore.Query.DESCENDING)
        if which.after is not None:
            time_before, path = which.after
            position = {which.by: time_before, "__name__": self.client.document(path)}
            query = query.start_after(position)
        with _reachable():
            for snapshot in query.limit(limit).stream(**self._patiently()):
                yield _path(snapshot), snapshot.to_dict() or {}

    def totals(self, which: Slice, sums: Iterable[str]) -> dict[str, int]:
        """Return `count` -> number of a slice's documents, and field -> sum of its values."""
        fields = list(sums)
        # A field's path, such as `rows.loaded`, is not a valid alias.
        aggregation = self._slice(which).count(alias="count")
        for place, name in enumerate(fields):
            aggregation = aggregation.sum(name, alias=f"sum{place}")
        with _reachable():
            found = {one.alias: one.value for one in aggregation.get(**self._patiently())[0]}
        named = {name: round(found[f"sum{place}"]) for place, name in enumerate(fields)}
        return {"count": round(found["count"]), **named}

    def _slice(self, which: Slice) -> Any:
        query: Any = (
            self.client.collection(which.collection)
            if which.collection is not None
            else self.client.collection_group(which.group)
        )
        for name, value in which.equals.items():
            one_of = isinstance(value, tuple)
            operator, wanted = ("in", list(value)) if one_of else ("==", value)
            query = query.where(filter=firestore.FieldFilter(name, operator, wanted))
        if which.since is not None:
            query = query.where(filter=firestore.FieldFilter(which.by, ">=", which.since))
        if which.before is not None:
            query = query.where(filter=firestore.FieldFilter(which.by, "<", which.before))
        return query

    def list(self, collection: str) -> Iterator[tuple[str, Fields | None, datetime | None]]:
        """Yield id, fields and creation time of each document of a collection."""
        with _reachable():
            documents = self.client.collection(collection)
            references = list(documents.list_documents(**self._patiently()))
            answers = self.client.get_all(references, **self._patiently())
            found = {snapshot.id: snapshot for snapshot in answers}
            for reference in references:
                snapshot = found[reference.id]
                yield snapshot.id, snapshot.to_dict(), snapshot.create_time

    def created_at(self, path: str) -> datetime | None:
        """Return a document's creation time; None if there is no document."""
        with _reachable():
            created: datetime | None = self.client.document(path).get().create_time
            return created

    def scan(
        self, collection: str, fields: Sequence[str]
    ) -> Iterator[tuple[str, Fields, datetime]]:
        """Yield id, the named fields and creation time of each document of a collection."""
        query = self.client.collection(collection).select(fields).order_by("__name__")
        last = None
        while True:
            with _reachable():
                page = query if last is None else query.start_after(last)
                found = list(page.limit(SCANNED_AT_ONCE).stream(**self._patiently()))
            for snapshot in found:
                yield snapshot.id, snapshot.to_dict() or {}, snapshot.create_time
            if len(found) < SCANNED_AT_ONCE:
                return
            last = found[-1]

    def delete(self, path: str) -> None:
        """Delete a document, if it exists."""
        with _reachable():
            self.client.document(path).delete()


def _path(snapshot: Any) -> str:
    path: str = snapshot.reference.path
    return path


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
        raise _out_of_reach(error) from error


def _out_of_reach(error: BaseException) -> TryAgain:
    if isinstance(error, exceptions.FailedPrecondition) and "index" in str(error):
        return TryAgain(
            "The ledger cannot answer: an index is missing or still being built. Deploy "
            "firestore.indexes.json, or wait until it is done."
        )
    return TryAgain(f"The ledger cannot be reached: {type(error).__name__}")
