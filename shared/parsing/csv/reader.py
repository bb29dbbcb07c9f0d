"""Reader of an export file, a stream of bytes, as chunks of rows in constant memory.

This module and the modules below check the header, the ends of the rows, the number of their cells,
their encoding and the end of the file. Sound rows are read column by column, in a `Grid`. The csv
module cuts the cells of single rows. Rows that it would read differently from `dialect` are
rewritten for it first: rows with blanks around quotes, or with cells that are not UTF-8.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import compress
from typing import BinaryIO

import numpy as np

from shared.core import FileRejected, Problem, TryAgain
from shared.core.arrays import Mask, Numbers
from shared.files import EXPORT, Exports, Layout, is_import_id, unguard
from shared.parsing.csv.chunk import BadRow, Chunk, RowBytes, spreadsheet_numbers
from shared.parsing.csv.dialect import END_OF_FILE, dialect_of
from shared.parsing.csv.grid import lay_out
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
            _cut=partial(self._named_cells, records, recoded),
            _records=records,
            _first_record=self._next_record,
            _good=good,
            _recoded=recoded,
        )

    def _named_cells(
        self, records: Records, recoded: dict[int, bytes], rows: Numbers
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
        (number,) = spreadsheet_numbers([line], [self._next_record + row])
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


def _is_utf8(record: bytes) -> bool:
    try:
        record.decode()
    except UnicodeDecodeError:
        return False
    return True
