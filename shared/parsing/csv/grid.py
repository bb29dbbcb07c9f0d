"""Places of the cells of a block's rows in its bytes, so that whole columns can be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared.core.arrays import Mask, Numbers, Octets, Words
from shared.parsing.csv.dialect import WIDE_BLANKS
from shared.parsing.csv.records import Records

_QUOTE, _LF, _CR = b'"\n\r'

Places: TypeAlias = npt.NDArray[np.int32]
"""Places or lengths in a block."""

# Each in UTF-8, of two bytes or three.
_WIDE_BLANKS = np.array([int.from_bytes(sign.encode(), "big") for sign in WIDE_BLANKS])


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Cells of some rows, as arrays with one row per column of the file, one column per row."""

    data: bytes
    """Bytes of the block, with PADDING more after them."""
    octets: Octets
    """The same bytes as an array."""
    starts: Places
    """Place in the block where each cell begins, after its opening quote."""
    lengths: Places
    """Bytes of each cell, without quotes around it; 0 in a row that is not regular."""
    doubled: Mask
    """True for cells with quotes inside, each written twice."""
    strange: Mask
    """True for cells that may differ from their bytes, because of quotes inside or blanks around
    them."""
    regular: Mask
    """True for rows whose cells are known; cells of other rows must be cut one by one."""
    wide: frozenset[int]
    """Columns with characters outside ASCII."""

    def cell(self, row: int, column: int) -> str:
        """Return a cell of a regular row as written in the file."""
        start = int(self.starts[column, row])
        cell = self.data[start : start + int(self.lengths[column, row])]
        return (cell.replace(b'""', b'"') if self.doubled[column, row] else cell).decode()

    def raw(self, rows: Numbers, column: int) -> list[bytes]:
        """Return some cells of a column as written between their quotes."""
        starts = self.starts[column, rows]
        ends = (starts + self.lengths[column, rows]).tolist()
        data = self.data
        return [data[start:end] for start, end in zip(starts.tolist(), ends, strict=True)]

    def texts(self, column: int) -> list[str]:
        """Return the cells of a column as written between their quotes."""
        starts = self.starts[column]
        bounds = zip(starts.tolist(), (starts + self.lengths[column]).tolist(), strict=True)
        if column not in self.wide:
            text = self.data.decode("latin-1")  # a sign a byte, so that places stay the same
            return [text[start:end] for start, end in bounds]
        data = self.data
        return [data[start:end].decode() for start, end in bounds]

    def firsts(self, column: int) -> Octets:
        """Return the first byte of each cell of a column; any byte for a blank cell."""
        firsts: Octets = self.octets[self.starts[column]]
        return firsts

    def words(self, column: int, width: int) -> Words:
        """Return the first `width` bytes of each cell of a column as numbers of eight bytes.

        After the end of a cell there are zeros. `width` is a multiple of 8 and no more than
        PADDING.
        """
        return words_at(self.octets, self.starts[column], self.lengths[column], width)


def words_at(
    octets: Octets, starts: Places | Numbers, lengths: Places | Numbers, width: int
) -> Words:
    """Return the first `width` bytes of texts with these places and lengths; see `Grid.words`."""
    words: Words = windows(octets, width)[starts].view("<u8").reshape(-1, width // 8)
    kept = np.minimum(lengths, width)
    words &= _kept_bytes(width)[kept].view("<u8").reshape(words.shape)
    return words


def numbered(words: Words) -> Numbers:
    """Return a number for each row of words, equal for equal rows.

    The first row has 0, the next different row 1, and so on.
    """
    codes, _ = pd.factorize(words[:, 0])
    for column in words.T[1:]:
        others, different = pd.factorize(column)
        codes, _ = pd.factorize(codes * len(different) + others)
    return np.asarray(codes, np.int64)


def windows(octets: Octets, width: int) -> npt.NDArray[np.void]:
    """Return, for each place, the `width` bytes that begin there; no window goes past the end.

    All bytes of a window are read or written as fast as one.
    """
    count = len(octets) - width + 1
    return np.ndarray((count,), f"V{width}", octets.data, strides=(1,))


def _kept_bytes(width: int) -> npt.NDArray[np.void]:
    """Return, for each length up to `width`, that many bytes of ones, then zeros."""
    kept = _KEPT.get(width)
    if kept is None:
        ones = np.tri(width + 1, width, -1, dtype=np.uint8) * np.uint8(0xFF)
        kept = _KEPT[width] = ones.view(f"V{width}").ravel()
    return kept


_KEPT: dict[int, npt.NDArray[np.void]] = {}


def lay_out(
    records: Records, rows: Numbers, columns: int, width: int, *, irregular: Numbers
) -> Grid:
    """Find the cells of records that all have `width` cells, up to a number of columns.

    `irregular` are those of `rows` whose bytes must not be used as written.
    """
    octets = np.frombuffer(records.data, np.uint8)
    firsts = records.firsts[rows]
    regular = firsts >= 0
    if len(irregular):
        regular &= ~np.isin(rows, irregular)
    whole = bool(regular.all())
    edges = np.empty((width + 1, len(rows)), np.int32)
    edges[0] = records.starts[rows] - 1
    ends = records.ends[rows]
    last = octets[ends - 1]
    ends = ends - ((last == _LF) | (last == _CR))
    edges[-1] = ends - ((last == _LF) & (octets[ends - 1] == _CR))
    if width > 1:
        if not whole:
            firsts = np.where(regular, firsts, 0)
        places = firsts + np.arange(width - 1)[:, None]
        if not whole:
            places = np.minimum(places, len(records.separators) - 1)
        edges[1:-1] = records.separators[places] if len(records.separators) else 0
    starts = edges[:columns] + np.int32(1)
    lengths = edges[1 : columns + 1] - starts
    if not whole:
        lengths[:, ~regular] = 0
    if records.quoted:
        quoted = (octets[starts] == _QUOTE) & (lengths > 0)
        starts += quoted
        lengths -= quoted
        lengths -= quoted
    doubled = np.zeros(starts.shape, bool)
    if len(records.doubled):
        doubled[_cells(records, rows, records.doubled, columns)] = True
    strange = doubled
    if len(records.unprinted):
        strange = doubled.copy()
        strange[_cells(records, rows, _blanks(octets, records.unprinted), columns)] = True
    if not whole:
        doubled &= regular
        strange &= regular
    wide: frozenset[int] = frozenset()
    if not records.data.isascii():
        places = np.flatnonzero(octets >= 0x80)
        holding = np.bincount(_cells(records, rows, places, columns)[0], minlength=1)
        wide = frozenset(np.flatnonzero(holding).tolist())
    return Grid(records.data, octets, starts, lengths, doubled, strange, regular, wide)


def _cells(
    records: Records, rows: Numbers, places: Numbers, columns: int
) -> tuple[Numbers, Numbers]:
    """Return column and row of the cell at each place in the block, for places inside a cell."""
    known = np.flatnonzero(records.firsts >= 0)  # the others were cut cell by cell
    places = places[: np.searchsorted(places, records.ends[known[-1]] if len(known) else 0)]
    separators = np.searchsorted(records.separators, places)
    record = known[np.searchsorted(records.firsts[known], separators, "right") - 1]
    row_of = np.full(len(records), -1)
    row_of[rows] = np.arange(len(rows))
    row, column = row_of[record], separators - records.firsts[record]
    inside = (row >= 0) & (column < columns)
    return column[inside], row[inside]


def _blanks(octets: Octets, places: Numbers) -> Numbers:
    """Return those places of `Records.unprinted` at which there may be a blank."""
    found = octets[places]
    wide = found >= 0x80
    if not wide.any():
        return places
    # A character that ends here ends with a byte of 80 to BF; one that begins here, with another
    # byte.
    ends = found < 0xC0
    at = places[wide]
    one, two, three = (
        octets[at + np.where(ends[wide], back, ahead)].astype(np.int64)
        for back, ahead in ((-2, 0), (-1, 1), (0, 2))
    )
    pair = np.where(ends[wide], two << 8 | three, one << 8 | two)
    blank = np.isin(pair, _WIDE_BLANKS) | np.isin(one << 16 | two << 8 | three, _WIDE_BLANKS)
    kept = ~wide
    kept[wide] = blank
    return places[kept]
