"""One attempt at a transaction of Firestore, with as few calls as possible.

The first read begins the transaction. Documents that are known to be needed are read in one call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from google.api_core import exceptions

from shared.firestore.calls import LedgerCalls, Within, fields_of
from shared.firestore.query import Fields


class Transaction:
    """One attempt at a transaction."""

    def __init__(self, calls: LedgerCalls) -> None:
        self._calls = calls
        self._within = Within()
        self._found: dict[str, Any] = {}
        """Path -> raw document; None where there is none."""

    def fetch(self, paths: Iterable[str]) -> None:
        """Read documents in one call; later reads of these documents need no call."""
        wanted = [path for path in dict.fromkeys(paths) if path not in self._found]
        if wanted:
            self._found |= self._calls.get(wanted, self._within)

    def document(self, path: str) -> Fields | None:
        """Return a document's fields; None where there is no such document."""
        self.fetch([path])
        return fields_of(self._found[path])

    def documents_between(self, collection: str, first: str, last: str) -> dict[str, Fields]:
        """Return id -> fields of documents with ids from `first` to `last` inclusive, sorted."""
        found = self._calls.between(collection, first, last, self._within)
        self._found |= found
        return {path.rpartition("/")[2]: fields_of(one) or {} for path, one in found.items()}

    def commit(self, writes: Mapping[str, Fields]) -> None:
        """Write documents whole, if nothing that was read has changed; path -> fields."""
        if self._within.id or writes:
            self._calls.commit(writes, self._within.id)

    def abandon(self) -> None:
        """End the transaction without writes, so that others need not wait for it."""
        if self._within.id:
            with suppress(exceptions.GoogleAPICallError):
                self._calls.rollback(self._within.id)
