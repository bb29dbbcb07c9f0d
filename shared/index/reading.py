"""Records of an index, read for one attempt at an import: at its begin, and again for the merge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import google.cloud.storage as storage

from shared.core import TryAgain
from shared.gcp.storage import Unusable
from shared.index import objects
from shared.index.choice import first_read
from shared.index.feed import say_lost
from shared.index.records import IndexRecords, Table
from shared.ledger import Span, StateObject
from shared.parsing import Keys

KEPT_BYTES = 1024 * 1024
"""Size of an object whose records are kept in memory from the reading to the merge."""


class IndexReader:
    """Reads the objects of an index, each small object only once."""

    def __init__(
        self, bucket: storage.Bucket, *, span: Span | None, tick: Callable[[], None]
    ) -> None:
        """Take the bucket, and the keys to read; `tick` is called before each block.

        A `span` of None reads all keys.
        """
        self._bucket = bucket
        self._span = span
        self._tick = tick
        self._kept: dict[str, list[IndexRecords]] = {}
        self.unread = False
        """True if an unread object may have a record of a document without a record."""

    def learn(
        self, keys: Keys, parts: Sequence[StateObject], *, merged: int, all_: bool
    ) -> Table | None:
        """Return the records of these keys; None if the index is lost.

        Args:
            keys: the keys.
            parts: the objects of the index.
            merged: the place of the first object that the import merges with its own records.
            all_: False to leave old objects unread if it costs less to ask for the documents.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        table = Table(keys)
        try:
            self._learn_from(parts[merged:], table)
            first = 0 if all_ else first_read(parts[:merged], int((~table.known).sum()))
            self._learn_from(parts[first:merged], table)
        except Unusable as error:
            say_lost(str(error))
            return None
        self.unread = first > 0
        return table

    def blocks(self, parts: Sequence[StateObject]) -> Iterator[IndexRecords]:
        """Yield the records of some objects, sorted by key, to merge them.

        Raises:
            TryAgain: an object was lost, or Cloud Storage could not be reached.
        """
        try:
            yield from objects.layered(parts, self._read)
        except Unusable as error:
            raise TryAgain("The index was lost in the meantime.") from error

    def _learn_from(self, parts: Sequence[StateObject], table: Table) -> None:
        """Store the records of some objects, the newest object first."""
        for part in reversed(parts):
            for block in self._read(part):
                table.learn(block)

    def _read(self, part: StateObject) -> Iterator[IndexRecords]:
        """Yield the records of an object; read a small one only once."""
        kept = self._kept.get(part.object)
        if kept is None:
            records = objects.read(self._bucket, part, span=self._span, tick=self._tick)
            if part.size > KEPT_BYTES:
                return records
            kept = self._kept[part.object] = [*records]
        return iter(kept)
