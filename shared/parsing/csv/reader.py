"""Reader of an export file, a stream of bytes, as chunks of rows in constant memory.

This module and the modules below check the header, the ends of the rows, the number of their cells,
their encoding and the end of the file. Sound rows are read column by column, in a `Grid`. The csv
module cuts the cells of single rows. Rows that it would read differently from `dialect` are
rewritten for it first: rows with blanks around quotes, or with cells that are not UTF-8.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import BinaryIO, Self

import numpy as np
import pandas as pd

from shared.core import FileRejected, Problem, TryAgain
from shared.core.arrays import Mask, Numbers
from shared.files import EXPORT, Exports, Layout, is_import_id, unguard
from shared.parsing.csv.dialect import END_OF_FILE, dialect_of
from shared.parsing.csv.grid import Grid, Places, lay_out
from shared.parsing.csv.header import COLUMNS, HEADER_BYTES, read_header
from shared.parsing.csv.records import BROKEN, RECORD_BYTES, Records, Splitter
from shared.parsing.csv.text import (
    UNREADABLE,
    WINDOWS_1252,
    refuse_foreign,
    text_of,
    texts_of,
    without_bom,
)

__all__ = ["BadRow", "Chunk", "CsvReader", "RowBytes"]

BLOCK_BYTES = 1024 * 1024
"""Bytes read at a time. Blocks of this size cost the least per row."""
CHUNK_ROWS = 10_000
"""Rows of the largest chunk, so that a file of tiny rows needs no more memory than another."""

CELLS = 2 * COLUMNS
"""Cells up to which a bad row is cut. The rest of the row is in the last cell, as written."""

csv.field_size_limit(RECORD_BYTES)

_UNREADABLE = UNREADABLE.encode()
_ROW_BEGINS = re.compile(rb'[0-9 ]*|\s*".*', re.DOTALL)
"""Text of a row that may have been cut off in its first cell. Any other last line of one cell
without a line end is a footer."""
_BAD_QUOTES = "row.bad_quotes"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read with the header."""

    line: int
    """Line of the file where the row begins, as an editor numbers it."""
    cells: list[str]
    """Cells of the row, all of them up to `CELLS`."""
    problem: Problem
    export: str | None = None
    """Text in the place where the file names the export of the row; None if the file names none."""


class RowBytes(Sequence[bytes]):
    """Bytes of some rows, in UTF-8, taken from their block on request."""

    def __init__(
        self, data: bytes, starts: Places, ends: Places, recoded: Mapping[int, bytes]
    ) -> None:
        """Prepare; `recoded` are the bytes of rewritten rows, by their place among these rows."""
        self._data = data
        self._starts = starts
        self._ends = ends
        self._recoded = recoded

    @classmethod
    def of(cls, records: Records, rows: Numbers, recoded: Mapping[int, bytes]) -> Self:
        """Return the bytes of some records; `recoded` by their numbers."""
        return cls(
            records.data,
            records.starts[rows].astype(np.int32),
            records.ends[rows].astype(np.int32),
            {
                place: recoded[row]
                for place, row in enumerate(rows.tolist() if recoded else ())
                if row in recoded
            },
        )

    @property
    def size(self) -> int:
        """Approximate bytes in memory besides the block."""
        return self._starts.nbytes + self._ends.nbytes + sum(map(len, self._recoded.values()))

    @property
    def lengths(self) -> Numbers:
        """Number of bytes of each row."""
        lengths = (self._ends - self._starts).astype(np.int64)
        for place, recoded in self._recoded.items():
            lengths[place] = len(recoded)
        return lengths

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, place: int) -> bytes:  # type: ignore[override]
        if place in self._recoded:
            return self._recoded[place]
        return self._data[self._starts[place] : self._ends[place]]

    def __iter__(self) -> Iterator[bytes]:
        if self._recoded:
            return map(self.__getitem__, range(len(self)))
        data = self._data
        bounds = zip(self._starts.tolist(), self._ends.tolist(), strict=True)
        return iter([data[start:end] for start, end in bounds])


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some rows of a file, in the order of the file."""

    line_numbers: Numbers
    """Line of the file where each good row begins."""
    numbers: Numbers
    """Number of each good row in the file, counted from 0, bad rows included."""
    bad: list[BadRow]
    first_row: int
    """Ordinal of the first row, good or bad."""
    grid: Grid
    """Places of the cells of the good rows; columns as in the header."""
    exports: list[str] | None
    """Import id of the export of each good row; None if the file names none."""
    exported: Numbers | None
    """Time of each of these exports, as `shared.files.exported.micros`."""
    _reader: CsvReader
    _records: Records
    _first_record: int
    """Row number that a spreadsheet shows for the first of the records."""
    _good: Numbers
    _recoded: dict[int, bytes]

    @property
    def lines(self) -> list[int]:
        """Return `line_numbers` as a list."""
        lines: list[int] = self.line_numbers.tolist()
        return lines

    @property
    def ordinals(self) -> list[int]:
        """Return `numbers` as a list."""
        ordinals: list[int] = self.numbers.tolist()
        return ordinals

    @property
    def frame(self) -> pd.DataFrame:
        """Good rows, named by `header.canonical`; every cell a str as written, "" if blank."""
        columns = self.cells(range(len(self._good)))
        return pd.DataFrame(columns, dtype=object)

    def cells(self, places: Sequence[int]) -> dict[str, list[str]]:
        """Return, column by column, the cells of the good rows at these places, as in `frame`."""
        rows = self._good[np.array(places, np.int64)]
        return self._reader._named_cells(self._records, rows, self._recoded)

    def exported_at(self, ordinals: Numbers) -> Numbers | None:
        """Return the times of the exports of good rows; None if the file names none."""
        if self.exported is None:
            return None
        return self.exported[np.searchsorted(self.numbers, ordinals)]

    def lines_and_numbers(self, places: Numbers) -> tuple[list[int], list[int | None]]:
        """Return the lines on which good rows begin, and the row numbers that a spreadsheet shows.

        The number is None if it is the line. Example: 4 for line 6, if the rows before hold two
        line ends.
        """
        lines = self.line_numbers[places]
        numbers = self._first_record + self._good[places]
        return lines.tolist(), _numbers(lines.tolist(), numbers.tolist())

    def place(self, ordinal: int) -> int:
        """Return the place of a row among the good ones."""
        return int(np.searchsorted(self.numbers, ordinal))

    def bytes(self, ordinals: Numbers) -> RowBytes:
        """Return the bytes of good rows, in UTF-8; `CsvReader.cut` cuts them."""
        rows = self._good[np.searchsorted(self.numbers, ordinals)]
        return RowBytes.of(self._records, rows, self._recoded)


class CsvReader:
    """Reads one export file from its beginning to its end, once.

    Attributes: header: the columns, see `shared.files.layout.Header`. delimiter: one of `,` `;` tab
    `|`. encoding: `utf-8`, or `windows-1252` as soon as one cell needed it. longer: rows that have
    one delimiter more than the header, and nothing after it. warnings: the warnings about the file;
    complete when `chunks` has ended. bytes_read: bytes of the stream that have been read, for
    progress.
    """

    def __init__(
        self,
        stream: BinaryIO,
        layout: Layout,
        *,
        size: int | None = None,
        exports: Exports | None = None,
        block_bytes: int = BLOCK_BYTES,
        record_bytes: int = RECORD_BYTES,
    ) -> None:
        """Read the beginning of the file.

        `size` is the number of bytes that the stream should give. `exports` reads the column that
        names the export of each row, if there is one. Raises FileRejected if the file cannot be
        used, TryAgain if the stream ends before `size`.
        """
        self._stream = stream
        self._exports = exports
        self._size = size
        self._block_bytes = block_bytes
        self._ended = False
        self.bytes_read = 0
        head = self._read(max(block_bytes, HEADER_BYTES))
        refuse_foreign(head[:4096])
        head = without_bom(head)
        whole = self._ended and len(head) <= HEADER_BYTES
        found = read_header(head[:HEADER_BYTES], layout, final=whole)

        self.header = found.header
        self.delimiter = found.delimiter
        self.encoding = found.encoding
        self.warnings = list(found.warnings)
        self._found = found
        self.longer = 0
        self._dialect = dialect_of(found.delimiter)
        self._splitter = Splitter(
            found.delimiter, width=found.width, line=found.next_line, record_bytes=record_bytes
        )
        self._head = head[found.end :]
        self._next_row = 0
        self._next_record = found.line + 1
        self._not_utf8 = 0
        self._first_not_utf8 = 0
        if found.encoding == WINDOWS_1252:
            self._note_not_utf8(found.line)

    def chunks(self) -> Iterator[Chunk]:
        """Read to the end of the file.

        Raises FileRejected: `file.truncated`, `file.footer` or `file.record_too_long`; TryAgain if
        the stream ends before `size`.
        """
        block, self._head = self._head, b""
        while True:
            records = self._splitter.split(block, final=self._ended)
            self._refuse_cut_end(records)
            for start in range(0, len(records), CHUNK_ROWS):
                chunk = self._chunk(records, start, min(start + CHUNK_ROWS, len(records)))
                if chunk is not None:
                    yield chunk
            self._next_record += len(records)
            if self._ended:
                break
            block = self._read(self._block_bytes)
        if self._not_utf8:
            self.warnings.append(
                Problem(
                    code="file.not_utf8",
                    message=(
                        "Cells that are not UTF-8, the first of them here, were read as "
                        f"Windows-1252: {self._not_utf8:,}."
                    ),
                    line=self._first_not_utf8,
                )
            )

    def again(self, data: bytes, lines: Numbers, ordinals: Numbers) -> Iterator[Chunk]:
        """Make chunks of good rows that have been read before.

        `data` is what `Chunk.bytes` gave for them, one row after another, each with a line end;
        `lines` and `ordinals` are those of the rows.
        """
        # No width: it has been checked before that no cell hides a row.
        records = Splitter(self.delimiter, record_bytes=len(data)).split(data, final=True)
        if len(records) != len(lines):
            raise RuntimeError(f"{len(lines)} rows were put aside, {len(records)} come back")
        records = replace(records, lines=lines)
        for start in range(0, len(records), CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, len(records))
            chunk = self._chunk(records, start, stop)
            if chunk is None or chunk.bad or len(chunk.numbers) != stop - start:
                raise RuntimeError("rows that were good are bad when they come back")
            yield replace(chunk, numbers=ordinals[start:stop])

    def cut(self, records: Iterable[bytes]) -> Iterator[tuple[list[str], str | None]]:
        """Yield the cells of each good row's bytes, as in its chunk's `frame`, and its export.

        The export is the one that the file names for the row; None if it names none.
        """
        for texts in csv.reader(map(bytes.decode, records), delimiter=self.delimiter):
            export = None if self._found.export is None else texts[self._found.export].strip()
            texts = texts[: len(self.header.names)]
            yield [unguard(text) for text in texts] if self._found.reported else texts, export

    def _read(self, wanted: int) -> bytes:
        """Read a whole block; a short one is the last."""
        parts: list[bytes] = []
        while wanted:
            part = self._stream.read(wanted)
            if not part:
                self._ended = True
                break
            parts.append(part)
            wanted -= len(part)
        block = b"".join(parts)
        self.bytes_read += len(block)
        if self._ended and self._size is not None and self.bytes_read < self._size:
            raise TryAgain(f"Only {self.bytes_read:,} of {self._size:,} bytes could be read.")
        return block

    def _refuse_cut_end(self, records: Records) -> None:
        """Refuse the file if its last row has neither all its cells nor a line end."""
        if records.closed:
            return
        last = records.record(len(records) - 1)
        cells = self._dialect.loose(last)
        if len(cells) >= self._found.width or not last.strip(b" \t" + END_OF_FILE):
            return
        line = int(records.lines[-1])
        if len(cells) == 1 and not _ROW_BEGINS.fullmatch(last):
            raise FileRejected(
                Problem(
                    code="file.footer",
                    message="The file ends with a footer line that is no row: it has one cell and "
                    f"no line end, where each row has {self._found.width} cells.",
                    line=line,
                )
            )
        raise FileRejected(
            Problem(
                code="file.truncated",
                message=(
                    f"The file ends in the middle of this row: it has {len(cells)} of "
                    f"{self._found.width} cells and no line end."
                ),
                line=line,
            )
        )

    def _chunk(self, records: Records, start: int, stop: int) -> Chunk | None:
        """Make a chunk of some of the records; None if they are all blank lines."""
        rows = np.flatnonzero(records.cells[start:stop]) + start
        if not len(rows):
            return None
        first_row = self._next_row
        self._next_row += len(rows)
        named = len(self.header.names)
        bad: dict[int, BadRow] = {}
        recoded, damaged = self._recode(records, rows, bad)
        for row in rows[records.cells[rows] != self._found.width].tolist():
            if row not in bad:
                bad[row] = self._misshapen(records, row)
        if "code" in self._found.report:
            self._refuse_same_again(records, rows, recoded, bad)

        fits = np.ones(len(rows), bool)
        fits[np.searchsorted(rows, sorted(bad))] = False
        good, ordinals = rows[fits], np.flatnonzero(fits) + first_row
        # Cells of a report that was sent again may be guarded, so they cannot be used as written.
        irregular = good if self._found.reported else np.array([*recoded, *damaged], np.int64)
        if self._found.unnamed and not self._found.reported:
            spoilt = self._unnamed(records, good, recoded, irregular, bad)
            good, ordinals = good[~spoilt], ordinals[~spoilt]
        exports, exported = None, None
        if self._exports is not None and self._found.export is not None:
            sound, exports, exported = self._exported(records, good, recoded, bad, self._exports)
            good, ordinals = good[sound], ordinals[sound]
        return Chunk(
            line_numbers=records.lines[good],
            numbers=ordinals,
            bad=[bad[row] for row in sorted(bad)],
            first_row=first_row,
            grid=lay_out(records, good, named, self._found.width, irregular=irregular),
            exports=exports,
            exported=exported,
            _reader=self,
            _records=records,
            _first_record=self._next_record,
            _good=good,
            _recoded=recoded,
        )

    def _named_cells(
        self, records: Records, rows: Numbers, recoded: dict[int, bytes]
    ) -> dict[str, list[str]]:
        cells = self._cells(records, rows, recoded)
        if self._found.reported:
            cells = [[unguard(cell) for cell in column] for column in cells]
        return dict(zip(self.header.canonical, cells, strict=False))

    def _recode(
        self, records: Records, rows: Numbers, bad: dict[int, BadRow]
    ) -> tuple[dict[int, bytes], list[int]]:
        """Find the rows whose bytes must not be used as written.

        Returns rows that are rewritten, in UTF-8 and with regular quotes, and rows with UNREADABLE.
        Rows with zero bytes are added to `bad`.
        """
        whole = records.data[records.starts[rows[0]] : records.ends[rows[-1]]]
        if b"\0" in whole:
            for row in rows.tolist():
                if b"\0" in records.record(row):
                    bad[row] = self._bad(records, row, "row.nul", "The row holds zero bytes.")
        ascii = whole.isascii()
        utf8 = ascii or _is_utf8(whole)
        suspects = rows[records.cells[rows] == self._found.width]
        if utf8 and END_OF_FILE not in whole:
            suspects = suspects[records.firsts[suspects] < 0]
        recoded: dict[int, bytes] = {}
        for row in suspects.tolist():
            record = records.record(row)
            if row not in bad and (
                END_OF_FILE in record
                or self._dialect.is_spaced(record)
                or not (utf8 or _is_utf8(record))
            ):
                recoded[row] = self._written_again(records, row, record)
        damaged: list[int] = []
        if not ascii and _UNREADABLE[:1] in whole and _UNREADABLE in whole:  # one byte is quick
            damaged = [row for row in rows.tolist() if _UNREADABLE in records.record(row)]
        return recoded, damaged

    def _written_again(self, records: Records, row: int, record: bytes) -> bytes:
        """Return a row in UTF-8, all its cells in quotes and no blanks around the quotes."""
        cut = self._dialect.cut(record)
        assert cut is not None
        cells = [*cut.cells]
        cells[-1] = cells[-1].rstrip(END_OF_FILE)
        texts: list[bytes] = []
        for cell in cells:
            text, encoding = text_of(cell)
            if encoding == WINDOWS_1252:
                self._note_not_utf8(int(records.lines[row]))
            texts.append(text.encode().replace(b'"', b'""'))
        mark = self.delimiter.encode()
        return b'"' + (b'"' + mark + b'"').join(texts) + b'"\n'

    def _note_not_utf8(self, line: int) -> None:
        self.encoding = WINDOWS_1252
        self._first_not_utf8 = self._first_not_utf8 or line
        self._not_utf8 += 1

    def _refuse_same_again(
        self, records: Records, rows: Numbers, recoded: dict[int, bytes], bad: dict[int, BadRow]
    ) -> None:
        """Add to `bad` the rows of a report that were rejected for a quote that is still there."""
        sound = np.array([row for row in rows.tolist() if row not in bad], np.int64)
        cells = self._cells(records, sound, recoded)
        named = len(self.header.names)
        codes = cells[named + self._found.report.index("code")]
        for place in [at for at, code in enumerate(codes) if _BAD_QUOTES in code]:
            column = next(
                (n for n in range(named) if cells[n][place].lstrip().startswith('"')), None
            )
            if column is not None:
                row = int(sound[place])
                message = (
                    "The value still begins with the quote for which the row was refused; "
                    "correct the value, or empty the row's cell in the column code."
                )
                bad[row] = self._bad(records, row, _BAD_QUOTES, message, column=column)

    def _misshapen(self, records: Records, row: int) -> BadRow:
        """Return a row that has another number of cells than the header, or is a broken line."""
        record = records.record(row)
        hint = self._dialect.hint(record)
        has, width = int(records.cells[row]), self._found.width
        if has == BROKEN:
            message = (
                "A quote on this line is not closed, or a quote inside the value is not doubled"
                f"{hint}. The next line was read as a row of its own."
            )
            column = self._dialect.fault(record)
            return self._bad(records, row, _BAD_QUOTES, message, column=column)
        if hint:
            pass
        elif has == width + 1 and not self._dialect.loose(record)[-1].strip():
            self.longer += 1
            hint = "; it has one delimiter more than the header, at its end"
        elif has == 1:
            hint = (
                "; a title or footer line does not belong into the file, and a line break inside "
                "a value needs quotes"
            )
        elif has < width:
            hint = "; a delimiter or a line break inside a value may lack its quotes"
        else:
            hint = "; a delimiter inside a value may lack its quotes"
        cells = f"{has:,} cell{'' if has == 1 else 's'}"
        message = f"The row has {cells} where the header has {width:,}{hint}."
        return self._bad(records, row, "row.cell_count", message)

    def _bad(
        self, records: Records, row: int, code: str, message: str, *, column: int | None = None
    ) -> BadRow:
        line = int(records.lines[row])
        cut = self._dialect.loose(records.record(row), most=CELLS)
        cells = [text.replace("\0", UNREADABLE) for text in texts_of(cut)]
        export = None
        if self._found.reported:
            cells = [unguard(cell) for cell in cells]
        if self._found.export is not None:
            whole = len(cells) == self._found.width
            export = cells[self._found.export if whole else -1].strip() if cells else ""
            if whole or is_import_id(export):
                # Cells of the report that was sent again are not the row's own.
                cells = cells[: len(cells) - self._found.unnamed]
            else:
                export = ""
        names = self.header.names
        name = names[column] if column is not None and column < len(names) else None
        (number,) = _numbers([line], [self._next_record + row])
        problem = Problem(
            code=code, message=message, line=line, column=name, severity="row", row=number
        )
        return BadRow(line, cells, problem, export)

    def _exported(
        self,
        records: Records,
        good: Numbers,
        recoded: dict[int, bytes],
        bad: dict[int, BadRow],
        exports: Exports,
    ) -> tuple[Mask, list[str], Numbers]:
        """Find the export of each row; add rows with an unknown one to `bad`, and mark the others.

        Also returns the exports that the other rows name, and their times.
        """
        assert self._found.export is not None
        cells = [cell.strip() for cell in self._cells(records, good, recoded)[self._found.export]]
        found = [exports.read(cell) for cell in cells]
        sound = np.array([isinstance(one, int) for one in found], bool)
        for row, one in zip(good.tolist(), found, strict=True):
            if isinstance(one, str):
                was = self._bad(records, row, "row.bad_export", one)
                bad[row] = replace(was, problem=replace(was.problem, column=EXPORT))
        exported = np.array([one for one in found if isinstance(one, int)], np.int64)
        return sound, [*compress(cells, sound.tolist())], exported

    def _unnamed(
        self,
        records: Records,
        good: Numbers,
        recoded: dict[int, bytes],
        irregular: Numbers,
        bad: dict[int, BadRow],
    ) -> Mask:
        """Find the rows with a value in a column that has no name."""
        width, named = self._found.width, len(self.header.names)
        grid = lay_out(records, good, width, width, irregular=irregular)
        spoilt: Mask = (grid.lengths[named:] > 0).any(axis=0) | ~grid.regular
        doubtful = np.flatnonzero(spoilt)
        extra = self._cells(records, good[doubtful], recoded)[named:]
        spoilt[doubtful] = [any(map(str.strip, cells)) for cells in zip(*extra, strict=True)]
        for row in good[spoilt].tolist():
            bad[row] = self._bad(
                records,
                row,
                "row.cell_without_column",
                "The row holds a value behind the last column that has a name.",
            )
        return spoilt

    def _cells(self, records: Records, rows: Numbers, recoded: dict[int, bytes]) -> list[list[str]]:
        """Let the csv module cut the cells of rows that are known to be sound."""
        lines = [record.decode() for record in RowBytes.of(records, rows, recoded)]
        cut = [*csv.reader(lines, delimiter=self.delimiter)]
        if len(cut) != len(lines):
            raise RuntimeError(f"{len(lines)} rows were given to csv, {len(cut)} came back")
        if not cut:
            return [[] for _ in range(self._found.width)]
        return [[*column] for column in zip(*cut, strict=True)]


def _numbers(lines: Iterable[int], rows: Iterable[int]) -> list[int | None]:
    """Return the row numbers that a spreadsheet shows; None where that is the line."""
    return [None if line == row else row for line, row in zip(lines, rows, strict=True)]


def _is_utf8(record: bytes) -> bool:
    try:
        record.decode()
    except UnicodeDecodeError:
        return False
    return True
