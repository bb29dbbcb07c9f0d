"""Runs transactions: records their reads, makes them wait for each other, and commits them.

Two mechanisms work together. Every read of a read-write transaction is recorded and checked again
at its commit, including the results of queries. If a read would now differ, the commit is ABORTED.
That alone makes transactions serializable. To make retries rare, a transaction also waits, for a
limited time, before it reads what another unfinished one has read.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import grpc

from local.emulators.firestore import writes
from local.emulators.firestore.commits import Outcome, commit
from local.emulators.firestore.names import Document
from local.emulators.firestore.queries import Scope
from local.emulators.firestore.refusals import Refused, contention, failed_precondition, invalid
from local.emulators.firestore.store import Reader, Store
from local.emulators.firestore.writes import Content, Write

Recheck = Callable[[Reader], object]
"""Function that repeats a read. Its results are equal if nothing has changed."""

WAIT_SECONDS = 5.0
"""Seconds that one transaction waits for another before it continues anyway."""
STALE_SECONDS = 2.0
"""Seconds that others wait for a transaction that sends no requests."""
FORGET_SECONDS = 270.0
"""Seconds after which a transaction expires."""
MAX_WAITING = 160
"""Waiting transactions above which no more wait, so that threads are left for the others."""

_ID_BYTES = 16


class Transaction:
    """A transaction. Only `Transactions` changes its fields."""

    def __init__(self, database: str, *, read_only: bool, version: int | None, now: float) -> None:
        self.id = b"\x11" + os.urandom(_ID_BYTES - 1)
        self.database = database
        self.read_only = read_only
        self.version = version
        """State that the transaction reads; None before its first read."""
        self.active = True
        self.documents: dict[Document, int] = {}
        """Update times as read; 0 for a document that did not exist."""
        self.results: list[tuple[Scope, Recheck, object]] = []
        self.held: set[Hashable] = set()
        self.waits_for: Hashable | None = None
        self.born = now
        self.seen = now


class Transactions:
    """The transactions of a server."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._changed = threading.Condition()
        self._all: dict[bytes, Transaction] = {}
        self._holders: dict[Hashable, Transaction] = {}
        self._queues: dict[Hashable, deque[Transaction]] = {}
        self._waiting = 0

    def begin(self, database: str, options: Any) -> Transaction:
        """Start a transaction by a `google.firestore.v1.TransactionOptions`."""
        read_only = options.WhichOneof("mode") == "read_only"
        version: int | None = None
        if read_only:
            version = self._store.now()
            if options.read_only.HasField("read_time"):
                version = self.version_at(options.read_only.read_time)
        failed = None if read_only else options.read_write.retry_transaction
        transaction = Transaction(database, read_only=read_only, version=version, now=self._clock())
        with self._changed:
            self._forget()
            previous = self._all.get(failed) if failed else None
            if failed and previous is None and len(failed) != _ID_BYTES:
                raise invalid("Invalid transaction.")
            self._all[transaction.id] = transaction
        if previous is not None:
            # The retry keeps its place: it first waits for everything that the failed attempt has
            # read.
            wanted: list[Hashable] = [*previous.documents]
            wanted += [scope for scope, _recheck, _result in previous.results]
            self._hold(transaction, wanted)
        return transaction

    def find(self, transaction_id: bytes, database: str) -> Transaction:
        """Return the unfinished transaction with an id."""
        with self._changed:
            transaction = self._all.get(transaction_id)
            if transaction is None and len(transaction_id) != _ID_BYTES:
                raise invalid("Invalid transaction.")
            if transaction is None or not transaction.active or transaction.database != database:
                raise _expired()
            transaction.seen = self._clock()
            return transaction

    def version_at(self, stamp: Any) -> int:
        """Return the version that a `read_time` requests."""
        version = writes.micros(stamp)
        if version > self._store.now():
            raise invalid("The requested 'read_time' cannot be in the future.")
        if version < self._store.oldest():
            raise failed_precondition("The requested 'read_time' is too old.")
        return version

    def read_documents(
        self, transaction: Transaction, documents: Sequence[Document]
    ) -> tuple[Reader, dict[Document, Content]]:
        """Return the documents that exist, as the transaction sees them."""
        reader = self._reader(transaction, documents)
        found = reader.get_all(documents)
        if not transaction.read_only:
            with self._changed:
                for document in documents:
                    content = found.get(document)
                    transaction.documents[document] = content.updated if content else 0
        return reader, found

    def read_results(self, transaction: Transaction, scope: Scope, recheck: Recheck) -> Reader:
        """Return the state that a query sees, and record the query's results for the commit."""
        reader = self._reader(transaction, [scope])
        if not transaction.read_only:
            result = recheck(reader)
            with self._changed:
                transaction.results.append((scope, recheck, result))
        return reader

    def _reader(self, transaction: Transaction, wanted: Iterable[Hashable]) -> Reader:
        if not transaction.read_only:
            self._hold(transaction, wanted)
        with self._changed:
            transaction.seen = self._clock()
            if transaction.version is None:
                transaction.version = self._store.now()
            return self._store.reader(transaction.version)

    def commit(self, transaction_id: bytes, database: str, changes: Sequence[Write]) -> Outcome:
        """Commit a transaction: ABORTED if what it has read has changed since."""
        transaction = self.find(transaction_id, database)
        if transaction.read_only and changes:
            raise invalid("Cannot modify entities in a read-only transaction.")

        def check(latest: Reader) -> None:
            if not self._still_true(transaction, latest):
                raise contention()

        with self._changed:
            if not transaction.active:
                raise _expired()
            # From here on nobody else can commit or end it.
            transaction.active = False
        contended = False
        try:
            return commit(self._store, changes, check=check if changes else None)
        except Refused as refusal:
            contended = refusal.code is grpc.StatusCode.ABORTED
            raise
        finally:
            # A contended transaction is kept: its retry names it to keep its place.
            self._end(transaction, forget=not contended)

    def rollback(self, transaction_id: bytes) -> None:
        """End a transaction without writing anything. An ended transaction is unchanged."""
        with self._changed:
            transaction = self._all.get(transaction_id)
            if transaction is None and len(transaction_id) != _ID_BYTES:
                raise invalid("Invalid transaction.")
            if transaction is not None and transaction.active:
                transaction.active = False
                self._end(transaction, forget=True)

    def _still_true(self, transaction: Transaction, latest: Reader) -> bool:
        read = transaction.documents
        stored = latest.get_all(list(read))
        for document, updated in read.items():
            content = stored.get(document)
            if (content.updated if content else 0) != updated:
                return False
        version = transaction.version or 0
        return all(
            not latest.changed_since(scope, version) or recheck(latest) == result
            for scope, recheck, result in transaction.results
        )

    def _hold(self, transaction: Transaction, wanted: Iterable[Hashable]) -> None:
        """Wait for a limited time until the wanted resources are free, then hold them."""
        with self._changed:
            for resource in wanted:
                if resource not in transaction.held:
                    self._hold_one(transaction, resource)

    def _hold_one(self, transaction: Transaction, resource: Hashable) -> None:
        queue = self._queues.setdefault(resource, deque())
        queue.append(transaction)
        transaction.waits_for = resource
        deadline = self._clock() + WAIT_SECONDS
        self._waiting += 1
        try:
            while transaction.active:
                holder = self._holders.get(resource)
                now = self._clock()
                if queue[0] is transaction and self._is_free(holder, now):
                    self._holders[resource] = transaction
                    transaction.held.add(resource)
                    return
                if now >= deadline or self._waiting > MAX_WAITING or self._deadlocked(transaction):
                    return
                stale = holder.seen + STALE_SECONDS if holder is not None else deadline
                self._changed.wait(max(0.001, min(deadline, stale) - now))
        finally:
            self._waiting -= 1
            transaction.waits_for = None
            transaction.seen = self._clock()
            queue.remove(transaction)
            if not queue:
                del self._queues[resource]
            self._changed.notify_all()

    def _is_free(self, holder: Transaction | None, now: float) -> bool:
        # A committing transaction is inactive, but holds its resources until its writes can be
        # read.
        if holder is None:
            return True
        return holder.waits_for is None and now - holder.seen >= STALE_SECONDS

    def _deadlocked(self, transaction: Transaction) -> bool:
        """Return True if the transactions it waits for wait, in the end, for it."""
        resource = transaction.waits_for
        visited: set[int] = set()
        while resource is not None:
            holder = self._holders.get(resource)
            if holder is transaction:
                return True
            if holder is None or id(holder) in visited:
                return False
            visited.add(id(holder))
            resource = holder.waits_for
        return False

    def _end(self, transaction: Transaction, *, forget: bool) -> None:
        with self._changed:
            if forget:
                self._all.pop(transaction.id, None)
            for resource in transaction.held:
                if self._holders.get(resource) is transaction:
                    del self._holders[resource]
            transaction.held.clear()
            self._changed.notify_all()

    def _forget(self) -> None:
        now = self._clock()
        for transaction in [t for t in self._all.values() if now - t.born > FORGET_SECONDS]:
            transaction.active = False
            self._end(transaction, forget=True)


def _expired() -> Refused:
    return invalid("The referenced transaction has expired or is no longer valid.")
