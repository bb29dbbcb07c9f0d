"""Examination of an export file by its bytes alone: judges its rows, makes its documents.

The loader and the check before an upload both judge files here, so they always agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.core import (
    CODES,
    ConnectionSettings,
    FileRejected,
    Problem,
    count,
    percent,
)
from shared.core.arrays import Mask, Numbers
from shared.files import Exports, Header
from shared.files.types import FileType, Rules
from shared.firestore.bulk import wire
from shared.parsing.blocks import INCOMPLETE, Block
from shared.parsing.buffer import Kept, KeptRows
from shared.parsing.checked import CellCounts, damaged
from shared.parsing.checker import CONSENT_BLANK
from shared.parsing.columnar.maker import PartMaker
from shared.parsing.columnar.parts import ChunkOutcome as Made
from shared.parsing.columnar.parts import Parts
from shared.parsing.csv.chunk import Chunk, RowBytes
from shared.parsing.csv.reader import CsvReader
from shared.parsing.factory import make_joiner, make_part_maker
from shared.parsing.hashing import hashes
from shared.parsing.plan import NOWHERE, Plan, Planner
from shared.parsing.problems import Tally
from shared.parsing.repeats import ROWS_OF_A_KEY, Rank, Repeats, RowOfKey
from shared.parsing.sizes import Measured, Sums

JUDGED = frozenset({"file.too_many_bad_rows", "file.damaged_column"})
"""Codes of files that are rejected whole after every row was checked: the counts are valid."""

_SPREADSHEET = re.compile(r"spreadsheet|/YYYY|two digits|DD-MON")
"""Looks of cells that a spreadsheet has saved."""


_UNREADABLE = frozenset(name for name in CODES if name.removeprefix("row.").startswith("bad_"))
_UNREADABLE |= {"row.undecodable"}


def is_left_out(warning: Problem) -> bool:
    """Return True if a warning about a good row says that one of its values could not be read."""
    code = warning.code
    return code in _UNREADABLE or (
        code == "row.consent_unknown" and not warning.message.startswith(CONSENT_BLANK)
    )


_INCOMPLETE = wire.entry(wire.FIELD, INCOMPLETE.encode(), wire.value(True))


class Watcher:
    """Receiver of an examination's progress; this one ignores it.

    Errors of a watcher are raised by the examination.
    """

    def begun(self, header: Header, delimiter: str) -> None:
        """Handle a header that was read and can be used."""

    def beat(self, bytes_read: int, percent: int) -> None:
        """Handle progress of reading; `percent` is of the whole work, all readings together."""

    def reject(
        self, cells: Sequence[str], problems: Sequence[Problem], export: str | None = None
    ) -> None:
        """Handle a row for the rejected file: it has problems, or it keeps its order whole.

        `export` is the export that the file names for the row; None if it names none.
        """


class RowSink(Protocol):
    """Takes the good rows of a file that is too large for one task."""

    def add(
        self,
        found: NDArray[np.uint64],
        lines: Numbers,
        rows: Sequence[bytes],
        exported: Numbers | None = None,
    ) -> None:
        """Take rows: the hashes of their keys, the lines where they begin, and their bytes.

        `exported` is the time of export of each row, as `Planner.see` takes it.
        """


class RowSource(Protocol):
    """Source of the rows that a `RowSink` has taken, for some of the keys."""

    broken: set[str]
    """Keys of documents with some rows that have errors; complete once `seen` has ended."""
    too_large: set[str]
    """Keys of documents that are too large: their rows have been rejected. Complete like
    `broken`."""

    def seen(self) -> Iterator[tuple[NDArray[np.uint64], Numbers, Numbers | None]]:
        """Yield the facts that a plan needs about the rows, many rows at a time."""

    def rows(self) -> Iterator[tuple[bytes, Numbers, Numbers]]:
        """Yield the rows themselves, in the order of the file."""


class Examination:
    """One file: first all rows are read and judged, then the documents are made.

    Attributes: read, rejected: rows. left_out: values of good rows that could not be read. longer:
    rows with one delimiter more than the header. outdone: good rows that do not count, because
    another row of their key does. header, delimiter, encoding: None until they have been read.
    tally: all problems. broken: keys of documents with some bad rows. too_large: keys of documents
    that are larger than Firestore accepts; their rows are bad.
    """

    def __init__(
        self,
        type_: FileType,
        settings: ConnectionSettings,
        *,
        open: Callable[[], BinaryIO],
        size: int,
        watcher: Watcher,
        first_load: bool = False,
        exports: Exports | None = None,
    ) -> None:
        """Prepare to examine.

        Args:
            type_: the type of the file.
            settings: the settings of the connection.
            open: opens the file at its beginning; it may be read several times.
            size: the bytes of the file.
            watcher: the receiver of progress.
            first_load: True to leave out consent.
            exports: reads the exports that the rows of a corrected file name.

        Raises:
            SettingsError: the settings name columns that do not exist.
        """
        self.type = type_
        self.rules = Rules.of(settings)
        self.layout = type_.layout(self.rules)
        self.tally = Tally()
        self.read = self.rejected = self.left_out = self.outdone = self.longer = 0
        self.header: Header | None = None
        self.delimiter: str | None = None
        self.encoding: str | None = None
        self._limit = settings.reject_limit
        self._floor = settings.reject_floor
        self._open = open
        self._size = size
        self._watcher = watcher
        self._seen = CellCounts()
        self._first_load = first_load
        self._exports = exports or Exports(type_.name)
        self._kept = Kept()
        self._spread_rows: RowSource | None = None
        self._reader: CsvReader
        self._grouped = False
        self.broken: set[str] = set()
        self.too_large: set[str] = set()
        self._sums: Sums
        self._maker: PartMaker
        self._key_place: int

    # -- first reading: is the file good, and which rows count? -------------------------------

    def judge(self) -> Plan:
        """Check every row; return the plan of the rows that count.

        Raises:
            FileRejected: the file cannot be used, or too many of its rows are bad.
            TryAgain: the file could not be read whole.
        """
        planner, kept = Planner(), self._kept

        def take(chunk: Chunk, made: Made) -> None:
            packed = made.packed
            exported = chunk.exported_at(packed.ordinals)
            rows = chunk.bytes(packed.ordinals)
            if len(packed.lines):
                planner.see_hashes(self._add_up(packed.keys, rows), packed.ordinals, exported)
            kept.add(packed, rows)

        self._examine(take)
        self._reject_too_large(lambda: self._rows_again(share=(50, 50)))
        self._refuse_bad_file()
        plan = self._plan(planner)
        self.note_repeated(plan.repeated)
        return plan

    def spread(self, spread: RowSink) -> None:
        """Check every row, and spread the good ones.

        Raises:
            FileRejected: the file cannot be used, or too many of its rows are bad.
            TryAgain: the file could not be read whole.
        """

        def take(chunk: Chunk, made: Made) -> None:
            packed = made.packed
            rows = chunk.bytes(packed.ordinals)
            exported = chunk.exported_at(packed.ordinals)
            spread.add(self._add_up(packed.keys, rows), packed.lines, rows, exported)

        self._examine(take)
        self._reject_too_large(lambda: self._read_again(share=(50, 50)))
        self._refuse_bad_file()

    def take_up(self, rows: RowSource) -> Plan:
        """Take some of the rows that `spread` has passed on; return the plan for them.

        Raises:
            TryAgain: the rows, or the file's header, could not be read.
        """
        self.read_header()
        planner = Planner()
        for seen in rows.seen():
            planner.see_hashes(*seen)
        self._spread_rows, self.broken, self.too_large = rows, rows.broken, rows.too_large
        return self._plan(planner)

    def _plan(self, planner: Planner) -> Plan:
        return planner.plan(
            rows_of_a_key=None if self._grouped else ROWS_OF_A_KEY, without=[*self.too_large]
        )

    def _add_up(self, keys: Sequence[str], rows: RowBytes) -> NDArray[np.uint64]:
        """Add up the sizes of documents of several rows; return the hashes of the rows' keys."""
        found = hashes(keys)
        if self._grouped and keys:
            self._sums.add(found, rows.lengths)
        return found

    def _reject_too_large(self, again: Callable[[], Iterator[KeptRows]]) -> None:
        """Reject all rows of documents that are larger than Firestore accepts.

        `again` yields the good rows once more.
        """
        if not self._grouped or not self._sums.suspicious:
            return
        sizes: dict[str, Measured] = {}
        for parts, _ in again():
            if not parts.keys:
                continue
            rows: list[int] = []
            for row in np.flatnonzero(self._sums.suspects(hashes(parts.keys))).tolist():
                measured = sizes.setdefault(parts.keys[row], Measured())
                measured.count(int(parts.lines[row]))
                if not measured.too_large:
                    rows.append(row)
            for row, part in zip(rows, self._maker.parts(parts, rows), strict=True):
                sizes[parts.keys[row]].add(part.own, part.item)
        too_large = {key: str(measured) for key, measured in sizes.items() if measured.too_large}
        self.too_large = {*too_large}
        self.broken -= self.too_large
        for parts, records in again() if too_large else ():
            found = np.flatnonzero(_among(parts.keys, too_large)).tolist()
            cut = self._reader.cut(records[place] for place in found)
            for place, (cells, export) in zip(found, cut, strict=True):
                problem = Problem(
                    code="row.too_large",
                    message=f"The rows of this key ({too_large[parts.keys[place]]}) are more than "
                    "a document of Firestore holds (1 MiB).",
                    line=int(parts.lines[place]),
                )
                self.rejected += 1
                self.tally.add(problem)
                self._watcher.reject(cells, (problem,), export)

    def read_header(self) -> None:
        """Read only the header of the file, to continue from an earlier reading.

        Raises:
            TryAgain: the file could not be read.
        """
        with self._open() as stream:
            self._begin(CsvReader(stream, self.layout, size=self._size))

    def note_repeated(self, rows: int) -> None:
        """Add a warning with the number of rows that repeat the key of another one."""
        if rows and not self._grouped:
            self.tally.add(
                Problem(
                    code="row.duplicate_key",
                    message=(
                        f"{count(rows, 'row repeats', 'rows repeat')} the key of another row. The "
                        "row updated last counts, of equals the later one, and its blank consent "
                        "is taken from the others. Where it is not known which is later, "
                        "consent that one of them withdraws is withdrawn."
                    ),
                ),
                times=rows,
            )

    def _refuse_bad_file(self) -> None:
        self._refuse_damaged_columns()
        bad, read = self.rejected, self.read
        if bad and bad == read:
            message = f"No row can be loaded: {count(read, 'row has', 'rows have')} errors."
        elif bad > self._floor and bad > self._limit * read:
            message = (
                f"{bad:,} of {count(read, 'row')} ({percent(bad / read)}) have errors. The limit "
                f"is {percent(self._limit)}, so nothing was loaded."
            )
        else:
            return
        message += self._in_common()
        raise FileRejected(Problem(code="file.too_many_bad_rows", message=message))

    def _in_common(self) -> str:
        """Return a sentence if most bad rows have one delimiter too many; else ""."""
        if not self.longer or 2 * self.longer < self.rejected:
            return ""
        rows = "Every row has" if self.longer == self.read else f"{count(self.longer, 'row')} have"
        return (
            f" {rows} one delimiter more than the header, at its end: let the export end the "
            "header in a delimiter, too, or no row."
        )

    def _refuse_damaged_columns(self) -> None:
        """Refuse the file if too many cells of a column cannot be read.

        Rows without a usable key are not counted here: they are rejected and counted as such.
        """
        found = damaged(
            self._seen,
            limit=self._limit,
            floors={
                column.name: self._floor + column.needed
                for column in self.type.own_columns
                if not column.kind.identifies
            },
        )
        if not found:
            return
        assert self.header is not None
        own = dict(zip(self.header.canonical, self.header.names, strict=True))
        worst, *others = (own.get(name, name) for name in found)
        seen, looks = self._seen, self._seen.looks_of(found[0])
        message = (
            f"{seen.unreadable_in(found[0]):,} of {count(seen.filled[found[0]], 'value')} in "
            f"{worst} cannot be read, so nothing was loaded. {looks}"
        )
        if others:
            message += f" {', '.join(others)}: damaged too."
        if any(_SPREADSHEET.search(seen.looks_of(name)) for name in found):
            message += " Probably the file was saved by a spreadsheet."
        raise FileRejected(Problem(code="file.damaged_column", message=message, column=worst))

    def _examine(self, take: Callable[[Chunk, Made], None]) -> None:
        unused = 0
        for chunk, made in self._chunks(share=(0, 50), first=True):
            take(chunk, made)
            self.read += len(chunk.numbers) + len(chunk.bad)
            self.rejected += len(made.rejected) + len(chunk.bad)
            self.tally.extend(made.warnings)
            self.left_out += sum(map(is_left_out, made.warnings))
            self._seen.add(made.seen)
            bad: list[tuple[int, Sequence[str], Sequence[Problem], str | None]] = [
                (one.line, one.cells, (one.problem,), one.export) for one in chunk.bad
            ]
            for one in made.rejected:
                export = chunk.exports[chunk.place(one.ordinal)] if chunk.exports else None
                bad.append((one.line, one.cells, one.problems, export))
                if self._grouped and (key := self.type.read_key(one.cells[self._key_place])):
                    self.broken.add(key)
            if self._grouped:
                self.broken.update(*(self._keys_among(one.cells) for one in chunk.bad))
            bad.sort(key=lambda one: one[0])
            for _, cut, problems, export in bad:
                self.tally.extend(problems)
                self._watcher.reject(cut, problems, export)
            unused += made.left_out
        if unused:
            self.tally.add(
                Problem(
                    code="row.consent_not_taken",
                    message=f"A first load takes no consent: that of {count(unused, 'row')} was "
                    "not loaded.",
                ),
                times=unused,
            )

    def _chunks(
        self, *, share: tuple[int, int], first: bool = False
    ) -> Iterator[tuple[Chunk, Made]]:
        """Read the file; `share` is the part of the whole work that this reading is, in percent."""
        with self._open() as stream:
            reader = CsvReader(stream, self.layout, size=self._size, exports=self._exports)
            if first:
                self._begin(reader)
            for chunk in reader.chunks():
                low, high = share
                done = min(1.0, reader.bytes_read / max(1, self._size))
                self._watcher.beat(reader.bytes_read, round(low + (high - low) * done))
                yield chunk, self._maker.make(chunk)
            if first:
                self.longer = reader.longer
                self.encoding = reader.encoding
                self.tally.extend(reader.warnings)

    def _begin(self, reader: CsvReader) -> None:
        self.header = reader.header
        self.delimiter = reader.delimiter
        self.encoding = reader.encoding
        self._grouped = self.type.grouped(reader.header)
        self._watcher.begun(reader.header, reader.delimiter)
        self._maker = make_part_maker(
            self.type,
            reader.header,
            self.rules,
            delimiter=reader.delimiter,
            exported_at=self._exports.latest,
            leave_out=self.type.consent if self._first_load else frozenset(),
        )
        self._key_place = self.type.place(self.type.key.name, reader.header, self.rules) or 0
        self._sums = Sums(self._maker.row_bytes)
        self._reader = reader

    # -- second reading: what does it say of each document? -----------------------------------

    def layers(self, plan: Plan) -> Iterator[Iterator[Block]]:
        """Yield `documents` of each layer of the plan; one must be loaded before the next."""
        return (self.documents(plan, layer) for layer in range(plan.layers))

    def documents(self, plan: Plan, layer: int = 0) -> Iterator[Block]:
        """Yield each document of a layer of the file once.

        Raises:
            TryAgain: the file could not be read whole.
        """
        span = 50 / plan.partitions
        for part in range(plan.partitions):
            share = (round(50 + part * span), round(50 + (part + 1) * span))
            chunks = self._rows_again(share=share)
            if self._grouped:
                yield from self._several(chunks, plan, part, layer)
            else:
                yield from self._single(chunks, plan, part, layer)

    def rows_at(self, lines: Mapping[int, object]) -> Iterator[tuple[int, list[str], str | None]]:
        """Read the file again and yield the good rows that begin on these lines.

        Yields line, cells, and the export that the file names for the row.
        """
        for chunk, _ in self._chunks(share=(100, 100)):
            found = [(place, line) for place, line in enumerate(chunk.lines) if line in lines]
            cells = chunk.cells([place for place, _ in found])
            for number, (place, line) in enumerate(found):
                export = chunk.exports[place] if chunk.exports else None
                yield line, [column[number] for column in cells.values()], export

    def _single(
        self, chunks: Iterator[KeptRows], plan: Plan, part: int, layer: int
    ) -> Iterator[Block]:
        """Yield a document per key, for the keys of one part.

        A key that repeats has one document for all its rows.
        """
        repeats = Repeats(self.type.consent)
        for parts, _ in chunks:
            places = plan.places(parts.ordinals)
            alone, mine = plan.alone(places), plan.partition(parts.keys) == part
            mine &= plan.in_layer(parts.ordinals, layer)
            lines: list[tuple[int, ...]] = [*zip(parts.lines.tolist(), strict=True)]
            block = Block(parts.keys, parts.own, parts.keep, lines, places.tolist())
            yield block.some(alone & mine)
            repeated = np.flatnonzero(~alone & mine)
            if len(repeated):
                whole = self._joined(repeats, parts, places, repeated)
                self.outdone += len(repeated) - len(whole)
                yield whole

    def _joined(self, repeats: Repeats, parts: Parts, places: Numbers, rows: Numbers) -> Block:
        """Return the documents of the keys whose last row is among some rows of repeated keys."""
        block = Block()
        for row, place, updated, ordinal, line in zip(
            rows.tolist(),
            places[rows].tolist(),
            parts.updated[rows].tolist(),
            parts.ordinals[rows].tolist(),
            parts.lines[rows].tolist(),
            strict=True,
        ):
            said: dict[str, Rank | None] = dict.fromkeys(parts.keep[row])
            document = max(place, ~place)
            repeats.add(document, RowOfKey(line, (updated, ordinal), parts.own[row], said))
            if place >= 0:
                whole = repeats.pop(document)
                block.keys.append(parts.keys[row])
                block.wires.append(whole.wire)
                block.keep.append(whole.keep)
                block.lines.append((whole.line,))
                block.places.append(document)
        return block

    def _several(
        self, chunks: Iterator[KeptRows], plan: Plan, part: int, layer: int
    ) -> Iterator[Block]:
        """Yield one document for all rows of a key, for the keys of one part."""
        joiner = make_joiner(self.type, self._maker)
        for parts, records in chunks:
            mine = plan.partition(parts.keys) == part
            places = plan.places(parts.ordinals)
            if plan.layers > 1:
                there = plan.in_layer(parts.ordinals, layer)
                mine &= there
                places[~there] = NOWHERE
            if self.too_large:
                gone = _among(parts.keys, self.too_large)
                mine &= ~gone
                places[gone] = NOWHERE
            if self.broken:
                others = _among(parts.keys, self.broken) & mine
                self._repeat(parts, records, np.flatnonzero(others))
            block, problems = joiner.join(parts, places, mine)
            self.tally.extend(problems)
            if self.broken:
                self._mark_incomplete(block)
            yield block

    def _keys_among(self, cells: Sequence[str]) -> set[str]:
        """Return the possible keys in a row that does not fit the header.

        The key is between its own place and the place that it has if all missing or extra cells
        come before it.
        """
        assert self.header is not None
        place = self._key_place
        low, high = sorted((place, place + len(cells) - len(self.header.names)))
        return {self.type.read_key(cell) for cell in cells[max(0, low) : max(0, high + 1)]} - {""}

    def _mark_incomplete(self, block: Block) -> None:
        """Mark the documents with some rejected rows, and add a warning for each."""
        marks = _among(block.keys, self.broken)
        if not marks.any():
            return
        block.incomplete = marks.tolist()
        for place in np.flatnonzero(marks).tolist():
            block.wires[place] += _INCOMPLETE
            self.tally.add(
                Problem(
                    code="order.incomplete",
                    message="A line of this order was rejected. Its other lines are loaded only "
                    "where no complete order is stored, and the document then says incomplete.",
                    line=block.lines[place][-1],
                )
            )

    def _repeat(self, parts: Parts, records: Sequence[bytes], places: Numbers) -> None:
        """Add good lines of orders to the rejected file, so that the orders can be sent whole."""
        cut = self._reader.cut(records[place] for place in places.tolist())
        for line, (cells, export) in zip(parts.lines[places].tolist(), cut, strict=True):
            problem = Problem(
                code="order.other_line_rejected",
                message="Nothing is wrong with this line: it keeps the order whole.",
                line=line,
            )
            self._watcher.reject(cells, (problem,), export)

    def _rows_again(self, *, share: tuple[int, int]) -> Iterator[KeptRows]:
        """Yield the rows of the file once more, with their bytes.

        The file is read a second time only if it has too many rows to keep.
        """
        if self._spread_rows is not None:
            for rows in self._spread_rows.rows():
                self._watcher.beat(self._size, share[0])
                for chunk in self._reader.again(*rows):
                    packed = self._maker.make(chunk).packed
                    yield packed.unpack(), chunk.bytes(packed.ordinals)
            return
        if self._kept.whole:
            for kept in self._kept.chunks():
                self._watcher.beat(self._size, share[0])
                yield kept
            return
        yield from self._read_again(share=share)

    def _read_again(self, *, share: tuple[int, int]) -> Iterator[KeptRows]:
        for chunk, made in self._chunks(share=share):
            yield made.parts, chunk.bytes(made.packed.ordinals)


def _among(keys: Sequence[str], some: Container[str]) -> Mask:
    """Mark the keys that are among some."""
    return np.fromiter(map(some.__contains__, keys), bool, len(keys))
