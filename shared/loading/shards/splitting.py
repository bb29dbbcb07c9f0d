"""How a large file is split: read and judged whole once, spread over shards, handed to them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

from shared.core import LeaseLost, Problem
from shared.files import Header
from shared.index import fingerprint, look_at, marked
from shared.index import objects as index_objects
from shared.ledger import (
    Import,
    LedgerTransaction,
    Progress,
    RowCounts,
    Shard,
    Split,
    StateObject,
    shards_of,
)
from shared.ledger.uploads import Source
from shared.loading.attempt import Run
from shared.loading.shards.hold import hold_on
from shared.loading.shards.spool import Spread
from shared.reporting import sentences


def is_split(import_: Import, *, shard_bytes: int) -> bool:
    """Whether a file is loaded in shards: a check loads nothing."""
    return import_.mode != "test" and shards_of(import_.size, shard_bytes=shard_bytes) > 1


class Splitting(Run):
    """One attempt at splitting the file of an import."""

    _spread: Spread

    def carry_out(self) -> Import:
        """Split the file; return the import, held on behalf of its shards.

        Raises:
            FileRejected: see `Run.refuse`.
            TryAgain: a later attempt may succeed.
            LeaseLost: the import is no longer this worker's.
        """
        import_, services = self.import_, self.services
        shards = shards_of(import_.size, shard_bytes=services.deployment.shard_bytes)
        folder = index_objects.folder(import_.connection, str(import_.type))
        id = f"{import_.import_id}-{uuid.uuid4().hex}"
        self.source = Source(services.bucket, import_)
        self.look_for_same_content()
        self._spread = Spread(services.bucket, f"{folder}{id}", shards)
        try:
            self.found.spread(self._spread)
            verdict, objects = self._spread.close(
                broken=self.found.broken,
                too_large=self.found.too_large,
                findings={"tally": self.found.tally.dump(), "leftOut": self.found.left_out},
            )
        finally:
            self._spread.abandon()
        try:
            return self._open(id, verdict, objects)
        except LeaseLost:
            # It may have been given away by this very worker, and the answer was lost.
            where = import_.connection, import_.import_id
            current = services.ledger.get_many([where]).get(where)
            if current is None or current.split is None or current.split.id != id:
                raise
            return current

    def prepare_rejected_file(self, header: Header, delimiter: str) -> None:
        """Make none: whoever closes the import does."""

    def reject(
        self, cells: Sequence[str], problems: Sequence[Problem], export: str | None = None
    ) -> None:
        """Put a row into the verdict."""
        self._spread.reject(cells, problems, export)

    def _open(self, id: str, verdict: StateObject, objects: Sequence[StateObject]) -> Import:
        """Mark the index, write the shards into the ledger, and leave the import to them."""
        services, hold, found = self.services, self.hold, self.found
        import_ = self.import_
        deployment = services.deployment
        before = services.ledger.feed(import_.connection, str(import_.type))
        index, until = look_at(before, services, tick=hold.check)
        rows = RowCounts(read=found.read, rejected=found.rejected)

        def change(ledger: LedgerTransaction, current: Import) -> Import:
            now = services.now()
            feed = ledger.feed(current.connection, str(current.type))
            feed, _ = marked(
                feed,
                current,
                read=before.index,
                index=index,
                until=until,
                under=fingerprint(found.rules),
            )
            split = Split(
                id=id,
                shards=len(objects),
                at_once=deployment.shards_at_once,
                read=found.read,
                rejected=found.rejected,
                base=feed.base(),
                verdict=verdict,
            )
            for number, object in enumerate(objects):
                ledger.put_shard(
                    Shard(
                        connection=current.connection,
                        import_id=current.import_id,
                        number=number,
                        split=id,
                        rows_object=object,
                        scheduled_for=now if number < split.at_once else None,
                        expire_at=now + deployment.ledger_retention,
                    )
                )
            current = hold_on(ledger, replace(current, split=split), feed, now=now)
            return current.to(
                "loading",
                now=now,
                text=sentences.in_shards(0, split.shards),
                rows=rows,
                progress=Progress(bytes_read=current.size, percent=50),
            )

        return hold.change(change)
