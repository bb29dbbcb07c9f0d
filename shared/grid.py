"""Where the cells of a block's rows lie in its bytes, so that whole columns can be looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.records import Numbers, Records

_QUOTE, _LF, _CR = b'"\n\r'
PADDING = 64
"""Bytes that follow the block, so that something can be read behind every cell."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The cells of some rows, as arrays with a row a row and a column a column."""

    data: bytes
    """The bytes of the block."""
    octets: npt.NDArray[np.uint8]
    """The same, and PADDING zeros behind them."""
    starts: Numbers
    """Where in the block each cell begins, its quotes taken off."""
    lengths: Numbers
    """How many bytes each has; none in a row that is not regular."""
    special: npt.NDArray[np.bool_]
    """Whether there are quotes inside the cell, each written twice."""
    regular: npt.NDArray[np.bool_]
    """Whether the cells of each row are known; the others must be cut one by one."""

    def cell(self, row: int, column: int) -> str:
        """Return a cell as it stands in the file, in a regular row."""
        start = int(self.starts[row, column])
        cell = self.data[start : start + int(self.lengths[row, column])]
        return (cell.replace(b'""', b'"') if self.special[row, column] else cell).decode()

    def texts(self, column: int) -> list[str]:
        """Return the cells of a column as they stand between their quotes."""
        starts = self.starts[:, column].tolist()
        ends = (self.starts[:, column] + self.lengths[:, column]).tolist()
        octets = self.data.decode("latin-1")  # one character a byte
        cells = [octets[start:end] for start, end in zip(starts, ends, strict=True)]
        if self.data.isascii():
            return cells
        return [cell if cell.isascii() else cell.encode("latin-1").decode() for cell in cells]

    def signs(self, column: int, width: int) -> npt.NDArray[np.uint8]:
        """Return the first `width` bytes of each cell of a column, zeros behind its end."""
        places = np.arange(width)
        signs: npt.NDArray[np.uint8] = self.octets[self.starts[:, column, None] + places]
        signs[places >= self.lengths[:, column, None]] = 0
        return signs


def lay_out(
    records: Records, rows: Numbers, columns: int, width: int, *, irregular: Numbers
) -> Grid:
    """Find the cells of records that all have `width` cells, up to a number of columns.

    `irregular` are those of `rows` whose bytes are not to be read as they are.
    """
    firsts = records.firsts[rows]
    regular = (firsts >= 0) & ~np.isin(rows, irregular)
    octets = np.zeros(len(records.data) + PADDING, np.uint8)
    octets[: len(records.data)] = np.frombuffer(records.data, np.uint8)
    edges = np.empty((len(rows), width + 1), np.int64)
    edges[:, 0] = records.starts[rows] - 1
    ends = records.ends[rows]
    last = octets[ends - 1]
    ends = ends - ((last == _LF) | (last == _CR))
    edges[:, -1] = ends - ((last == _LF) & (octets[ends - 1] == _CR))
    if width > 1:
        places = np.where(regular, firsts, 0)[:, None] + np.arange(width - 1)
        if not regular.all():
            places = np.minimum(places, len(records.delimiters) - 1)
        edges[:, 1:-1] = records.delimiters[places] if len(records.delimiters) else 0
    starts = edges[:, :columns] + 1
    lengths = np.where(regular[:, None], edges[:, 1 : columns + 1] - starts, 0)
    special = np.zeros(starts.shape, bool)
    if b'"' in records.data:
        quoted = (octets[starts] == _QUOTE) & (lengths > 0)
        starts = starts + quoted
        lengths = lengths - 2 * quoted
        special = _with_quotes(octets, starts, lengths, regular)
    return Grid(records.data, octets, starts, lengths, special, regular)


def _with_quotes(
    octets: npt.NDArray[np.uint8],
    starts: Numbers,
    lengths: Numbers,
    regular: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Find the cells that have quotes inside their quotes."""
    pairs = (octets[:-1] == _QUOTE) & (octets[1:] == _QUOTE)
    pairs[starts[lengths == 0] - 1] = False  # the quotes of blank cells
    places = np.flatnonzero(pairs)
    special = np.zeros(starts.shape, bool)
    rows = np.flatnonzero(regular)
    if len(places) and len(rows):
        begins = starts[rows].ravel()
        cells = np.maximum(np.searchsorted(begins, places, "right") - 1, 0)
        inside = (begins[cells] <= places) & (
            places < begins[cells] + lengths[rows].ravel()[cells] - 1
        )
        found = cells[inside]
        special[rows[found // starts.shape[1]], found % starts.shape[1]] = True
    return special
