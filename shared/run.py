"""One attempt at one import: the file is read and judged whole, then written and reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from shared.errors import FileRejected, Problem
from shared.indexing import Indexing, Seen, Successor, fingerprint
from shared.intake import plan_task
from shared.kept import Kept
from shared.kept import Rows as KeptRows
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
from shared.merge import OWN, Incoming, Origin
from shared.names import ExportFile
from shared.pacing import Ramp, first_rate
from shared.plan import Plan, Planner
from shared.reader import Chunk, CsvReader
from shared.reports import (
    RejectedFile,
    Tally,
    delete_report,
    part_name,
    reports_now,
    write_report,
)
from shared.schemas import FileType, Part, PartMaker, Rules, file_type
from shared.schemas.parts import Outcome as Made
from shared.schemas.types import PERSON_COLUMN
from shared.services import Services
from shared.settings import ConnectionSettings
from shared.source import Source
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
        self.type: FileType = file_type(named.type)
        self.rules = Rules(
            time_zone=settings.time_zone,
            blank_means=settings.blank_means,
            key_column=settings.key_column,
            email_column=settings.email_column,
            aliases=settings.aliases,
            currency=settings.currency,
        )
        self.layout = self.type.layout(self.rules)
        self.tally = Tally()
        self.read = self.loaded = self.unchanged = self.rejected = self.orphaned = 0
        self.header: tuple[str, ...] = ()
        self.rejected_file: RejectedFile | None = None
        self.successor: Successor | None = None
        self.checkpoint: Successor | None = None
        self.kept = Kept()
        self.maker: PartMaker
        self.cut: Callable[[bytes], list[str]]

    # -- the course of an attempt -------------------------------------------------------------

    def carry_out(self) -> Import:
        source = Source(self.services.bucket, self.import_)
        self._look_for_same_content()
        planner, broken = self._examine(source)
        limit = self.settings.reject_limit
        if self.rejected > limit * self.read:
            raise FileRejected(
                Problem(
                    code="file.too_many_bad_rows",
                    message=(
                        f"{self.rejected:,} of {wording.count(self.read, 'row')} are wrong, "
                        f"more than the {limit:.0%} that are let pass."
                    ),
                )
            )
        grouped = self.grouped
        plan = planner.plan(grouped=grouped)
        if plan.repeated and not grouped:
            self.tally.add(
                Problem(
                    code="row.duplicate_key",
                    message=(
                        f"{wording.count(plan.repeated, 'row')} repeat the key of another row; "
                        "the row updated last was taken, of equals the later one."
                    ),
                ),
                times=plan.repeated,
            )
        refused = self._write(source, plan, broken)
        if self.checkpoint is not None:
            return self._go_on_later(self.checkpoint)
        if refused:
            self._report_refused(source, refused)
        self._count_rows()
        status: Status = "loaded"
        if self.import_.mode == "test":
            status = "checked"
        elif self.rejected:
            status = "loaded_with_rejects"
        return self._end(status)

    def reject(self, problem: Problem) -> Import:
        """End the import as one whose file cannot be used."""
        self.loaded = self.unchanged = self.orphaned = 0
        if problem.code != "file.too_many_bad_rows":
            # What has been seen up to the fault says nothing about the file.
            self.read = self.rejected = 0
            self.abandon()
            self.rejected_file = None
        return self._end("rejected", error=problem)

    def fail(self, problem: Problem) -> Import:
        """End the import as one that only a person can help."""
        self.read = self.loaded = self.unchanged = self.rejected = self.orphaned = 0
        self.abandon()
        self.rejected_file = None
        return self._end("failed", error=problem)

    def abandon(self) -> None:
        """Leave no half-written report behind."""
        if self.rejected_file is not None:
            self.rejected_file.abandon()

    # -- first reading: is the file good, and which rows count? -------------------------------

    def _examine(self, source: Source) -> tuple[Planner, set[str]]:
        """Check every row. Returns the plan to be, and the keys of grouped rows that are bad."""
        planner = Planner()
        broken: set[str] = set()
        for chunk, made in self._chunks(source, share=(0, 50), first=True):
            parts = made.parts
            planner.see(parts.keys, parts.updated, parts.ordinals)
            self.kept.add(parts, chunk.bytes(parts.ordinals) if self.grouped else ())
            self.read += len(chunk.lines) + len(chunk.bad)
            self.rejected += len(made.rejected) + len(chunk.bad)
            self.tally.extend(made.warnings)
            bad: list[tuple[int, Sequence[str], Sequence[Problem]]] = [
                (one.line, one.cells, (one.problem,)) for one in chunk.bad
            ]
            places = [chunk.place(one.ordinal) for one in made.rejected]
            cells = _cells(chunk, places)
            for place, one in enumerate(made.rejected):
                bad.append((one.line, [column[place] for column in cells.values()], one.problems))
                if self.grouped and (key := self.type.raw_key(cells, place)):
                    broken.add(key)
            for _, row, problems in sorted(bad, key=lambda one: one[0]):
                self._reject_row(row, problems)
            self._count_rows()
        return planner, broken

    def _chunks(
        self, source: Source, *, share: tuple[int, int], first: bool = False
    ) -> Iterator[tuple[Chunk, Made]]:
        """Read the file; `share` is the part of the whole work, in percent, that this is."""
        with source.open() as stream:
            reader = CsvReader(stream, self.layout, size=self.import_.size)
            header = reader.header
            if first:
                self.header = tuple(header.names)
                self.grouped = self.type.grouped(header)
                self.rejected_file = RejectedFile(
                    self.services.bucket,
                    self.named.rejected_csv,
                    header=header.names,
                    delimiter=reader.delimiter,
                )
                self._compare_header()
                self.maker = self.type.part_maker(
                    header,
                    self.rules,
                    # A first load leaves consent to those who gave it.
                    leave_out=self.type.consent if self.import_.mode == "bulk" else frozenset(),
                )
                self.cut = reader.cut
            for chunk in reader.chunks():
                self.hold.check()
                yield chunk, self.maker.make(chunk)
                low, high = share
                done = min(1.0, reader.bytes_read / max(1, self.import_.size))
                self.hold.progress = Progress(
                    bytes_read=reader.bytes_read, percent=round(low + (high - low) * done)
                )
            if first:
                self.tally.extend(reader.warnings)

    def _compare_header(self) -> None:
        feed = self.services.ledger.transact(
            lambda ledger: ledger.feed(self.import_.connection, self.named.type)
        )
        before, now = set(feed.header), set(self.header)
        if feed.header and before != now:
            gone, new = sorted(before - now), sorted(now - before)
            changes = [
                *([f"gone: {', '.join(gone)}"] if gone else []),
                *([f"new: {', '.join(new)}"] if new else []),
            ]
            self.tally.add(
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
                self.tally.add(
                    Problem(
                        code="file.same_content",
                        message=f"The file holds the same bytes as {other.import_id}.",
                    )
                )
                return

    # -- second reading: write what counts ----------------------------------------------------

    def _write(self, source: Source, plan: Plan, broken: set[str]) -> dict[int, Problem]:
        """Write every document. Returns line -> problem of the rows that Firestore refused."""
        import_ = self.import_
        origin = Origin(
            import_id=import_.import_id,
            exported_at=self.named.exported_at,
            generation=import_.generation,
            replay=import_.replay,
        )
        create_only = import_.mode == "bulk"
        keepable = self.type.keepable(self.rules)
        refused: dict[int, Problem] = {}
        if import_.mode == "test":
            for incoming in self._documents(source, plan, broken):
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
            under=fingerprint(self.rules),
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
                    self.loaded += rows
                case Left(reason) if reason == OWN:
                    self.loaded += rows
                case Left():
                    self.unchanged += rows
                case Refused(problem):
                    self.rejected += rows
                    for line in incoming.lines:
                        refused[line] = replace(problem, line=line)

        with Writer[Seen](
            self.services.documents,
            f"connections/{import_.connection}/{self.type.collection}",
            decide=index.decide,
            mask=("source", *sorted(keepable)),
            on_result=settled,
            guard=self.hold.check,
            create_only=create_only,
            ramp=ramp,
        ) as writer:
            for incoming in self._documents(source, plan, broken):
                seen = index.see(incoming, incoming.place)
                if seen.done == "unchanged":
                    self.unchanged += len(incoming.lines)
                    continue
                if seen.done == "written":
                    self.loaded += len(incoming.lines)
                    continue
                if self.services.now() >= stop_at:
                    in_time = False
                    break
                if orders is not None:
                    orders.see(seen)
                writer.add(incoming.key, seen, seen.expected)
                if incoming.place % COUNTED == 0:
                    self._count_rows()
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
        """Leave the rest to a new task, which counts as the same attempt."""
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
                attempt=current.attempt - 1,
                rows=hold.rows,
                progress=hold.progress,
            )

        changed = hold.change(change)
        checkpoint.clean_up(services)
        return changed

    def _documents(self, source: Source, plan: Plan, broken: set[str]) -> Iterator[Incoming]:
        """Yield what the file says about each document, once."""
        span = 50 / plan.partitions
        for part in range(plan.partitions):
            share = (round(50 + part * span), round(50 + (part + 1) * span))
            chunks = self._rows_again(source, broken, share=share)
            if self.grouped:
                yield from self._grouped(chunks, plan, part, broken)
            else:
                yield from self._single(chunks, plan)

    def _single(self, chunks: Iterator[KeptRows], plan: Plan) -> Iterator[Incoming]:
        """Make a document of each row that counts."""
        for parts, _ in chunks:
            for place, key, content, keep, line in zip(
                plan.places(parts.ordinals),
                parts.keys,
                parts.own,
                parts.keep,
                parts.lines,
                strict=True,
            ):
                if place >= 0:
                    yield Incoming(key=key, wire=content, keep=keep, lines=(line,), place=place)
                else:
                    self.unchanged += 1

    def _grouped(
        self,
        chunks: Iterator[KeptRows],
        plan: Plan,
        part: int,
        broken: set[str],
    ) -> Iterator[Incoming]:
        """Make a document of all rows of a key, of those keys that belong to one part."""
        open_parts: dict[str, list[Part]] = {}
        for parts, records in chunks:
            of_part = plan.partition(parts.keys)
            of_plan = plan.places(parts.ordinals)
            for place, key in enumerate(parts.keys):
                if of_part[place] != part:
                    continue
                if key in broken:
                    self._repeat_row(self.cut(records[place]), parts.lines[place])
                open_parts.setdefault(key, []).append(self.maker.part(parts, place))
                if of_plan[place] >= 0:
                    yield self._whole(key, open_parts.pop(key), of_plan[place])

    def _whole(self, key: str, parts: list[Part], place: int) -> Incoming:
        content, problems = self.type.join(parts)
        self.tally.extend(problems)
        last = parts[-1]
        return Incoming(
            key=key,
            wire=content,
            keep=last.keep,
            lines=tuple([part.line for part in parts]),
            place=place,
            refers_to=last.values.get(PERSON_COLUMN, ""),
        )

    def _rows_again(
        self, source: Source, broken: set[str], *, share: tuple[int, int]
    ) -> Iterator[KeptRows]:
        """Yield the rows of the file once more, and their bytes where they are wanted.

        They are read a second time only where there are too many to be kept.
        """
        if self.kept.whole:
            for kept in self.kept.chunks():
                self.hold.check()
                yield kept
            return
        for chunk, made in self._chunks(source, share=share):
            wanted = self.grouped and broken
            yield made.parts, chunk.bytes(made.parts.ordinals) if wanted else ()

    def _report_refused(self, source: Source, refused: Mapping[int, Problem]) -> None:
        """Read the file once more for the rows that Firestore would not take."""
        for chunk, _ in self._chunks(source, share=(100, 100)):
            places = [place for place, line in enumerate(chunk.lines) if line in refused]
            cells = _cells(chunk, places)
            for number, place in enumerate(places):
                row = [column[number] for column in cells.values()]
                self._reject_row(row, (refused[chunk.lines[place]],))

    # -- accounts -----------------------------------------------------------------------------

    def _reject_row(self, cells: Sequence[str], problems: Sequence[Problem]) -> None:
        self.tally.extend(problems)
        if self.rejected_file is not None:
            self.rejected_file.add(cells, problems)

    def _repeat_row(self, cells: Sequence[str], line: int) -> None:
        """Put a good line of an order beside its bad ones, so that the order can be sent whole."""
        if self.rejected_file is not None:
            problem = Problem(
                code="order.other_line_rejected",
                message="Nothing is wrong with this line: it keeps the order whole.",
                line=line,
            )
            self.rejected_file.add(cells, (problem,))

    def _count_rows(self) -> None:
        self.hold.rows = Rows(
            read=self.read,
            loaded=self.loaded,
            unchanged=self.unchanged,
            rejected=self.rejected,
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
            header=self.header,
            tally=self.tally,
            rejected_file=self.rejected_file,
            successor=self.successor if status in LOADED else None,
        )


def _cells(chunk: Chunk, places: Sequence[int]) -> dict[str, list[str]]:
    """Return the cells of some rows of a chunk, column by column."""
    frame = chunk.some(places)
    return {str(name): column.tolist() for name, column in frame.items()}


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
            self._run.tally.add(
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
