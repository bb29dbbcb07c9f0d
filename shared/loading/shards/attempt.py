"""One attempt at one shard: its rows are read, written as documents, and accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.core import ConnectionSettings, Problem, SplitLost
from shared.files import ExportFile, Exports, Header
from shared.files.types import file_type
from shared.gcp.storage import Unusable
from shared.index import Indexing, Successor, Table, fingerprint, objects, origin_of
from shared.ledger import (
    Feed,
    Holder,
    Import,
    Index,
    LedgerTransaction,
    Paced,
    RowCounts,
    Shard,
    Span,
    Split,
    StateObject,
    new_owner,
    recounted,
)
from shared.ledger.uploads import Source
from shared.loading.delivery import Account, Delivery
from shared.loading.shards.hold import ShardHold, hold_on, still_held, taken
from shared.loading.shards.objects import Writing
from shared.loading.shards.spool import RejectedCells, SpreadRows
from shared.parsing import Block, Examination, Keys, plain_problem
from shared.reporting import sentences
from shared.services import Services

_REPEATS = 100
"""Rows in a box of a shard's result."""


@dataclass(frozen=True, slots=True)
class ShardLeft:
    """How an attempt at a shard has left things."""

    import_: Import
    shard: Shard
    next: Shard | None = None
    """The shard that is to be loaded now."""
    last: bool = False
    """Whether all shards have ended, and this worker holds the import, to close it."""


class ShardRun:
    """One attempt at one shard."""

    def __init__(
        self,
        named: ExportFile,
        hold: ShardHold,
        services: Services,
        settings: ConnectionSettings,
    ) -> None:
        import_ = hold.import_
        if import_.split is None:
            raise ValueError("the import has no shards")
        self._import = import_
        self._split: Split = import_.split
        self._shard = hold.shard
        self._span = Span(hold.shard.rows_object.first, hold.shard.rows_object.last)
        self._named = named
        self._hold = hold
        self._services = services
        self._settings = settings
        self._account = Account()
        self._found = Examination(
            file_type(named.type),
            settings,
            open=lambda: Source(services.bucket, import_).open(),
            size=import_.size,
            watcher=self,
            exports=Exports(named.type, latest=named.exported_at),
            first_load=import_.mode == "bulk",
        )
        folder = objects.folder(import_.connection, named.type)
        self._prefix = f"{folder}{self._split.id}-{self._shard.number:03}"
        self._repeats: list[RejectedCells] = []
        self._result: Writing

    def carry_out(self) -> ShardLeft:
        """Load the shard, or leave the rest of it to a later task.

        Raises:
            FileRejected, Undecidable: the import can only end.
            SplitLost: the file must be split anew.
            TryAgain: a later attempt may succeed.
            LeaseLost: the shard is no longer this worker's.
        """
        name = f"{self._prefix}-{new_owner()}.result"
        self._result = Writing(self._services.bucket, name)
        try:
            return self._carry_out()
        except Unusable as error:
            raise SplitLost("The rows of a shard are gone.") from error
        finally:
            self._result.abandon()

    def _carry_out(self) -> ShardLeft:
        import_, services, found = self._import, self._services, self._found
        rows = SpreadRows(services.bucket, self._shard.rows_object, tick=self._hold.check)
        plan = found.take_up(rows)
        index = ShardIndexing(
            services,
            self._hold,
            span=self._span,
            prefix=f"{self._prefix}-",
            keys=plan.keys,
            origin=origin_of(import_, self._named),
            consent=found.type.consent,
            create_only=import_.mode == "bulk",
            skip=self._settings.skip_unchanged,
            under=fingerprint(found.rules),
            exported=plan.exported,
        )
        delivery = Delivery(
            services,
            replace(import_, started_at=self._shard.started_at),
            index,
            account=self._account,
            collection=found.type.collection,
            guard=self._hold.check,
            note=found.tally.add,
            share=min(self._split.shards, self._split.at_once),
        )
        in_time = delivery.deliver(map(self._counted, found.layers(plan)))
        self._count()
        if not in_time:
            (part,) = index.checkpoint().after.parts
            return self._go_on_later(part, delivery.pace())
        counted = self._hold.rows
        if rows.count - plan.dropped != counted.settled:
            raise RuntimeError(f"of {rows.count} rows some are unaccounted for: {counted}")
        (part,) = index.successor().after.parts
        self._flush()
        self._result.add(
            {
                "tally": found.tally.dump(),
                "repeated": plan.repeated,
                "orphans": delivery.orphans,
                "refused": {
                    line: plain_problem(problem) for line, problem in delivery.refused.items()
                },
            }
        )
        return self._end(part, self._result.close(self._span), delivery.pace())

    # -- what the examination tells -----------------------------------------------------------

    def begun(self, header: Header, delimiter: str) -> None:
        """Do nothing: whoever split the file has looked at its header."""

    def beat(self, bytes_read: int, percent: int) -> None:
        """Note how far it has come, and make sure that the shard is still ours."""
        self._count()
        self._hold.check()

    def reject(
        self, cells: Sequence[str], problems: Sequence[Problem], export: str | None = None
    ) -> None:
        """Keep a row for the rejected file."""
        self._repeats.append((list(cells), [*map(plain_problem, problems)], export))
        if len(self._repeats) >= _REPEATS:
            self._flush()

    def _flush(self) -> None:
        if self._repeats:
            self._result.add(self._repeats)
            self._repeats.clear()

    def _counted(self, blocks: Iterator[Block]) -> Iterator[Block]:
        for block in blocks:
            self._count()
            yield block

    def _count(self) -> None:
        account = self._account
        self._hold.rows = RowCounts(
            loaded=account.loaded,
            unchanged=account.unchanged + self._found.outdone,
            outdated=account.outdated,
            rejected=account.refused,
            orphaned=account.orphaned,
        )

    # -- how it ends --------------------------------------------------------------------------

    def _end(self, index: StateObject, result: StateObject, pace: Paced | None) -> ShardLeft:
        """Record the shard's end; the last one takes the import over."""
        services = self._services
        closer = new_owner()
        next_: Shard | None = None

        def change(
            ledger: LedgerTransaction, current: Import, shard: Shard
        ) -> tuple[Import, Shard]:
            nonlocal next_
            next_ = None
            now = services.now()
            feed = self._feed(ledger, current)
            current, shard = recounted(current, shard, self._hold.rows)
            shard = replace(
                shard,
                status="loaded",
                lease=None,
                checkpoint=None,
                index=index,
                result=result,
                finished_at=now,
            )
            split = replace(self._now(current), ended=self._now(current).ended + 1)
            current = replace(
                current,
                split=split,
                status_text=sentences.in_shards(split.ended, split.shards),
            )
            feed = replace(feed, pace=pace or feed.pace)
            for number in split.lane(shard.number)[1:2]:
                after = ledger.shard(current.connection, current.import_id, split.id, number)
                if after is not None and after.status != "loaded":
                    next_ = after
                    if after.scheduled_for is None:
                        next_ = replace(after, scheduled_for=now)
                        ledger.put_shard(next_)
            if split.ended < split.shards or taken(current, now=now):
                current = still_held(ledger, current, feed, now=now)
            else:
                span = services.deployment.lease
                current = hold_on(ledger, current, feed, now=now, owner=closer, span=span)
            return current, shard

        import_, shard = self._hold.change_shard(change, done=lambda one: one.result == result)
        for part in (self._shard.checkpoint, self._shard.rows_object):
            if part is not None:
                objects.delete(services.bucket, part)
        last = import_.lease is not None and import_.lease.owner == closer
        return ShardLeft(import_, shard, next_, last)

    def _go_on_later(self, checkpoint: StateObject, pace: Paced | None) -> ShardLeft:
        """Leave the rest to a new task; see `shared.loading.attempt`."""
        services = self._services
        before = self._shard.checkpoint

        def change(
            ledger: LedgerTransaction, current: Import, shard: Shard
        ) -> tuple[Import, Shard]:
            now = services.now()
            feed = self._feed(ledger, current)
            current, shard = recounted(current, shard, self._hold.rows)
            shard = replace(
                shard.planned(now),
                status="scheduled",
                lease=None,
                checkpoint=checkpoint,
                attempt=shard.attempt - (1 if self._account.written else 0),
            )
            feed = replace(feed, pace=pace or feed.pace)
            return still_held(ledger, current, feed, now=now), shard

        import_, shard = self._hold.change_shard(
            change,
            done=lambda one: one.checkpoint == checkpoint,
        )
        if before is not None:
            objects.delete(services.bucket, before)
        return ShardLeft(import_, shard, shard)

    def _feed(self, ledger: LedgerTransaction, current: Import) -> Feed:
        feed = ledger.feed(current.connection, str(current.type))
        if feed.base() != self._split.base:
            raise SplitLost("Another file was loaded in the meantime.")
        return feed

    @staticmethod
    def _now(current: Import) -> Split:
        if current.split is None:
            raise ValueError("the import has no shards")
        return current.split


class ShardIndexing(Indexing):
    """The index, as one attempt at a shard uses it: the part that is about the shard's keys.

    Who split the file has marked it as being written to.
    """

    def __init__(
        self,
        services: Services,
        hold: ShardHold,
        *,
        span: Span,
        prefix: str,
        keys: Keys,
        under: str,
        **rest: Any,
    ) -> None:
        """Read what the index says of a span of keys; see `Indexing`.

        `prefix` is how the names of what it writes begin.

        Raises:
            SplitLost: the index is not the one that the shards go by, or the rows would not come
                out now as they did.
        """
        self._span = self._own_span = span
        self._checkpoint = hold.shard.checkpoint
        self._base = hold.import_.split.base if hold.import_.split else ""
        super().__init__(services, hold, keys=keys, under=under, **rest)
        self._folder = prefix

    def _feed_before(self, connection: str, type: str) -> Feed:
        feed = super()._feed_before(connection, type)
        if feed.base() != self._base:
            raise SplitLost("Another file was loaded in the meantime.")
        index = feed.index
        if self._checkpoint is not None:
            newest = index.newest if index else self._origin.age
            index = Index(parts=(self._checkpoint,), newest=newest)
        elif index is not None:
            index = replace(
                index, parts=tuple(part for part in index.parts if part.overlaps(self._own_span))
            )
        self._mark_there = feed.index_held_by
        return replace(feed, index=index)

    def _learn(self, keys: Keys, index: Index | None) -> Table:
        table = super()._learn(keys, index)
        if table is None:
            raise SplitLost("The index was lost in the meantime.")
        return table

    def _mark(self, import_: Import, read: Index | None, under: str) -> Holder:
        holder = self._mark_there
        if holder is None or holder.under != under:
            raise SplitLost("The rows would not come out as they did.")
        if self._checkpoint is not None:
            return replace(holder, clean=True, continued=True)
        return holder

    def _write(self, holder: Holder | None) -> Successor:
        successor = super()._write(holder)
        (part,) = successor.after.parts
        part = replace(part, first=self._own_span.first, last=self._own_span.last)
        return replace(successor, after=replace(successor.after, parts=(part,)))
