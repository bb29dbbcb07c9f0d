"""Delivery of documents to Firestore: writes them in lots, until the task's time is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import chain

from shared.core import Problem
from shared.files.types import file_type
from shared.firestore.bulk import (
    KnownDocuments,
    Left,
    Outcome,
    Ramp,
    Refused,
    Writer,
    Written,
    first_rate,
)
from shared.index import COMPLETE, NEWER, OWN, Indexing, SeenDocument, Successor
from shared.ledger import Claimed, Paced
from shared.loading.orphans import Orphans, Referring
from shared.parsing import Block
from shared.services import Services

LOT = 1_000
"""Documents that are decided on together. Before each lot, the remaining time is checked."""


@dataclass(slots=True)
class Account:
    """Counts of the rows that count, by result; `written` and `orphaned` count documents."""

    loaded: int = 0
    unchanged: int = 0
    outdated: int = 0
    refused: int = 0
    orphaned: int = 0
    """Documents that refer to one that is not in Firestore, such as an order without its
    customer."""
    written: int = 0


class Delivery:
    """Writes documents to Firestore, once, until the task's time is over.

    Attributes: refused: line -> problem of the rows that Firestore has refused.
    """

    def __init__(
        self,
        services: Services,
        claimed: Claimed,
        index: Indexing,
        *,
        account: Account,
        collection: str,
        guard: Callable[[], None],
        note: Callable[[Problem], None],
    ) -> None:
        """Prepare the delivery.

        Args:
            services: everything outside.
            claimed: the import or the shard, as it has begun.
            index: the stored facts about the documents.
            account: the counts of rows, which are updated.
            collection: the name of the documents' collection.
            guard: makes sure that the lease is still this worker's.
            note: adds a warning.
        """
        import_ = claimed.import_
        self._services = services
        self._create_only = import_.mode == "bulk"
        self._started_at = claimed.started_at
        self._index = index
        self._account = account
        self._collection = f"connections/{import_.connection}/{collection}"
        self._guard = guard
        self._note = note
        self._share = 1
        """Workers that write to the collection at once."""
        if claimed.shard is not None:
            self._share = min(claimed.split.shards, claimed.split.at_once)
        self._ramp = self._first_ramp(index.pace)
        self._orphans: Orphans | None = None
        refers_to = file_type(str(import_.type)).refers_to
        if refers_to is not None:
            others = file_type(refers_to.type).collection
            known = KnownDocuments(services.documents, f"connections/{import_.connection}/{others}")
            self._orphans = Orphans(known, partial(_count_orphans, account, index))
        self.refused: dict[int, Problem] = {}

    def deliver(self, layers: Iterable[Iterator[Block]]) -> bool:
        """Deliver documents, layer by layer. Return False if the time was over before the last.

        Raises what `Writer` raises.
        """
        stop_at = self._stop_at()
        for number, blocks in enumerate(layers):
            self._index.begin_layer(number)
            if not self._deliver(blocks, stop_at):
                return False
        return True

    def _deliver(self, blocks: Iterator[Block], stop_at: datetime) -> bool:
        index, account, orphans = self._index, self._account, self._orphans
        in_time = True
        with Writer[SeenDocument](
            self._services.documents,
            self._collection,
            decide=index.decide,
            mask=("source",),
            needs=index.needs,
            on_result=self._settled,
            guard=self._guard,
            create_only=self._create_only,
            ramp=self._ramp,
        ) as writer:
            for lot in chain.from_iterable(block.lots(LOT) for block in blocks):
                sighting = index.look(lot, self._written)
                due = sighting.expected.keys or sighting.others
                if due and self._services.now() >= stop_at:
                    in_time = False
                    break
                account.unchanged += sighting.unchanged.rows
                account.loaded += sighting.written.rows
                writer.add_all(sighting.expected)
                for seen in sighting.others:
                    writer.add(seen.incoming.key, seen)
                if orphans is not None:
                    orphans.see(sighting.referring)
            if orphans is not None:
                orphans.settle()
        return in_time

    @property
    def orphans(self) -> list[tuple[int, str]]:
        """Line and key of the first few documents that refer to one that is not in Firestore."""
        return self._orphans.sample if self._orphans is not None else []

    def leave(self, *, ended: bool) -> Successor:
        """Write the index as it is now: at the end of the import, or for its next task.

        Raises:
            TryAgain: Cloud Storage could not be reached.
            LeaseLost: the lease is no longer this worker's.
        """
        left = self._index.successor() if ended else self._index.checkpoint()
        return replace(left, pace=self._pace())

    def _pace(self) -> Paced | None:
        if self._ramp is None:
            return None
        ceiling = self._ramp.ceiling * self._share
        return Paced(writes_per_second=ceiling, at=self._services.now())

    def _written(self, documents: int, rows: int) -> None:
        self._account.written += documents
        self._account.loaded += rows

    def _settled(self, seen: SeenDocument, outcome: Outcome) -> None:
        account = self._account
        self._index.settled(seen, outcome)
        lines = seen.incoming.lines
        match outcome:
            case Written():
                account.written += 1
                account.loaded += len(lines)
            case Left(reason) if reason == OWN:
                account.loaded += len(lines)
            case Left(reason) if reason == NEWER:
                account.outdated += len(lines)
            case Left(reason) if reason == COMPLETE:
                account.refused += len(lines)
                self._note(
                    Problem(
                        code="order.kept_complete",
                        message="A line of this order was rejected. A complete order is stored, "
                        "so none of its lines was loaded.",
                        line=lines[-1],
                    )
                )
            case Left():
                account.unchanged += len(lines)
            case Refused(problem):
                account.refused += len(lines)
                for line in lines:
                    self.refused[line] = replace(problem, line=line)

    def _stop_at(self) -> datetime:
        """Return the time at which this task stops.

        Each task has time for some writing. So a file that takes nearly all the time to read is
        still loaded in the end.
        """
        now = self._services.now()
        deadline = self._services.deployment.task_deadline
        return max((self._started_at or now) + deadline, now + deadline / 5)

    def _first_ramp(self, before: Paced | None) -> Ramp | None:
        """Return the first limit of writes per second; None for no limit of our own."""
        if not self._services.paced:
            return None
        rate: float = self._services.deployment.writes_per_second
        if before is not None:
            idle = (self._services.now() - before.at).total_seconds()
            rate = first_rate(rate, before=before.writes_per_second, idle=idle)
        return Ramp(rate / self._share, now=time.monotonic())


def _count_orphans(account: Account, index: Indexing, orphans: Sequence[Referring]) -> None:
    account.orphaned += len(orphans)
    # Every file that holds them writes and counts them again, until the documents they refer to
    # exist.
    index.doubt([one.place for one in orphans])
