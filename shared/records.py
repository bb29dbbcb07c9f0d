"""Where the records of a CSV file begin and end, and how many cells and lines each has.

The rules are those of Python's `csv` module (`doublequote=True, strict=False`): a quote opens a
quoted cell only at the beginning of the cell, a doubled quote inside stands for one, what follows
a closing quote is part of the cell, and a line ends with LF, CRLF or CR.

Blocks are cut with array arithmetic as long as the number of quotes before a byte tells whether
it lies inside a quoted cell; what is asked of every byte is asked of 64 at once, as the bits of a
word. From the first quote that stands elsewhere (`5" heel`), the rest of the block is cut cell by
cell.
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

PADDING = 64
"""Bytes that follow the records at least, so that something can be read behind every cell."""

_QUOTE, _LF, _CR = b'"\n\r'
_PRINTED = range(0x21, 0x7F)
"""Signs that no blank of any kind begins or ends with. Bytes of other letters may be of a blank."""
_ONE = np.uint64(1)
_TOP = np.uint64(63)

Numbers: TypeAlias = npt.NDArray[np.int64]
Octets: TypeAlias = npt.NDArray[np.uint8]
Mask: TypeAlias = npt.NDArray[np.bool_]
Words: TypeAlias = npt.NDArray[np.uint64]
"""A bit a byte of a block, the first in the lowest bit of the first word."""


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Whole records, one behind the other."""

    data: bytes
    """Their bytes, line ends included, and others behind them, at least PADDING."""
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
    separators: Numbers
    """Where in `data` the delimiters and line ends that end cells are, one behind the other."""
    firsts: Numbers
    """Which of `separators` ends the first cell of each record; -1 for one cut cell by cell."""
    quoted: bool
    """Whether there may be quotes in `data`."""
    doubled: Numbers
    """Where in `data` doubled quotes are that stand for one; cut with array arithmetic only."""
    unprinted: Numbers
    """Where in `data` a cell begins or ends with something else than a printed ASCII sign;
    likewise. The delimiter is taken for printed."""

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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Cut:
    """What of a block is cut with array arithmetic: as in `Records`, and"""

    starts: Numbers
    ends: Numbers
    cells: Numbers
    lines: Numbers
    separators: Numbers
    firsts: Numbers
    quoted: bool
    doubled: Numbers
    unprinted: Numbers
    line_ends: Numbers
    """where all line ends are, those in quotes included;"""
    whole: bool
    """whether all quotes are regular."""


class Splitter:
    """Cuts a file, given block by block, into records. Keeps what has no end yet for the next."""

    def __init__(self, delimiter: str, *, line: int = 1, record_bytes: int = RECORD_BYTES) -> None:
        """`line` is the number of the file's line with which the first block begins."""
        self._dialect = Dialect(delimiter)
        self._delimiter = ord(delimiter)
        self._record_bytes = record_bytes
        self._line = line
        self._rest = b""

    def split(self, block: bytes, *, final: bool) -> Records:
        """Cut the next block; with `final` it is the last one.

        Raises FileRejected: `file.record_too_long`, or `file.truncated` when the file ends
        inside quotes.
        """
        size = len(self._rest) + len(block)
        data = b"".join((self._rest, block, bytes(PADDING + -size % PADDING)))
        # Whether a CR at the very end is a line end of its own shows only in the next block.
        held = not final and size > 0 and data[size - 1] == _CR
        cut = self._fast(data, size - held)

        position = int(cut.ends[-1]) if len(cut.ends) else 0
        line = self._line + int(np.searchsorted(cut.line_ends, position))
        starts, ends, cells, lines, firsts = cut.starts, cut.ends, cut.cells, cut.lines, cut.firsts
        closed = True
        if not cut.whole or (final and position < size):
            found = [*self._slow(data[:size], position, line, final=final)]
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
        self._check(starts, ends, lines, line, size - position)
        if final and position < size:
            raise FileRejected(
                Problem(
                    code="file.truncated",
                    message="The file ends inside a quoted cell of the row that begins here.",
                    line=line,
                )
            )
        self._rest = data[position:size]
        self._line = line
        return Records(
            data,
            starts,
            ends,
            cells,
            lines,
            closed,
            cut.separators,
            firsts,
            cut.quoted,
            cut.doubled,
            cut.unprinted,
        )

    def _fast(self, data: bytes, size: int) -> _Cut:
        """Cut the first `size` bytes as far as quotes are regular."""
        octets = np.frombuffer(data, np.uint8)
        is_end = octets == _LF
        returned = np.zeros(len(octets) >> 6, np.uint64)
        if data.find(b"\r", 0, size) >= 0:
            returns = octets == _CR
            returns[size:] = False
            is_end[:-1] |= returns[:-1] & ~is_end[1:]
            returned = _packed(returns)
        line_ends = np.flatnonzero(is_end)
        separates = is_end | (octets == self._delimiter)

        bits = _packed(separates)
        ends_cell: Words = bits | (returned & _before(_packed(is_end)))
        quoted = data.find(b'"', 0, size) >= 0
        irregular = size
        doubled = np.empty(0, np.int64)
        if quoted:
            quotes = _packed(octets == _QUOTE)
            beside = bits | returned | quotes
            beside[size >> 6] |= _ONE << np.uint64(size & 63)
            opened = _parity(quotes)
            opening, closing = quotes & opened, quotes & ~opened
            good = _after(beside)
            good[0] |= _ONE
            irregular = min(size, _first((opening & ~good) | (closing & ~_before(beside)), size))
            # What has closed and is followed by a quote has not: the two stand for one.
            doubled = _places(closing & _before(quotes))
            bits &= ~opened
            ends_cell &= ~opened
        begins, stops = _after(bits), _before(ends_cell)
        begins[0] |= _ONE
        if quoted:
            begins |= _after(begins & opening)
            stops |= _before(stops & closing)
        separators = _places(bits)
        at = np.flatnonzero(is_end[separators])
        if irregular < size:
            at = at[: np.searchsorted(separators[at], irregular)]

        ends = separators[at] + 1
        starts = np.append(0, ends[:-1])[: len(ends)]
        firsts = np.append(0, at[:-1] + 1)[: len(at)]
        cells = at - firsts + 1
        length = ends - starts
        first = octets[starts]
        line_end = (first == _LF) | (first == _CR)
        cells[line_end & ((length == 1) | ((length == 2) & (first == _CR)))] = 0
        if len(line_ends) == len(at):
            lines = np.arange(self._line, self._line + len(at))
        else:
            lines = np.searchsorted(line_ends, starts) + self._line
        return _Cut(
            starts=starts,
            ends=ends,
            cells=cells,
            lines=lines,
            separators=separators,
            firsts=firsts,
            line_ends=line_ends,
            quoted=quoted,
            doubled=doubled,
            unprinted=_places(_unprinted(octets) & ~ends_cell & (begins | stops)),
            whole=irregular == size,
        )

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


def _unprinted(octets: Octets) -> Words:
    """Mark everything that is no printed sign."""
    return _packed((octets - np.uint8(_PRINTED.start)) >= np.uint8(len(_PRINTED)))


def _packed(mask: Mask) -> Words:
    """Return a bit a byte, of a multiple of 64 bytes."""
    packed: Words = np.packbits(mask, bitorder="little").view("<u8")
    return packed


def _places(words: Words) -> Numbers:
    """Return which bits are set."""
    if not words.any():
        return np.empty(0, np.int64)
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little").view(bool))


def _first(words: Words, otherwise: int) -> int:
    """Return the first bit that is set."""
    found = np.flatnonzero(words)
    if not len(found):
        return otherwise
    word = int(words[found[0]])
    return 64 * int(found[0]) + (word & -word).bit_length() - 1


def _after(words: Words) -> Words:
    """Set the bits that follow one that is set."""
    moved = words << _ONE
    moved[1:] |= words[:-1] >> _TOP
    return moved


def _before(words: Words) -> Words:
    """Set the bits that come before one that is set."""
    moved = words >> _ONE
    moved[:-1] |= words[1:] << _TOP
    return moved


def _parity(words: Words) -> Words:
    """Set the bits up to which, and with which, an odd number of bits are set."""
    odd = words.copy()
    for step in (1, 2, 4, 8, 16, 32):
        odd ^= odd << np.uint64(step)
    carried = np.bitwise_xor.accumulate(odd >> _TOP)
    odd[1:] ^= np.uint64(0) - carried[:-1]
    return odd


def _line_ends(data: bytes, start: int, end: int) -> int:
    """Count line ends as an editor does: LF, CRLF and CR are one each."""
    returns = data.count(b"\r", start, end)
    pairs = data.count(b"\r\n", start, end) if returns else 0
    return data.count(b"\n", start, end) + returns - pairs
