"""One attempt at one import: the file is read and judged whole, then written and reported."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shared import wording
from shared.alerts import (
    FAILED_TODO,
    REJECTED,
    REJECTED_TODO,
    raise_alert,
    resolve_alerts,
    resolve_import_alerts,
)
from shared.customers import KnownCustomers
from shared.errors import Problem
from shared.examination import Examination
from shared.indexing import Indexing, Seen, Successor, fingerprint
from shared.intake import plan_task
from shared.layout import Header
from shared.lease import Hold, release_feed
from shared.ledger import (
    LOADED,
    WARNINGS_LIMIT,
    Import,
    Progress,
    Reports,
    Rows,
    Status,
)
from shared.ledger_store import LedgerTransaction, Paced
from shared.merge import OWN, Origin
from shared.names import ExportFile
from shared.pacing import Ramp, first_rate
from shared.plan import Plan
from shared.reports import (
    RejectedFile,
    delete_report,
    part_name,
    reports_now,
    write_report,
)
from shared.schemas import file_type
from shared.services import Services
from shared.settings import ConnectionSettings
from shared.source import Source
from shared.tally import Tally
from shared.writer import Left, Outcome, Refused, Writer, Written

LOOKED_UP = 200
"""Orders whose customers are looked up together."""

COUNTED = 64
"""Documents in which, on average, the counts of the ledger are brought up to date once."""

SAMPLES = 10
"""Orders without a known customer that the ledger names."""


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
        )
        self.loaded = self.unchanged = self.refused = self.orphaned = 0
        self.rejected_file: RejectedFile | None = None
        self.successor: Successor | None = None
        self.checkpoint: Successor | None = None
        self.written = 0

    # -- the course of an attempt -------------------------------------------------------------

    def carry_out(self) -> Import:
        self.source = Source(self.services.bucket, self.import_)
        self._look_for_same_content()
        plan = self.found.judge()
        refused = self._write(plan)
        if self.checkpoint is not None:
            return self._go_on_later(self.checkpoint)
        if refused:
            for line, cells in self.found.rows_at(refused):
                self.found.tally.add(refused[line])
                self.reject(cells, (refused[line],))
        status: Status = "loaded"
        if self.import_.mode == "test":
            status = "checked"
        elif self.found.rejected or self.refused:
            status = "loaded_with_rejects"
        return self._end(status)

    def refuse(self, problem: Problem) -> Import:
        """End the import as one whose file cannot be used."""
        self._disregard(rows=problem.code != "file.too_many_bad_rows")
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
        self.rejected_file = RejectedFile(
            self.services.bucket,
            self.named.rejected_csv,
            header=header.names,
            delimiter=delimiter,
        )
        self._compare_header(header)

    def beat(self, bytes_read: int, percent: int) -> None:
        """Note how far the reading has come, and make sure that the import is still ours."""
        self.hold.progress = Progress(bytes_read=bytes_read, percent=percent)
        self._count_rows()
        self.hold.check()

    def reject(self, cells: Sequence[str], problems: Sequence[Problem]) -> None:
        """Put a row into the rejected file."""
        if self.rejected_file is not None:
            self.rejected_file.add(cells, problems)

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

    def _look_for_same_content(self) -> None:
        import_ = self.import_
        for other in self.services.ledger.find(import_.connection, crc32c=import_.crc32c):
            if (
                other.status in LOADED
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
        origin = Origin(
            import_id=import_.import_id,
            exported_at=self.named.exported_at,
            generation=import_.generation,
            replay=import_.replay,
        )
        create_only = import_.mode == "bulk"
        keepable = self.found.type.keepable(self.found.rules)
        refused: dict[int, Problem] = {}
        if import_.mode == "test":
            for incoming in self.found.documents(plan):
                self.unchanged += len(incoming.lines)
            return refused
        if not plan.documents:
            return refused
        index = Indexing(
            self.services,
            self.hold,
            keys=plan.keys,
            origin=origin,
            keepable=keepable,
            create_only=create_only,
            skip=self.settings.skip_unchanged,
            under=fingerprint(self.found.rules),
        )
        orders = _Orphans(self, index) if self.named.type == "orders" else None

        in_time, stop_at = True, self._stop_at()
        ramp = self._ramp(index.pace)

        def settled(seen: Seen, outcome: Outcome) -> None:
            index.settled(seen, outcome)
            incoming = seen.incoming
            rows = len(incoming.lines)
            match outcome:
                case Written():
                    self.written += 1
                    self.loaded += rows
                case Left(reason) if reason == OWN:
                    self.loaded += rows
                case Left():
                    self.unchanged += rows
                case Refused(problem):
                    self.refused += rows
                    for line in incoming.lines:
                        refused[line] = replace(problem, line=line)

        with Writer[Seen](
            self.services.documents,
            f"connections/{import_.connection}/{self.found.type.collection}",
            decide=index.decide,
            mask=("source", *sorted(keepable)),
            on_result=settled,
            guard=self.hold.check,
            create_only=create_only,
            ramp=ramp,
        ) as writer:
            for incoming in self.found.documents(plan):
                if incoming.place % COUNTED == 0:
                    self._count_rows()
                seen = index.see(incoming, incoming.place)
                if seen.done == "unchanged":
                    self.unchanged += len(incoming.lines)
                    continue
                if seen.done == "written":
                    self.loaded += len(incoming.lines)
                    if orders is not None:
                        orders.see(seen)
                    continue
                if self.services.now() >= stop_at:
                    in_time = False
                    break
                if orders is not None:
                    orders.see(seen)
                writer.add(incoming.key, seen, seen.expected)
        if orders is not None:
            orders.finish()
        pace = None
        if ramp is not None:
            pace = Paced(writes_per_second=ramp.ceiling, at=self.services.now())
        if in_time:
            self.successor = replace(index.successor(), pace=pace)
        else:
            self.checkpoint = replace(index.checkpoint(), pace=pace)
        return refused

    def _stop_at(self) -> datetime:
        """Return when this task has worked long enough; some writing is done by each in any case,
        so that a file whose reading takes nearly all the time is loaded in the end.
        """
        now = self.services.now()
        deadline = self.services.deployment.task_deadline
        return max((self.import_.started_at or now) + deadline, now + deadline / 5)

    def _ramp(self, before: Paced | None) -> Ramp | None:
        """Return how many writes a second are sent; None where as many may be as are answered."""
        if not self.services.paced:
            return None
        rate: float = self.services.deployment.writes_per_second
        if before is not None:
            idle = (self.services.now() - before.at).total_seconds()
            rate = first_rate(rate, before=before.writes_per_second, idle=idle)
        return Ramp(rate, now=time.monotonic())

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
                text=wording.goes_on(hold.rows),
                lease=None,
                attempt=current.attempt - (1 if self.written else 0),
                rows=hold.rows,
                progress=hold.progress,
            )

        changed = hold.change(change)
        checkpoint.clean_up(services)
        return changed

    # -- accounts -----------------------------------------------------------------------------

    def _disregard(self, *, rows: bool) -> None:
        """Take it that nothing has been loaded, and with `rows` that none has been seen either.

        What has been seen up to a fault says nothing about the file.
        """
        self.loaded = self.unchanged = self.refused = self.orphaned = self.found.outdone = 0
        if rows:
            self.found.read = self.found.rejected = 0
            self.abandon()
            self.rejected_file = None

    def _count_rows(self) -> None:
        found = self.found
        self.hold.rows = Rows(
            read=found.read,
            loaded=self.loaded,
            unchanged=self.unchanged + found.outdone,
            rejected=found.rejected + self.refused,
            orphaned=self.orphaned,
        )

    def _end(self, status: Status, *, error: Problem | None = None) -> Import:
        self._count_rows()
        if status not in ("rejected", "failed"):
            rows = self.hold.rows
            if rows.read != rows.loaded + rows.unchanged + rows.rejected:
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
            rejected_file=self.rejected_file,
            successor=self.successor if status in LOADED else None,
        )


class _Orphans:
    """Counts the orders whose customer is not in Firestore and names the first few."""

    def __init__(self, run: Run, index: Indexing) -> None:
        self._run = run
        self._index = index
        self._known = KnownCustomers(run.services.documents, run.import_.connection)
        self._pending: list[Seen] = []
        self._sample: list[str] = []

    def see(self, order: Seen) -> None:
        self._pending.append(order)
        if len(self._pending) >= LOOKED_UP:
            self._look_up()

    def finish(self) -> None:
        self._look_up()
        if self._run.orphaned:
            self._run.found.tally.add(
                Problem(
                    code="order.customer_unknown",
                    message=(
                        f"{wording.count(self._run.orphaned, 'order')} loaded whose customer is "
                        f"not in Firestore, among them {', '.join(self._sample)}."
                    ),
                ),
                times=self._run.orphaned,
            )

    def _look_up(self) -> None:
        people = [order.incoming.refers_to for order in self._pending]
        missing = self._known.missing(people)
        for order, person in zip(self._pending, people, strict=True):
            if person in missing:
                self._run.orphaned += 1
                # Written and counted again by every file that holds it, until its customer comes.
                self._index.doubt(order.place)
                if len(self._sample) < SAMPLES:
                    self._sample.append(order.incoming.key)
        self._pending.clear()


def end(
    import_: Import,
    hold: Hold,
    services: Services,
    status: Status,
    *,
    named: ExportFile,
    error: Problem | None = None,
    header: tuple[str, ...] = (),
    tally: Tally | None = None,
    rejected_file: RejectedFile | None = None,
    successor: Successor | None = None,
) -> Import:
    """Write the reports, then the last entry of the ledger.

    The reports take the place of those that were there while the import was known to be this
    worker's: one that was taken for dead and comes back can put none over newer ones.
    """
    bucket = services.bucket
    tally = tally or Tally()
    now = services.now()
    if error is not None:
        tally.add(error)
    if rejected_file is not None:
        rejected_file.close()
    before = reports_now(bucket, named.report_json)
    hold.confirm()
    rejected = rejected_file.publish() if rejected_file is not None else None
    if rejected is None:
        for name in (part_name(named.rejected_csv), named.rejected_csv):
            delete_report(bucket, name, generation=before.get(name, 0))
    reports = Reports(rejected=rejected, report=named.report_json)
    text = (
        wording.rejected(error)
        if error is not None
        else wording.ended(hold.rows, checked=status == "checked")
    )
    warnings = (*import_.warnings, *tally.summary())

    def finished(current: Import) -> Import:
        return current.end(
            status,
            now=now,
            text=text,
            keep=services.deployment.ledger_retention,
            rows=hold.rows,
            progress=Progress(bytes_read=current.size, percent=100)
            if error is None
            else hold.progress,
            warnings=warnings[:WARNINGS_LIMIT],
            error=error,
            reports=reports,
            replay=False,
            force=False,
        )

    def change(ledger: LedgerTransaction, current: Import) -> Import:
        ended = finished(current)
        feed = release_feed(ledger, current)
        _alert(ledger, ended, services, now=now)
        if successor is not None:
            feed = successor.settle(feed)
            ledger.put_feed(feed)
        if status in LOADED and (feed.latest is None or current.import_id >= feed.latest):
            ledger.put_feed(replace(feed, latest=current.import_id, header=header))
        return ended

    write_report(
        bucket,
        finished(hold.import_),
        problems=tally.kept,
        counts=tally.counts,
        replacing=before,
    )
    changed = hold.change(change)
    if successor is not None:
        successor.clean_up(services)
    return changed


def _alert(ledger: LedgerTransaction, ended: Import, services: Services, *, now: datetime) -> None:
    """Open the alert that the end of an import calls for, and close those that are over."""
    if ended.status == "failed":
        raise_alert(ledger, "failed", ended, todo=FAILED_TODO, now=now)
        return
    resolve_import_alerts(ledger, ended, now=now)
    if ended.mode != "load" or ended.type is None:
        return
    if ended.status in LOADED:
        about = {"connection": ended.connection, "about": ended.type}
        resolve_alerts(ledger, REJECTED, now=now, **about)
    elif services.deployment.alert_rejected:
        raise_alert(ledger, REJECTED, ended, todo=REJECTED_TODO, now=now, about=ended.type)
