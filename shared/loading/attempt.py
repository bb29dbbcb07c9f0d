"""One attempt at an import, or at one shard: the parts that the steps of all attempts share.

A step is a function that takes an attempt. The steps are `load` of `shared.loading.whole` and, for
large files, `split`, `load_shard` and `join` of `shared.loading.shards`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import BinaryIO, Literal

from shared.core import ConnectionSettings, Problem, TryAgain
from shared.files import ExportFile, Exports, Header
from shared.files.types import file_type
from shared.index import Indexing, IndexPart, Successor, fingerprint, origin_of
from shared.ledger import (
    LOADED,
    Claimed,
    Feed,
    Hold,
    Import,
    LedgerTransaction,
    Progress,
    RowCounts,
    Shard,
    Status,
    lease_to,
    shards_of,
    taken,
)
from shared.ledger.uploads import Source
from shared.loading.delivery import Account, Delivery
from shared.loading.ending import FileFindings, end
from shared.loading.orphans import orphans_found
from shared.loading.shards.spool import RejectedRows
from shared.parsing import JUDGED, Block, Examination, Plan, Watcher
from shared.reporting.reports import RejectedFile
from shared.services import Services

Step = Literal["load", "split", "shard", "join"]
"""Step that an attempt takes: the single step of a usual file, or one of three of a large file."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """Records as an attempt has left them."""

    claimed: Claimed
    next: Shard | None = None
    """Shard whose task is due now."""
    mail: str | None = None
    """Id of the mail about the import's end, which is to be sent."""


class Attempt(Watcher):
    """One attempt at the import, or shard, that a worker has claimed.

    Attributes: import_: the import as it was claimed. found: the examination of its file. account:
    the counts of rows by result. rejects: the place for rejected rows; None if they are not kept.
    """

    def __init__(
        self,
        named: ExportFile,
        hold: Hold,
        services: Services,
        settings: ConnectionSettings,
        feed: Feed,
    ) -> None:
        """Prepare the attempt. `feed` is the feed as it was after the import was claimed.

        Raises:
            SettingsError: the settings name columns that do not exist.
        """
        self.named = named
        self.hold = hold
        self.services = services
        self.settings = settings
        self.feed = feed
        self.claimed = hold.claimed
        self.import_ = hold.import_
        self.found = examination(
            named,
            hold.import_,
            services,
            settings,
            open=lambda: self.source.open(),
            watcher=self,
        )
        self.account = Account()
        self.rejects: RejectedFile | RejectedRows | None = None

    @cached_property
    def source(self) -> Source:
        """Bytes of the file."""
        return Source(self.services.bucket, self.import_)

    @cached_property
    def step(self) -> Step:
        """Step that is due."""
        if self.claimed.shard is not None:
            return "shard"
        if self.import_.split is not None:
            return "join"
        return "split" if is_large(self.claimed, self.services) else "load"

    # -- what the examination tells -----------------------------------------------------------

    def begun(self, header: Header, delimiter: str) -> None:
        """Prepare the rejected file, and compare the header with that of the file before."""
        if self.step in ("load", "join"):
            self.rejects = RejectedFile(
                self.services.bucket,
                self.named.rejected_csv,
                header=header.names,
                delimiter=delimiter,
            )
        if self.step in ("load", "split"):
            self.compare_header(header)

    def beat(self, bytes_read: int, percent: int) -> None:
        """Record how far the file has been read, and check that this worker still has the lease."""
        self.hold.progress = Progress(bytes_read=bytes_read, percent=percent)
        self.count()
        self.hold.check()

    def reject(
        self, cells: Sequence[str], problems: Sequence[Problem], export: str | None = None
    ) -> None:
        """Keep a row for the rejected file."""
        if self.rejects is not None:
            own = self.import_.import_id
            self.rejects.add(cells, problems, export=own if export is None else export)

    def compare_header(self, header: Header) -> None:
        """Add a warning if the file has other columns than the one loaded before."""
        feed = self.feed
        before, now = set(feed.header), set(header.names)
        if feed.header and before != now:
            gone, new = sorted(before - now), sorted(now - before)
            changes = [
                *([f"gone: {', '.join(gone)}"] if gone else []),
                *([f"new: {', '.join(new)}"] if new else []),
            ]
            self.found.tally.add(
                Problem(
                    code="header.changed",
                    message=f"Other columns than in {feed.latest}: {'; '.join(changes)}.",
                    line=1,
                )
            )

    # -- what steps do alike ------------------------------------------------------------------

    def note_same_content(self) -> None:
        """Add a warning if the same bytes have been loaded before under another name."""
        import_ = self.import_
        same = {"run.crc32c": import_.crc32c}
        for other in self.services.ledger.find(import_.connection, **same):
            if (
                other.status in LOADED
                and other.undone is None
                and (other.size, other.type, other.mode)
                == (import_.size, import_.type, import_.mode)
                and other.import_id != import_.import_id
            ):
                self.found.tally.add(
                    Problem(
                        code="file.same_content",
                        message=f"The file holds the same bytes as {other.import_id}.",
                    )
                )
                return

    def note_orphans(self, sample: Iterable[tuple[int, str]]) -> None:
        """Add a warning for documents that refer to a missing one; see `orphans_found`."""
        orphaned = self.account.orphaned
        if orphaned:
            self.found.tally.add(orphans_found(self.found.type, orphaned, sample), times=orphaned)

    def deliver(self, plan: Plan, *, part: IndexPart | None = None) -> tuple[Delivery, bool]:
        """Write the documents. Return the delivery, and True if there was time for all of them.

        Raises what `Indexing` and `Delivery.deliver` raise.
        """
        found = self.found
        index = Indexing(
            self.services,
            self.hold,
            plan,
            self.feed if part is None else self.services.ledger.feed_of(self.import_),
            origin=origin_of(self.import_, self.named),
            consent=found.type.consent,
            skip=self.settings.skip_unchanged,
            under=fingerprint(found.rules),
            part=part,
        )
        delivery = Delivery(
            self.services,
            self.claimed,
            index,
            account=self.account,
            collection=found.type.collection,
            guard=self.hold.check,
            note=found.tally.add,
        )
        in_time = delivery.deliver(map(self._counted, found.layers(plan)))
        self.count()
        return delivery, in_time

    def _counted(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Pass documents on, and keep the counts of the ledger up to date meanwhile."""
        for block in blocks:
            self.count()
            yield block

    def count(self) -> None:
        """Pass the counts of the rows to the next renewal of the lease."""
        found, account = self.found, self.account
        self.hold.rows = RowCounts(
            read=found.read,
            loaded=account.loaded,
            unchanged=account.unchanged + found.outdone,
            outdated=account.outdated,
            rejected=found.rejected + account.refused,
            orphaned=account.orphaned,
        )

    def attempts_after(self, attempt: int) -> int:
        """Return the number of attempts once the rest is left to a new task.

        The next task counts as the same attempt if this one has written anything. Otherwise it
        counts as a new attempt: rows that were refused or left are tried again, and that must end.
        """
        return attempt - (1 if self.account.written else 0)

    # -- how the import ends ------------------------------------------------------------------

    def end_well(
        self, refused: Mapping[int, Problem] | None = None, successor: Successor | None = None
    ) -> AttemptResult:
        """End an import of which every row that can be loaded is loaded.

        Args:
            refused: line -> problem of the rows that Firestore refused.
            successor: the index that the import leaves.
        """
        if refused:
            for line, cells, export in self.found.rows_at(refused):
                self.found.tally.add(refused[line])
                self.reject(cells, (refused[line],), export)
        status: Status = "loaded"
        if self.import_.mode == "test":
            status = "checked"
        elif self.found.rejected or self.account.refused:
            status = "loaded_with_rejects"
        self.count()
        rows = self.hold.rows
        if rows.read != rows.settled:
            raise RuntimeError(f"rows are unaccounted for: {rows}")
        return self._end(status, successor=successor if status in LOADED else None)

    def refuse(self, problem: Problem) -> AttemptResult:
        """End the import as rejected: its file cannot be used."""
        self._disregard(rows=problem.code not in JUDGED)
        return self._end("rejected", error=problem)

    def fail(self, problem: Problem) -> AttemptResult:
        """End the import as failed: a person has to act."""
        self._disregard(rows=True)
        return self._end("failed", error=problem)

    def close(self) -> None:
        """Free the file's rows, and remove half-written rejected ones."""
        self._abandon()
        # The examination refers to its watcher, this attempt. Such a cycle would keep the rows in
        # memory until garbage is collected, perhaps some files later.
        del self.found

    def _abandon(self) -> None:
        """Remove half-written rejected rows."""
        if self.rejects is not None:
            self.rejects.abandon()

    def _disregard(self, *, rows: bool) -> None:
        """Set the counts to no row loaded and, with `rows`, to no row read.

        If an error stops the reading, the counts until then say nothing about the file. There is no
        rejected file either: to correct and send its rows would leave out all other rows of the
        file.
        """
        self.account = Account()
        self.found.outdone = 0
        if rows:
            self.found.read = self.found.rejected = 0
        self._abandon()
        self.rejects = None
        self.hold = hold_whole(self.hold, self.services)
        self.count()

    def _end(
        self, status: Status, *, error: Problem | None = None, successor: Successor | None = None
    ) -> AttemptResult:
        found, rejects = self.found, self.rejects
        ended, mail = end(
            self.hold,
            self.services,
            status,
            named=self.named,
            settings=self.settings,
            error=error,
            found=FileFindings(
                header=found.header.names if found.header else (),
                tally=found.tally,
                left_out=found.left_out,
                rejected_file=rejects if isinstance(rejects, RejectedFile) else None,
                successor=successor,
            ),
        )
        return AttemptResult(Claimed(ended), mail=mail)


def examination(
    named: ExportFile,
    import_: Import,
    services: Services,
    settings: ConnectionSettings,
    *,
    open: Callable[[], BinaryIO],
    watcher: Watcher,
) -> Examination:
    """Return the examination of an import's file; `open` opens the file at its beginning.

    Raises:
        SettingsError: the settings name columns that do not exist.
    """

    def known(import_id: str) -> bool:
        return services.ledger.import_(import_.connection, import_id) is not None

    return Examination(
        file_type(named.type),
        settings,
        open=open,
        size=import_.size,
        watcher=watcher,
        first_load=import_.mode == "bulk",
        exports=Exports(named.type, latest=named.exported_at, known=known),
    )


def is_large(claimed: Claimed, services: Services) -> bool:
    """Return True if a file is loaded in shards. A dry run is not: it loads nothing."""
    import_ = claimed.import_
    shard_bytes = services.deployment.shard_bytes
    return import_.mode != "test" and shards_of(import_.size, shard_bytes=shard_bytes) > 1


def hold_whole(hold: Hold, services: Services) -> Hold:
    """Return the hold on the whole import, for a worker that ends the import because of its shard.

    Raises:
        TryAgain: another worker has taken over all shards.
        LeaseLost: the shard is no longer this worker's.
    """
    if hold.claimed.shard is None:
        return hold
    lease = services.deployment.lease

    def take(ledger: LedgerTransaction, current: Claimed) -> Claimed:
        now = services.now()
        if current.shard is None or taken(current.import_, now=now):
            raise TryAgain("Another worker sees to all shards.")
        import_ = lease_to(ledger, current.import_, hold.owner, until=now + lease)
        return Claimed(import_, replace(current.shard, lease=None))

    import_ = hold.change(take).import_
    return Hold(services.ledger, Claimed(import_), now=services.now, lease=lease)
