"""Where the records of a CSV file begin and end, and how many cells and lines each has.

The rules are those of Python's `csv` module (`doublequote=True, strict=False`): a quote opens a
quoted cell only at the beginning of the cell, a doubled quote inside stands for one, what follows
a closing quote is part of the cell, and a line ends with LF, CRLF or CR.

Blocks are cut with array arithmetic as long as the number of quotes before a byte tells whether
it lies inside a quoted cell. From the first quote that stands elsewhere (`5" heel`), the rest of
the block is cut cell by cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from shared.errors import FileRejected, Problem

RECORD_BYTES = 4 * 1024 * 1024
"""Bytes of the longest record that is read. Bounds the memory that a missing quote can cost."""

_QUOTE, _LF, _CR = b'"\n\r'

Numbers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Whole records, one behind the other."""

    data: bytes
    """Their bytes, line ends included; may go on behind the last record."""
    starts: Numbers
    """Where in `data` each record begins."""
    ends: Numbers
    """Where in `data` each record, its line end included, ends."""
    cells: Numbers
    """How many cells each has; 0 for a blank line."""
    lines: Numbers
    """The line of the file where each begins; the first is 1. Line ends in quotes count."""
    closed: bool
    """Whether the last record has its line end; only the last one of a file can lack it."""
    delimiters: Numbers
    """Where in `data` the delimiters between cells are, one behind the other."""
    firsts: Numbers
    """Which of `delimiters` is the first of each record; -1 for a record cut cell by cell."""

    def __len__(self) -> int:
        return len(self.ends)

    def record(self, index: int) -> bytes:
        """Bytes of one record, its line end included."""
        return self.data[self.starts[index] : self.ends[index]]


@dataclass(frozen=True, slots=True)
class Record:
    """One record, cut cell by cell."""

    cells: tuple[bytes, ...]
    """Without quotes; empty for a blank line."""
    end: int
    """Where it ends in the bytes it was read from, its line end included."""
    closed: bool
    """Whether it has its line end."""


class Dialect:
    """Cuts single records of files with one delimiter, given as one ASCII character."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        plain = rb"[^%s\r\n]" % re.escape(delimiter.encode())
        end = rb"(%s|\r\n|\n|\r|\Z)" % re.escape(delimiter.encode())
        # Possessive throughout: what a quote has opened is never tried again as a plain cell.
        self._cell = re.compile(
            rb'(?:"((?:[^"]++|"")*+)"(%s*+)|((?!")%s*+))%s' % (plain, plain, end)
        )

    def cut(
        self, data: bytes, start: int = 0, *, final: bool = True, most: int | None = None
    ) -> Record | None:
        """Cut the record that begins at `start`.

        `final` says that nothing follows `data`. Returns None when the record does not end in
        `data`; with `final`, that means a quote that is never closed. With `most`, `data` holds
        this record alone, and of more cells than that the last ones stay in one, as written.
        """
        cells: list[bytes] = []
        position = start
        while match := self._cell.match(data, position):
            quoted, tail, plain, end = match.groups()
            position = match.end()
            cells.append(plain if quoted is None else quoted.replace(b'""', b'"') + tail)
            if end == self.delimiter.encode():
                if most is not None and len(cells) >= most:
                    cells[-1:] = [data[match.start() :].rstrip(b"\r\n")]
                    return Record(tuple(cells), len(data), True)
                continue
            if not final and (not end or (end == b"\r" and position == len(data))):
                return None
            blank = len(cells) == 1 and not match.group(0).strip(b"\r\n")
            return Record(() if blank else tuple(cells), position, bool(end))
        return None


class Splitter:
    """Cuts a file, given block by block, into records. Keeps what has no end yet for the next."""

    def __init__(self, delimiter: str, *, line: int = 1, record_bytes: int = RECORD_BYTES) -> None:
        """`line` is the number of the file's line with which the first block begins."""
        self._dialect = Dialect(delimiter)
        self._delimiter = ord(delimiter)
        self._beside_quotes = np.zeros(256, bool)
        self._beside_quotes[[self._delimiter, _QUOTE, _LF, _CR]] = True
        self._record_bytes = record_bytes
        self._line = line
        self._rest = b""

    def split(self, block: bytes, *, final: bool) -> Records:
        """Cut the next block; with `final` it is the last one.

        Raises FileRejected: `file.record_too_long`, or `file.truncated` when the file ends
        inside quotes.
        """
        data = self._rest + block
        # Whether a CR at the very end is a line end of its own shows only in the next block.
        held = not final and data.endswith(b"\r")
        fast, regular = self._fast(data[:-1] if held else data)
        starts, ends, cells, lines, delimiters, firsts = fast

        position = int(ends[-1]) if len(ends) else 0
        line = self._line + _line_ends(data, 0, position)
        closed = True
        if not regular or (final and position < len(data)):
            found = [*self._slow(data, position, line, final=final)]
            if found:
                more = np.array([one[:3] for one in found], np.int64).reshape(-1, 3)
                starts = np.append(starts, np.append(position, more[:-1, 0]))
                ends, cells, lines = (
                    np.append(part, more[:, place])
                    for place, part in enumerate((ends, cells, lines))
                )
                firsts = np.append(firsts, np.full(len(found), -1))
                position, closed = int(ends[-1]), found[-1][3]
                line = int(lines[-1]) + _line_ends(data, int(starts[-1]), position)
        self._check(starts, ends, lines, line, len(data) - position)
        if final and position < len(data):
            raise FileRejected(
                Problem(
                    code="file.truncated",
                    message="The file ends inside a quoted cell of the row that begins here.",
                    line=line,
                )
            )
        self._rest = data[position:]
        self._line = line
        return Records(data, starts, ends, cells, lines, closed, delimiters, firsts)

    def _fast(self, data: bytes) -> tuple[tuple[Numbers, ...], bool]:
        """Cut as far as quotes are regular, and say whether that is everywhere.

        Returns the starts, ends, cells, lines, delimiters and firsts of `Records`.
        """
        octets = np.frombuffer(data, np.uint8)
        line_ends = _positions(octets, _LF)
        returns = data.count(b"\r")
        if returns and returns != data.count(b"\r\n"):
            alone = _positions(octets, _CR)
            alone = alone[np.append(octets, 0)[alone + 1] != _LF]
            line_ends = np.sort(np.append(line_ends, alone))
        delimiters = octets == self._delimiter
        breaks, regular = line_ends, True
        if b'"' in data:
            quotes = octets == _QUOTE
            irregular = self._first_irregular(octets, np.flatnonzero(quotes))
            regular = irregular == len(data)
            # Counted in one byte: what is lost is even.
            outside = (np.cumsum(quotes, dtype=np.uint8) & 1) ^ 1
            delimiters &= outside.view(bool)
            breaks = line_ends[outside[line_ends].view(bool)]
            breaks = breaks[: np.searchsorted(breaks, irregular)]

        ends = breaks + 1
        starts = np.append(0, ends[:-1])[: len(ends)]
        places = np.flatnonzero(delimiters)
        before = np.searchsorted(places, np.append(0, ends))
        cells = np.diff(before) + 1
        size = ends - starts
        first = octets[starts]
        line_end = (first == _LF) | (first == _CR)
        cells[line_end & ((size == 1) | ((size == 2) & (first == _CR)))] = 0
        lines = np.searchsorted(line_ends, starts) + self._line
        return (starts, ends, cells, lines, places, before[:-1]), regular

    def _first_irregular(self, octets: npt.NDArray[np.uint8], quotes: Numbers) -> int:
        """Find the first quote that does not open or close a whole cell, or the end.

        Every other quote opens: before it there must be a delimiter, a line end, or a quote that
        has just closed (then the two are one). The ones between close, and the same must follow.
        """
        opening, closing = quotes[0::2], quotes[1::2]
        good_opening = self._beside_quotes[octets[opening - 1]] | (opening == 0)
        following = np.append(octets, _LF)[closing + 1]
        good_closing = self._beside_quotes[following]
        wrong = np.append(opening[~good_opening], closing[~good_closing])
        return int(wrong.min()) if len(wrong) else len(octets)

    def _slow(
        self, data: bytes, position: int, line: int, *, final: bool
    ) -> Iterator[tuple[int, int, int, bool]]:
        """Cut cell by cell; yields (end, cells, line, closed) of each record."""
        while position < len(data) and (record := self._dialect.cut(data, position, final=final)):
            yield record.end, len(record.cells), line, record.closed
            line += _line_ends(data, position, record.end)
            position = record.end

    def _check(
        self, starts: Numbers, ends: Numbers, lines: Numbers, rest_line: int, rest_bytes: int
    ) -> None:
        too_long = np.flatnonzero(ends - starts > self._record_bytes)
        if len(too_long):
            line = int(lines[too_long[0]])
        elif rest_bytes > self._record_bytes:
            line = rest_line
        else:
            return
        raise FileRejected(
            Problem(
                code="file.record_too_long",
                message=(
                    f"The row that begins here has more than {self._record_bytes:,} bytes: a "
                    "closing quote or a line end is probably missing."
                ),
                line=line,
            )
        )


def _positions(octets: npt.NDArray[np.uint8], octet: int) -> Numbers:
    return np.flatnonzero(octets == octet)


def _line_ends(data: bytes, start: int, end: int) -> int:
    """Count line ends as an editor does: LF, CRLF and CR are one each."""
    returns = data.count(b"\r", start, end)
    pairs = data.count(b"\r\n", start, end) if returns else 0
    return data.count(b"\n", start, end) + returns - pairs
