"""How an import whose file was split goes on and ends: what its shards have come to is joined."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from shared.core import Problem, SplitLost
from shared.files import Header
from shared.gcp.storage import Unusable
from shared.index import Successor, fingerprint, objects
from shared.ledger import Age, Feed, Import, Index, LedgerTransaction, RowCounts, Shard, Split
from shared.ledger.uploads import Source
from shared.loading.attempt import Run
from shared.loading.shards.hold import hold_on, next_of
from shared.loading.shards.objects import boxes
from shared.loading.shards.spool import RejectedCells
from shared.parsing import Tally, problem_of
from shared.reporting import in_shards

RESULT_READ_BYTES = 64 * 1024
"""Bytes read at a time of a shard's result: those of all shards are read side by side."""


class Closing(Run):
    """One attempt at an import that has shards: it is given back to them, or ended."""

    def carry_out(self) -> Import:
        """End the import if all shards have ended; else see to it that they go on.

        Raises:
            SplitLost: they cannot go on.
            TryAgain: a later attempt may succeed.
            LeaseLost: the import is no longer this worker's.
        """
        services, import_ = self.services, self.import_
        shards = services.ledger.shards(import_.connection, import_.import_id, self._split.id)
        feed = services.ledger.feed(import_.connection, str(import_.type))
        self._make_sure(feed, shards)
        if any(shard.status != "loaded" for shard in shards):
            current = self.hold.change(self._give_back)
            if current.lease is not None and current.lease.owner == self._split.id:
                return current
            shards = services.ledger.shards(import_.connection, import_.import_id, self._split.id)
        try:
            return self._close(feed, shards)
        except Unusable as error:
            raise SplitLost("What the shards came to is gone.") from error

    @cached_property
    def _split(self) -> Split:
        split = self.import_.split
        if split is None:
            raise ValueError("the import has no shards")
        return split

    def _make_sure(self, feed: Feed, shards: list[Shard]) -> None:
        """Make sure that the shards can go on."""
        holder = feed.index_held_by
        if feed.base() != self._split.base or len(shards) != self._split.shards:
            raise SplitLost("Another file was loaded in the meantime.")
        if holder is None or holder.under != fingerprint(self.found.rules):
            raise SplitLost("The rows would not come out as they did.")
        for shard in shards:
            self.hold.check()
            for part in (shard.index, shard.result) if shard.result else (shard.rows_object,):
                if part is None or not objects.usable(self.services.bucket, part):
                    raise SplitLost("What the shards go by is gone.")

    def _give_back(self, ledger: LedgerTransaction, current: Import) -> Import:
        """Let the shards go on that have not ended, each when its worker's lease is over.

        The import stays this worker's if all of them have ended meanwhile.
        """
        now, split = self.services.now(), current.split or self._split
        all_ = ledger.shards(current.connection, current.import_id, split.id)
        feed = ledger.feed(current.connection, str(current.type))
        if len(all_) != split.shards:
            raise SplitLost("Some shards are gone.")
        if all(shard.status == "loaded" for shard in all_):
            return current
        for shard in next_of(split, all_):
            lease = shard.lease
            ledger.put_shard(shard.planned(lease.expires_at if lease and lease.live(now) else now))
        rows = [shard.rows for shard in all_]
        current = hold_on(ledger, current, feed, now=now)
        return current.to(
            "loading",
            now=now,
            text=in_shards(split.ended, split.shards),
            rows=RowCounts(
                read=split.read,
                loaded=sum(one.loaded for one in rows),
                unchanged=sum(one.unchanged for one in rows),
                outdated=sum(one.outdated for one in rows),
                rejected=split.rejected + sum(one.rejected for one in rows),
                orphaned=sum(one.orphaned for one in rows),
            ),
        )

    # -- the end ------------------------------------------------------------------------------

    def _close(self, feed: Feed, shards: list[Shard]) -> Import:
        self.source = Source(self.services.bucket, self.import_)
        found, account = self.found, self.account
        found.read_header()
        found.read, found.rejected = self._split.read, self._split.rejected
        self._take_verdict()
        joined = Tally()
        repeated, orphans = 0, []
        refused: dict[int, Problem] = {}
        for shard in shards:
            account.loaded += shard.rows.loaded
            account.unchanged += shard.rows.unchanged
            account.outdated += shard.rows.outdated
            account.refused += shard.rows.rejected
            account.orphaned += shard.rows.orphaned
            findings = self._findings(shard)
            joined.absorb(findings["tally"])
            repeated += findings["repeated"]
            orphans += findings["orphans"]
            refused |= {line: problem_of(one) for line, one in findings["refused"].items()}
        found.note_repeated(repeated)
        found.tally.absorb(joined.dump())
        self.note_orphans(orphans)
        repeats = heapq.merge(*map(self._repeats, shards), key=lambda row: row[1][0][2] or 0)
        for cells, problems, export in repeats:
            self.reject(cells, [*map(problem_of, problems)], export)
        self.successor = self._joined(feed, shards)
        return self.end_well(refused)

    def begun(self, header: Header, delimiter: str) -> None:
        """Make the rejected file ready; whoever split the file has held its header against
        others."""
        self.prepare_rejected_file(header, delimiter)

    def _take_verdict(self) -> None:
        """Take over what was found when the file was split."""
        for box in boxes(self.services.bucket, self._split.verdict, tick=self.hold.check):
            match box():
                case dict() as findings:
                    self.found.tally.absorb(findings["tally"])
                    self.found.left_out = findings.get("leftOut", 0)
                case rows:
                    for cells, problems, export in rows:
                        self.reject(cells, [*map(problem_of, problems)], export)

    def _findings(self, shard: Shard) -> dict[str, Any]:
        """Return what a shard has come to."""
        findings: dict[str, Any] = {}
        for box in self._boxes_of(shard):
            found = box()
            if isinstance(found, dict):
                findings = found
        return findings

    def _repeats(self, shard: Shard) -> Iterator[RejectedCells]:
        """Give the good rows that a shard wants in the rejected file, in the order of the file."""
        for box in self._boxes_of(shard):
            found = box()
            if not isinstance(found, dict):
                yield from found

    def _boxes_of(self, shard: Shard) -> Iterator[Callable[[], Any]]:
        if shard.result is None:
            raise Unusable(shard.rows_object.object)
        return boxes(
            self.services.bucket, shard.result, tick=self.hold.check, read_bytes=RESULT_READ_BYTES
        )

    def _joined(self, feed: Feed, shards: Sequence[Shard]) -> Successor:
        """Return the index that all shards together leave."""
        newest = Age(self.named.exported_at, self.import_.generation)
        before = feed.index
        if before is not None:
            newest = max(before.newest, newest)
        parts = tuple(shard.index for shard in shards if shard.index is not None)
        after = Index(parts=parts, newest=newest)
        return Successor(before, feed.index_held_by, after, holder=None)
