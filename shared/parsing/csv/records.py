"""Beginnings and ends of the rows of a CSV file, and their numbers of cells and lines.

The rules are those of `dialect`. Blocks are cut with array arithmetic as long as the number of
quotes before a byte tells if the byte is inside a quoted cell. Tests of every byte are made for 64
bytes at once, as the bits of a word. A row with a quote elsewhere (`5" heel`) is cut cell by cell.
After that row, array arithmetic is used again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from shared.core import FileRejected, Problem
from shared.core.arrays import Mask, Numbers, Octets, Words
from shared.parsing.csv.dialect import Record, dialect_of

RECORD_BYTES = 4 * 1024 * 1024
"""Bytes of the longest record that is read. This limits the memory that a missing quote can
cost."""

PADDING = 64
"""Least number of bytes after the records, so that a read past a cell's end is possible."""

BROKEN = -1
"""Number of cells of a line with a quote that is not closed, or not doubled."""

_QUOTE, _LF, _CR = b'"\n\r'
_WINDOW = 8 * 1024
"""Bytes that are tried with array arithmetic after a row that was cut cell by cell; more if that
succeeds."""
_FEW = 16
"""Rows from which on a window was worth the effort."""
_PATIENCE = 256
"""Rows that are cut cell by cell between two windows, at most."""
_PRINTED = range(0x21, 0x7F)
"""Bytes with which no blank of any kind begins or ends. Bytes outside the range may belong to a
blank."""
_ONE = np.uint64(1)
_TOP = np.uint64(63)


_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Whole records, one after another."""

    data: bytes
    """Bytes of the records, line ends included, with at least PADDING bytes after them."""
    starts: Numbers
    """Place in `data` where each record begins."""
    ends: Numbers
    """Place in `data` where each record ends, its line end included."""
    cells: Numbers
    """Number of cells of each record; 0 for a row of nothing, BROKEN for a broken line."""
    lines: Numbers
    """Line of the file where each record begins; the first is 1. Line ends in quotes count."""
    closed: bool
    """True if the last record has its line end; only the last record of a file can lack it."""
    separators: Numbers
    """Places in `data` of the delimiters and line ends that end cells, in order."""
    firsts: Numbers
    """Place in `separators` of the end of each record's first cell; -1 if it was cut cell by
    cell."""
    quoted: bool
    """True if there may be quotes in `data`."""
    doubled: Numbers
    """Places in `data` of doubled quotes that mean one quote, in records cut with array
    arithmetic."""
    unprinted: Numbers
    """Places in `data` where a cell begins or ends with something other than a printed ASCII
    character, in records cut with array arithmetic. The delimiter counts as printed."""

    def __len__(self) -> int:
        return len(self.ends)

    def record(self, index: int) -> bytes:
        """Return the bytes of one record, its line end included."""
        return self.data[self.starts[index] : self.ends[index]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Cut:
    """Some rows after each other; fields as in `Records`, and two more."""

    starts: Numbers
    ends: Numbers
    cells: Numbers
    lines: Numbers
    firsts: Numbers
    separators: Numbers = field(default_factory=lambda: _NONE)
    doubled: Numbers = field(default_factory=lambda: _NONE)
    unprinted: Numbers = field(default_factory=lambda: _NONE)
    quoted: bool = True
    closed: bool = True
    whole: bool = False
    """True if only an unfinished row follows, in the bytes that were read."""
    next_line: int
    """Line on which the following bytes begin."""


class Splitter:
    """Cuts a file into records, block by block. Keeps an unfinished record for the next."""

    def __init__(
        self,
        delimiter: str,
        *,
        width: int | None = None,
        line: int = 1,
        record_bytes: int = RECORD_BYTES,
    ) -> None:
        """Prepare.

        Args:
            delimiter: one ASCII character.
            width: the number of the header's cells, to find rows that are inside a cell; None to
                not search for them.
            line: the line of the file with which the first block begins.
            record_bytes: bytes of the longest record that is read.
        """
        self._dialect = dialect_of(delimiter, width)
        self._delimiter = ord(delimiter)
        self._width = width or 0
        self._record_bytes = record_bytes
        self._line = line
        self._rest = b""
        self._leads = np.zeros(256, bool)
        self._leads[[*self._dialect.leads, *range(0x80, 0x100)]] = True
        self._seconds = self._leads.copy()
        self._seconds[[_QUOTE, _LF, _CR]] = True

    def split(self, block: bytes, *, final: bool) -> Records:
        """Cut the next block; `final` is True for the last one.

        Raises FileRejected: `file.record_too_long`, or `file.truncated` if the file ends inside
        quotes.
        """
        size = len(self._rest) + len(block)
        data = b"".join((self._rest, block, bytes(PADDING + -size % PADDING)))
        parts = [*self._parts(data, size, final=final)]
        starts, ends, cells, lines = (
            np.concatenate([_NONE, *(getattr(part, name) for part in parts)])
            if len(parts) != 1
            else getattr(parts[0], name)
            for name in ("starts", "ends", "cells", "lines")
        )
        position = int(ends[-1]) if len(ends) else 0
        line = parts[-1].next_line if parts else self._line
        self._check(starts, ends, lines, line, size - position)
        if final and position < size:
            hint = self._dialect.hint(data[position:size])
            raise FileRejected(
                Problem(
                    code="file.truncated",
                    message="The file ends inside a quoted cell of the row that begins here: the "
                    f"file is broken off, or the quote is never closed{hint}.",
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
            parts[-1].closed if parts else True,
            *_joined(parts),
        )

    def _parts(self, data: bytes, size: int, *, final: bool) -> Iterator[_Cut]:
        """Cut all whole rows, with array arithmetic and cell by cell in turns."""
        position, line = 0, self._line
        window, patience = size, 1
        doomed: set[int] = set()
        while position < size:
            stop = min(size, position + window)
            cut = self._fast(data, position, stop, line, final=final and stop == size)
            found = len(cut.ends)
            if found:
                position, line = int(cut.ends[-1]), cut.next_line
                yield cut
            if cut.whole and stop < size and found:
                window *= 4
                continue
            if position == size or (cut.whole and stop == size and not final):
                return
            patience = 1 if found >= _FEW else min(2 * patience, _PATIENCE)
            slow = self._slow(data, position, size, line, doomed, most=patience, final=final)
            if slow is None:
                return
            position, line = int(slow.ends[-1]), slow.next_line
            window = _WINDOW
            yield slow

    def _fast(self, data: bytes, begin: int, stop: int, line: int, *, final: bool) -> _Cut:
        """Cut bytes with array arithmetic as far as quotes are regular."""
        size = stop - begin
        padding = PADDING + -size % PADDING
        if begin or len(data) != size + padding:
            data = data[begin:stop] + bytes(padding)
        # Only the next byte tells if a CR at the very end is a line end of its own.
        if not final and data[size - 1] == _CR:
            size -= 1
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
        doubled = _NONE
        if quoted:
            quotes = _packed(octets == _QUOTE)
            beside = bits | returned | quotes
            beside[size >> 6] |= _ONE << np.uint64(size & 63)
            opened = _parity(quotes)
            opening, closing = quotes & opened, quotes & ~opened
            good = _after(beside)
            good[0] |= _ONE
            irregular = min(size, _first((opening & ~good) | (closing & ~_before(beside)), size))
            # A closing quote that is followed by a quote does not close: the two mean one quote.
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
        lines, doubtful = self._lines(data, line_ends, starts, ends, cells)
        lines += line
        whole = irregular == size and doubtful is None
        if doubtful is not None:
            starts, ends, cells, lines, firsts = (
                part[:doubtful] for part in (starts, ends, cells, lines, firsts)
            )
        self._empty(data, starts, ends, cells)
        unprinted = _places(_unprinted(octets) & ~ends_cell & (begins | stops))
        position = int(ends[-1]) if len(ends) else 0
        next_line = line + int(np.searchsorted(line_ends, position))
        if begin or final or not whole:  # otherwise there is no other part
            starts, ends = starts + begin, ends + begin
            separators, doubled, unprinted = (
                part[: np.searchsorted(part, position)] + begin
                for part in (separators, doubled, unprinted)
            )
        return _Cut(
            starts=starts,
            ends=ends,
            cells=cells,
            lines=lines,
            firsts=firsts,
            separators=separators,
            doubled=doubled,
            unprinted=unprinted,
            quoted=quoted,
            whole=whole,
            next_line=next_line,
        )

    def _lines(
        self, data: bytes, line_ends: Numbers, starts: Numbers, ends: Numbers, cells: Numbers
    ) -> tuple[Numbers, int | None]:
        """Return the line on which each record begins, from 0, and the first doubtful record."""
        if len(line_ends) == len(ends):
            return np.arange(len(ends)), None
        last = np.searchsorted(line_ends, ends - 1)  # the line end that ends the record
        lines = np.append(0, last[:-1] + 1)[: len(last)]
        several = np.flatnonzero(last > lines)
        return lines, self._doubtful(data, starts, ends, cells, several)

    def _doubtful(
        self, data: bytes, starts: Numbers, ends: Numbers, cells: Numbers, several: Numbers
    ) -> int | None:
        """Find the first record of several lines inside which a row may be, by its delimiters."""
        if self._width < 2 or not len(several):
            return None
        bounds = zip(starts[several].tolist(), ends[several].tolist(), strict=True)
        count = np.array([data.count(self._delimiter, start, end) for start, end in bounds])
        one = self._width - 1
        doubtful = np.flatnonzero((count > one - 2 + cells[several]) | (count >= 2 * one))
        return int(several[doubtful[0]]) if len(doubtful) else None

    def _empty(self, data: bytes, starts: Numbers, ends: Numbers, cells: Numbers) -> None:
        """Set the number of cells of rows of nothing to 0."""
        octets = np.frombuffer(data, np.uint8)
        first = octets[starts]
        maybe = self._leads[first] | (first == _QUOTE)
        if maybe.any():
            places = np.flatnonzero(maybe)
            places = places[self._seconds[octets[starts[places] + 1]]]
            for place in places.tolist():
                if self._dialect.is_nothing(data, int(starts[place]), int(ends[place])):
                    cells[place] = 0

    def _slow(
        self,
        data: bytes,
        position: int,
        size: int,
        line: int,
        doomed: set[int],
        *,
        most: int,
        final: bool,
    ) -> _Cut | None:
        """Cut at most `most` records cell by cell; None if not one is whole."""
        found: list[tuple[int, int, int, int]] = []
        closed = True
        while position < size and len(found) < most:
            record = self._dialect.cut(data, position, size, final=final, doomed=doomed)
            if record is None:
                break
            found.append((position, record.end, _cells_of(record), line))
            line += _line_ends(data, position, record.end)
            position, closed = record.end, record.closed
        if not found:
            return None
        starts, ends, cells, lines = np.array(found, np.int64).T
        return _Cut(
            starts=starts,
            ends=ends,
            cells=cells,
            lines=lines,
            firsts=np.full(len(found), -1),
            closed=closed,
            next_line=line,
        )

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


def _joined(parts: Sequence[_Cut]) -> tuple[Numbers, Numbers, bool, Numbers, Numbers]:
    """Return the fields of `Records` from `separators` on, for all parts."""
    quoted = any(part.quoted for part in parts)
    if len(parts) == 1:
        (part,) = parts
        return part.separators, part.firsts, quoted, part.doubled, part.unprinted
    before = 0
    firsts = [_NONE]
    for part in parts:
        firsts.append(np.where(part.firsts < 0, part.firsts, part.firsts + before))
        before += len(part.separators)
    separators, doubled, unprinted = (
        np.concatenate([_NONE, *(getattr(part, name) for part in parts)])
        for name in ("separators", "doubled", "unprinted")
    )
    return separators, np.concatenate(firsts), quoted, doubled, unprinted


def _cells_of(record: Record) -> int:
    return BROKEN if record.broken else len(record.cells)


def _unprinted(octets: Octets) -> Words:
    """Mark all bytes that are not printed characters."""
    return _packed((octets - np.uint8(_PRINTED.start)) >= np.uint8(len(_PRINTED)))


def _packed(mask: Mask) -> Words:
    """Return one bit per byte, for a multiple of 64 bytes."""
    packed: Words = np.packbits(mask, bitorder="little").view("<u8")
    return packed


def _places(words: Words) -> Numbers:
    """Return the places of the bits that are set."""
    some = np.flatnonzero(words)
    if 2 * len(some) > len(words):
        return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little").view(bool))
    bits = np.unpackbits(words[some].view(np.uint8), bitorder="little").view(bool)
    found = np.flatnonzero(bits)
    places: Numbers = (some[found >> 6] << 6) + (found & 63)
    return places


def _first(words: Words, otherwise: int) -> int:
    """Return the place of the first bit that is set; `otherwise` if none is."""
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
    """Set the bits up to which, themselves included, an odd number of bits are set."""
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
