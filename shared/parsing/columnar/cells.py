"""Wire entries of the cells of one column, for the whole column of a chunk at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared.core.arrays import Mask, Numbers, Octets, Words
from shared.files.cells.vectorized import (
    BEGINS,
    DAY_BYTES,
    MOMENT_BYTES,
    NUMBER_BYTES,
    UNREAD,
    finer,
    lower_letters,
    microseconds,
)
from shared.files.types import Context, Kind
from shared.firestore.bulk import wire
from shared.parsing.csv.grid import Grid, Places, numbered
from shared.parsing.csv.records import PADDING

HEADS: Final = 4096
"""Bytes of the shortest text or map whose head is not in a table."""
MANY: Final = 128
"""Different cells of a column from which reading them together is faster than one by one."""
_REMEMBERED = 8192
"""Different cells of a column that are remembered from one chunk to the next."""

Read = tuple[bytes | None, Any]
"""Entry of a cell, empty for a blank, and its value; (None, None) if the cell is odd."""


class Pool:
    """Bytes that every chunk can use in its wire entries.

    The places of the bytes are counted back from the end of all bytes, so that they never change.
    """

    def __init__(self) -> None:
        self.octets: Octets = np.empty(0, np.uint8)

    def add(self, piece: bytes) -> int:
        """Keep bytes for all later chunks; return their place."""
        self.octets = np.concatenate((np.frombuffer(piece, np.uint8), self.octets))
        return -len(self.octets)


class Supply:
    """Bytes for the wire entries of one chunk: its block, added bytes, and the pool.

    A place in the block is the same place here.
    """

    def __init__(self, block: Octets, pool: Pool) -> None:
        self.block = block
        self._pool = pool
        self._added = bytearray()

    def add(self, piece: bytes) -> int:
        """Add bytes; return their place."""
        start = len(self.block) + len(self._added)
        self._added += piece
        return start

    @property
    def size(self) -> int:
        """Number of bytes besides the pool."""
        return len(self.block) + len(self._added)

    def octets(self, spare: int, more: Octets | None = None) -> Octets:
        """Return all bytes, and `spare` zeros after them.

        Places from the end do not count the zeros.

        `more` is included this once only, from `size` on.
        """
        added = np.frombuffer(bytes(self._added), np.uint8)
        parts = [self.block, added, *(() if more is None else (more,)), self._pool.octets]
        return np.concatenate([*parts, np.zeros(spare, np.uint8)])


class HeadTable:
    """Heads by the length of the bytes after them, looked up for many rows at once."""

    def __init__(self, heads: wire.Heads, pool: Pool) -> None:
        self._heads = heads
        self._pool = pool
        self._starts = np.zeros(1, np.int32)
        self._lengths = np.zeros(1, np.int32)  # an empty entry needs no head

    @property
    def longest(self) -> int:
        """Bytes of the longest head."""
        return len(self._heads[HEADS - 1])

    def look_up(self, lengths: Places) -> tuple[Places, Places]:
        """Return the places and the lengths of the heads. `lengths` are less than HEADS."""
        most = int(lengths.max(initial=0))
        size = len(self._starts)
        if most >= size:
            heads, sizes = self._heads.joined(size, min(HEADS, max(32, 1 << most.bit_length())))
            starts = (self._pool.add(heads) + np.cumsum(sizes) - sizes).astype(np.int32)
            self._starts = np.append(self._starts, starts)
            self._lengths = np.append(self._lengths, sizes)
        return self._starts[lengths], self._lengths[lengths]


@dataclass(slots=True, eq=False)
class ColumnCells:
    """Place and length of each entry of a column or, with heads from a table, of its rest."""

    starts: Places
    lengths: Places
    odd: Mask | None = None
    """True for cells whose whole rows must be checked; None if there are none."""
    table: HeadTable | None = None
    """Heads of the entries; None if all entries are whole."""
    whole: Mask | None = None
    """True for entries with the head included, which need none from the table; None if there are
    none."""
    values: list[Any] = field(default_factory=list)
    """Values, if wanted: None for no value, times in nanoseconds since 1970."""
    times: Numbers | None = None
    """Used instead of `values` if times are read together: UNREAD for no time."""

    @property
    def there(self) -> Mask:
        """True for cells with an entry."""
        return self.lengths > 0

    @property
    def blank(self) -> Mask:
        """True for cells that are blank, and not odd."""
        return ~self.there if self.odd is None else ~(self.there | self.odd)

    def heads(self) -> tuple[Places, Places] | None:
        """Return the places and the lengths of the entries' heads; None if all are whole."""
        if self.table is None:
            return None
        lengths = self.lengths if self.whole is None else self.lengths * ~self.whole
        return self.table.look_up(lengths)

    def longest(self) -> int:
        """Return an upper bound of the entry lengths."""
        return int(self.lengths.max(initial=0)) + (self.table.longest if self.table else 0)

    def compact(self) -> ColumnCells:
        """Return the same entries, in the smallest possible arrays."""
        most = int(self.lengths.max(initial=0))
        starts, lengths = self.starts, self.lengths.astype(np.min_scalar_type(most))
        return ColumnCells(
            starts.copy() if most else np.broadcast_to(np.int32(0), starts.shape),
            lengths,
            table=self.table,
            whole=self.whole,
        )

    def at(self, rows: Numbers) -> ColumnCells:
        """Return the entries of some rows, in the order of the rows."""
        whole = None if self.whole is None else self.whole[rows]
        return ColumnCells(self.starts[rows], self.lengths[rows], table=self.table, whole=whole)

    @property
    def size(self) -> int:
        """Approximate bytes in memory."""
        return self.starts.nbytes + self.lengths.nbytes

    def mark(self, rows: Numbers, *, odd: Sequence[bool], whole: Sequence[bool]) -> None:
        """Mark some rows as odd or not, and as having no head from the table or having one."""
        if any(odd):
            self.odd = np.zeros(len(self.lengths), bool) if self.odd is None else self.odd
            self.odd[rows] = odd
        if any(whole) and self.table is not None:
            self.whole = np.zeros(len(self.lengths), bool) if self.whole is None else self.whole
            self.whole[rows] = whole


class Cells:
    """Makes wire entries of the cells of one column, a chunk at a time.

    A cell is odd if its kind refuses it, if it is too long, or if it is blank although the row
    needs it. `shared.parsing.checker.Checker` decides what an odd cell means for its row.
    """

    def __init__(
        self,
        kind: Kind,
        place: int,
        tag: bytes,
        name: str,
        context: Context,
        pool: Pool,
        *,
        longest: int,
        needed: bool = False,
        values: bool = False,
    ) -> None:
        """Prepare to read.

        Args:
            kind: the kind of the cells.
            place: the column's place in the grid.
            tag: `FIELD` for a field of the document itself, MAP_FIELD for one in a map.
            name: the field's own name, without those of the maps around it.
            context: the facts about the file.
            pool: the bytes that entries of all chunks can use.
            longest: characters above which a cell is odd.
            needed: True if a blank cell is odd.
            values: True if the values are wanted too.
        """
        self.place = place
        self._kind = kind
        self._context = context
        self._zone = context.zone
        self._read = kind.reader(context)
        self._repairs = kind.repairs
        self._certain = kind.certain
        self._is_text = kind.is_text
        self._tag, self._name = tag, name.encode()
        self._longest = longest
        self._needed = needed
        self._wants_values = values
        self._heads = wire.Heads.text(tag, self._name)
        are_times = kind.moments is not None and kind.certain is None
        heads = wire.Heads.time(tag, self._name) if are_times else self._heads
        self._table = HeadTable(heads, pool)
        self._known: dict[bytes, Read] = {}

    def column(self, grid: Grid, supply: Supply, read: ColumnCells | None = None) -> ColumnCells:
        """Return the entries of the column of a grid; the supply gets their bytes.

        `read` are the entries of the column whose cells this one reads, if there is one.
        """
        if self._kind.lower and read is not None:
            column = self._of_lower(grid, supply, read)
        elif self._is_text or self._certain is not None:
            column = self._of_texts(grid, supply)
        elif self._kind.moments is not None:
            column = self._of_moments(grid, supply)
        else:
            column = self._of_values(grid, supply)
        if self._needed and not (there := column.there).all():
            column.odd = ~there if column.odd is None else column.odd | ~there
        return column

    def _of_texts(self, grid: Grid, supply: Supply) -> ColumnCells:
        """Use cells unchanged, where that is certainly right."""
        lengths = grid.lengths[self.place]
        column = ColumnCells(grid.starts[self.place], lengths, table=self._table)
        most = int(lengths.max(initial=0))
        if self._wants_values:
            column.values = [text or None for text in grid.texts(self.place)]
        if not most:
            return column
        alone = grid.strange[self.place]
        if most > min(self._longest, HEADS - 1):
            alone = alone | (lengths > min(self._longest, HEADS - 1))
        if self._certain is not None and not self._is_plain(grid):
            width = min(PADDING, most + 7 & ~7)
            signs = grid.words(self.place, width).view(np.uint8)
            alone = alone | ~self._certain(signs, lengths, self._context)
        for text in self._kind.blanks:
            blank = text.encode()
            words = grid.words(self.place, len(blank) + 7 & ~7)
            wanted = np.frombuffer(blank.ljust(8 * words.shape[1], b"\0"), "<u8")
            alone = alone | ((lengths == len(blank)) & (words == wanted).all(axis=1))
        if self._kind.moments is not None:
            alone = alone & ~self._days_among(column, alone, grid)
        if alone.any():
            rows = np.flatnonzero(alone & (lengths > 0))
            self._read_alone(column, rows, rows, grid, supply)
        return column

    def _of_lower(self, grid: Grid, supply: Supply, read: ColumnCells) -> ColumnCells:
        """Use the cells of the column that is read, in lower case.

        Cells that the other column has read alone are read alone here, too. All others are ASCII.
        """
        column = ColumnCells(read.starts, read.lengths, table=self._table)
        alone = np.zeros(len(read.lengths), bool)
        for mask in (read.odd, read.whole):
            if mask is not None:
                alone |= mask
        most = int((read.lengths * ~alone).max(initial=0))
        if most:
            words = grid.words(self.place, min(PADDING, most + 7 & ~7))
            words, changed = lower_letters(words)
            rows = np.flatnonzero(changed & ~alone)
            begin = supply.add(words[rows].tobytes())
            column.starts = column.starts.copy()
            column.starts[rows] = begin + np.arange(len(rows)) * 8 * words.shape[1]
        if alone.any():
            rows = np.flatnonzero(alone)
            self._read_alone(column, rows, rows, grid, supply)
        return column

    def _is_plain(self, grid: Grid) -> bool:
        """Return True if the first bytes of all cells of the column show that they are certain."""
        if self._kind.plain is None or self.place in grid.wide:
            return False
        begins = BEGINS[grid.firsts(self.place)] * (grid.lengths[self.place] > 0)
        return not begins.any()

    def _days_among(self, column: ColumnCells, cells: Mask, grid: Grid) -> Mask:
        """Read the times among some cells of a column of texts as their days; mark these cells."""
        assert self._kind.moments is not None
        read = np.zeros(len(cells), bool)
        rows = np.flatnonzero(cells & (grid.lengths[self.place] == MOMENT_BYTES))
        if not len(rows):
            return read
        signs = grid.words(self.place, MOMENT_BYTES + 7 & ~7)[rows].view(np.uint8)
        days = rows[self._kind.moments(signs, self._zone) != UNREAD]
        column.lengths = column.lengths.copy()
        column.lengths[days] = DAY_BYTES
        if self._wants_values:
            for row in days.tolist():
                column.values[row] = column.values[row][:DAY_BYTES]
        read[days] = True
        return read

    def _read_alone(
        self, column: ColumnCells, places: Numbers, rows: Numbers, grid: Grid, supply: Supply
    ) -> None:
        """Read the cells of some rows alone, each different cell once.

        The results are put at `places` of a column, one place per row.
        """
        if not len(rows):
            return
        made: dict[bytes, tuple[int, int, bool, Any]] = {}
        entries = []
        for row, cell in zip(rows.tolist(), grid.raw(rows, self.place), strict=True):
            if cell not in made:
                entry, value = self._remember(grid, row, cell)
                octets = entry or b""
                made[cell] = supply.add(octets), len(octets), entry is None, value
            entries.append(made[cell])
        starts, lengths, odd, values = zip(*entries, strict=True)
        column.starts, column.lengths = column.starts.copy(), column.lengths.copy()
        column.starts[places] = starts
        column.lengths[places] = lengths
        column.mark(places, odd=odd, whole=[length > 0 for length in lengths])
        if column.times is not None:
            column.times[places] = [UNREAD if value is None else value for value in values]
        elif self._wants_values:
            for place, value in zip(places.tolist(), values, strict=True):
                column.values[place] = value

    def _of_values(self, grid: Grid, supply: Supply) -> ColumnCells:
        """Read each different cell once, and many different numbers together."""
        lengths = grid.lengths[self.place]
        width = 8 if int(lengths.max(initial=0)) <= 8 else NUMBER_BYTES
        words = grid.words(self.place, width)
        codes, rows = _distinct(words, lengths)
        different = ColumnCells(np.zeros(len(rows), np.int32), np.zeros(len(rows), np.int32))
        different.values = [None] * len(rows)
        if self._kind.numbers is not None and len(rows) >= MANY:
            whole, doubles = self._kind.numbers(words[rows].view(np.uint8), lengths[rows])
            certain = lengths[rows] <= self._longest
            places = np.flatnonzero(certain & (whole != UNREAD))
            entries = wire.integers(self._tag, self._name, whole[places])
            self._put(different, places, entries, whole[places], supply)
            places = np.flatnonzero(certain & ~np.isnan(doubles))
            entries = wire.doubles(self._tag, self._name, doubles[places])
            self._put(different, places, entries, doubles[places], supply)
        places = np.flatnonzero((different.lengths == 0) & (lengths[rows] > 0))
        self._read_alone(different, places, rows[places], grid, supply)
        column = ColumnCells(different.starts[codes], different.lengths[codes])
        if different.odd is not None:
            column.odd = different.odd[codes]
        if self._wants_values:
            values = np.empty(len(rows), object)
            values[:] = different.values
            column.values = values[codes].tolist()
        return column

    def _put(
        self,
        column: ColumnCells,
        places: Numbers,
        entries: wire.Entries,
        values: npt.NDArray[Any],
        supply: Supply,
    ) -> None:
        """Put whole entries and their values at places of a column."""
        octets, lengths = entries
        begin = supply.add(octets.tobytes())
        column.starts, column.lengths = column.starts.copy(), column.lengths.copy()
        column.starts[places] = begin + np.arange(len(places)) * octets.shape[1]
        column.lengths[places] = lengths
        if self._wants_values:
            for place, value in zip(places.tolist(), values.tolist(), strict=True):
                column.values[place] = value

    def _remember(self, grid: Grid, row: int, cell: bytes) -> Read:
        known = self._known.get(cell)
        if known is None:
            known = self._entry(grid.cell(row, self.place))
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[cell] = known
        return known

    def _of_moments(self, grid: Grid, supply: Supply) -> ColumnCells:
        """Make entries of times, most of which are read together."""
        assert self._kind.moments is not None
        lengths = grid.lengths[self.place]
        if self._kind.blank is not None and int(lengths.max(initial=0)) <= DAY_BYTES:
            return ColumnCells(
                np.zeros(len(lengths), np.int32),
                np.zeros(len(lengths), np.int32),
                table=self._table,
                times=np.full(len(lengths), UNREAD) if self._wants_values else None,
            )
        signs = grid.words(self.place, MOMENT_BYTES + 7 & ~7).view(np.uint8)
        seconds = self._kind.moments(signs, self._zone)
        read = wire.usual_moments(seconds)
        alone = ~read & (lengths > 0)
        if self._kind.blank is not None:
            blank = self._kind.blank(signs, lengths)
            read &= ~blank
            alone &= ~blank
        groups = wire.padded_varints(seconds, 5)
        count, width = groups.shape
        begin = supply.add(groups.tobytes())
        starts = np.arange(begin, begin + width * count, width, dtype=np.int32)
        column = ColumnCells(starts, width * read.astype(np.int32), table=self._table)
        if self._wants_values:
            column.times = np.where(read, seconds * 1_000_000_000, UNREAD)
        rows = np.flatnonzero(alone)
        self._read_alone(column, rows, rows, grid, supply)
        return column

    def _entry(self, cell: str) -> Read:
        """Read one cell as written in the file; return its entry and its value."""
        text = cell.strip()
        if not text or text in self._kind.blanks:
            return b"", None
        if len(text) > self._longest or (self._repairs and self._kind.repaired(text)[1]):
            return None, None
        try:
            value = self._read(text)
        except ValueError:
            return None, None
        if value is None:
            return b"", None
        if type(value) is str:
            octets = value.encode()
            return self._heads[len(octets)] + octets, value
        entry = wire.entry(self._tag, self._name, wire.value(value))
        if isinstance(value, datetime):
            return entry, 1000 * microseconds(value) + finer(text)
        return entry, value

    def standing_in(self, own: ColumnCells | None, other: ColumnCells) -> ColumnCells:
        """Fill the blanks of this column with the texts of another column.

        If the other column's text cannot be used directly, the cell is odd.
        """
        filled = other.there if own is None else other.there & own.blank
        odd = filled & (other.lengths >= HEADS)
        if other.whole is not None:
            odd |= filled & other.whole
        lengths = other.lengths * (filled & ~odd)
        if own is None:
            return ColumnCells(other.starts, lengths, odd, self._table, None, other.values)
        return ColumnCells(
            np.where(filled, other.starts, own.starts),
            np.where(filled, lengths, own.lengths),
            odd if own.odd is None else own.odd | odd,
            self._table,
            own.whole,
            [
                theirs if mine is None else mine
                for mine, theirs in zip(own.values, other.values, strict=True)
            ]
            if own.values
            else [],
        )


def _distinct(words: Words, lengths: Places) -> tuple[Numbers, Numbers]:
    """Number the different cells of a column; return each cell's number, and a row for each number.

    Cells with more bytes than in `words` all count as different.
    """
    codes = numbered(words)
    long = np.flatnonzero(lengths > 8 * words.shape[1])
    if len(long):
        codes[long] = codes.max() + 1 + np.arange(len(long))
        codes = np.asarray(pd.factorize(codes)[0], np.int64)
    return codes, first_rows(codes)


def first_rows(codes: Numbers) -> Numbers:
    """Return the first place of each number, from 0 to the largest."""
    rows = np.empty(int(codes.max(initial=-1)) + 1, np.int64)
    rows[codes[::-1]] = np.arange(len(codes))[::-1]
    return rows
