"""One attempt at one import: the file is read and judged whole, then written and reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from shared.core import ConnectionSettings, Problem
from shared.files import ExportFile, Exports, Header
from shared.files.types import file_type
from shared.index import Indexing, Successor, fingerprint, origin_of
from shared.ledger import LOADED, Hold, Import, LedgerTransaction, Progress, RowCounts, Status
from shared.ledger.uploads import Source
from shared.loading.delivery import Account, Delivery
from shared.loading.ending import end
from shared.loading.orphans import orphans_found
from shared.parsing import JUDGED, Block, Examination, Plan
from shared.reporting import sentences
from shared.reporting.reports import RejectedFile
from shared.scheduling import plan_task
from shared.services import Services


class Run:
    """One attempt at one import."""

    def __init__(
        self,
        import_: Import,
        named: ExportFile,
        hold: Hold,
        services: Services,
        settings: ConnectionSettings,
    ) -> None:
        self.import_ = import_
        self.named = named
        self.hold = hold
        self.services = services
        self.settings = settings
        self.source: Source
        self.found = Examination(
            file_type(named.type),
            settings,
            open=lambda: self.source.open(),
            size=import_.size,
            watcher=self,
            first_load=import_.mode == "bulk",
            exports=Exports(named.type, latest=named.exported_at, known=self._received),
        )
        self.account = Account()
        self.rejected_file: RejectedFile | None = None
        self.successor: Successor | None = None
        self.checkpoint: Successor | None = None

    # -- the course of an attempt -------------------------------------------------------------

    def carry_out(self) -> Import:
        """Load the file, or leave the rest of it to a later task; return the import as it is then.

        Raises:
            FileRejected, Undecidable: see `refuse` and `fail`.
            TryAgain: a later attempt may succeed.
            LeaseLost: the import is no longer this worker's.
        """
        self.source = Source(self.services.bucket, self.import_)
        self.look_for_same_content()
        plan = self.found.judge()
        refused = self._write(plan)
        if self.checkpoint is not None:
            return self._go_on_later(self.checkpoint)
        return self.end_well(refused)

    def end_well(self, refused: Mapping[int, Problem]) -> Import:
        """End the import of which everything that can be loaded is loaded.

        `refused` is line -> problem of the rows that Firestore refused.
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
        return self._end(status)

    def refuse(self, problem: Problem) -> Import:
        """End the import as one whose file cannot be used."""
        self._disregard(rows=problem.code not in JUDGED)
        return self._end("rejected", error=problem)

    def fail(self, problem: Problem) -> Import:
        """End the import as one that only a person can help."""
        self._disregard(rows=True)
        return self._end("failed", error=problem)

    def abandon(self) -> None:
        """Leave no half-written report behind."""
        if self.rejected_file is not None:
            self.rejected_file.abandon()

    # -- what the examination tells -----------------------------------------------------------

    def begun(self, header: Header, delimiter: str) -> None:
        """Make the rejected file ready, and hold the header against that of the file before."""
        self.prepare_rejected_file(header, delimiter)
        self._compare_header(header)

    def prepare_rejected_file(self, header: Header, delimiter: str) -> None:
        """Make the rejected file ready to take rows."""
        self.rejected_file = RejectedFile(
            self.services.bucket,
            self.named.rejected_csv,
            header=header.names,
            delimiter=delimiter,
        )

    def beat(self, bytes_read: int, percent: int) -> None:
        """Note how far the reading has come, and make sure that the import is still ours."""
        self.hold.progress = Progress(bytes_read=bytes_read, percent=percent)
        self._count_rows()
        self.hold.check()

    def reject(
        self, cells: Sequence[str], problems: Sequence[Problem], export: str | None = None
    ) -> None:
        """Put a row into the rejected file."""
        if self.rejected_file is not None:
            own = self.import_.import_id
            self.rejected_file.add(cells, problems, export=own if export is None else export)

    def note_orphans(self, sample: Iterable[tuple[int, str]]) -> None:
        """Take note of documents whose other one is not in Firestore; see `orphans_found`."""
        orphaned = self.account.orphaned
        if orphaned:
            self.found.tally.add(orphans_found(self.found.type, orphaned, sample), times=orphaned)

    def _received(self, import_id: str) -> bool:
        """Whether the connection has received an export."""
        where = self.import_.connection, import_id
        return where in self.services.ledger.get_many([where])

    def _compare_header(self, header: Header) -> None:
        feed = self.services.ledger.transact(
            lambda ledger: ledger.feed(self.import_.connection, self.named.type)
        )
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

    def look_for_same_content(self) -> None:
        """Take note if the same bytes have been loaded before under another name."""
        import_ = self.import_
        for other in self.services.ledger.find(import_.connection, crc32c=import_.crc32c):
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

    # -- writing what counts ----------------------------------------------------

    def _write(self, plan: Plan) -> dict[int, Problem]:
        """Write every document. Returns line -> problem of the rows that Firestore refused."""
        import_ = self.import_
        if import_.mode == "test":
            for block in chain.from_iterable(self.found.layers(plan)):
                self.account.unchanged += sum(map(len, block.lines))
            return {}
        if not plan.documents:
            return {}
        index = Indexing(
            self.services,
            self.hold,
            keys=plan.keys,
            origin=origin_of(import_, self.named),
            consent=self.found.type.consent,
            create_only=import_.mode == "bulk",
            skip=self.settings.skip_unchanged,
            under=fingerprint(self.found.rules),
            exported=plan.exported,
        )
        delivery = Delivery(
            self.services,
            import_,
            index,
            account=self.account,
            collection=self.found.type.collection,
            guard=self.hold.check,
            note=self.found.tally.add,
        )
        in_time = delivery.deliver(map(self._counted, self.found.layers(plan)))
        self.note_orphans(delivery.orphans)
        if in_time:
            self.successor = replace(index.successor(), pace=delivery.pace())
        else:
            self.checkpoint = replace(index.checkpoint(), pace=delivery.pace())
        return delivery.refused

    def _counted(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Pass documents on, and keep the counts of the ledger up to date meanwhile."""
        for block in blocks:
            self._count_rows()
            yield block

    def _go_on_later(self, checkpoint: Successor) -> Import:
        """Leave the rest to a new task, which counts as the same attempt if this one has written
        anything: what is refused or left is gone through again, and that must come to an end.
        """
        self._count_rows()
        self.abandon()
        services, hold = self.services, self.hold
        now = services.now()

        def change(ledger: LedgerTransaction, current: Import) -> Import:
            feed = ledger.feed(current.connection, self.named.type)
            # The feed stays this import's until its next task has begun.
            ledger.put_feed(checkpoint.settle(feed))
            planned = plan_task(current, at=now)
            return planned.to(
                "scheduled",
                now=now,
                text=sentences.goes_on(hold.rows),
                lease=None,
                attempt=current.attempt - (1 if self.account.written else 0),
                rows=hold.rows,
                progress=hold.progress,
            )

        changed = hold.change(change)
        checkpoint.clean_up(services)
        return changed

    # -- accounts -----------------------------------------------------------------------------

    def _disregard(self, *, rows: bool) -> None:
        """Take it that nothing has been loaded, and with `rows` that none has been seen either.

        What has been seen up to a fault says nothing about the file. There is no rejected file:
        whoever corrected its rows and sent them would leave all other rows of the file out.
        """
        self.account = Account()
        self.found.outdone = 0
        if rows:
            self.found.read = self.found.rejected = 0
        self.abandon()
        self.rejected_file = None

    def _count_rows(self) -> None:
        found, account = self.found, self.account
        self.hold.rows = RowCounts(
            read=found.read,
            loaded=account.loaded,
            unchanged=account.unchanged + found.outdone,
            outdated=account.outdated,
            rejected=found.rejected + account.refused,
            orphaned=account.orphaned,
        )

    def _end(self, status: Status, *, error: Problem | None = None) -> Import:
        self._count_rows()
        if status not in ("rejected", "failed"):
            rows = self.hold.rows
            if rows.read != rows.settled:
                raise RuntimeError(f"rows are unaccounted for: {rows}")
        return end(
            self.import_,
            self.hold,
            self.services,
            status,
            named=self.named,
            error=error,
            header=self.found.header.names if self.found.header else (),
            tally=self.found.tally,
            left_out=self.found.left_out,
            rejected_file=self.rejected_file,
            successor=self.successor if status in LOADED else None,
        )
