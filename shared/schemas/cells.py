"""What the cells of one column come to on the wire, the whole column of a chunk at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from shared import wire
from shared.grid import PADDING, Grid
from shared.records import Numbers
from shared.schemas.certain import MOMENT_BYTES, Mask, Octets, microseconds
from shared.schemas.kinds import Kind

HEADS: Final = 4096
"""Bytes of the shortest text or map whose head is not to be had from a table."""
_PACKED = 16
"""Bytes of the longest cell that is told from others by number."""
_REMEMBERED = 8192
"""Different cells of a column that are remembered from one chunk to the next."""
_ODD: Final = b"\x00odd"
"""Stands, by identity, for what a cell comes to when its whole row must be looked at."""

# Signs that no blank of any kind begins or ends with. Bytes of other letters may be of a blank.
_TIDY = np.zeros(256, bool)
_TIDY[0x21:0x7F] = True


class Pool:
    """The bytes that wire entries are put together from: a chunk's block, what the chunk needs
    besides, and what is there for every chunk.

    A place in the block is the place itself. What is always there has places that count back from
    the end, so that they stay the same.
    """

    def __init__(self) -> None:
        self._always = np.empty(0, np.uint8)
        self._added = bytearray()
        self._block = np.empty(0, np.uint8)

    def always(self, piece: bytes) -> int:
        """Keep bytes for all chunks to come; returns where they are."""
        self._always = np.concatenate((np.frombuffer(piece, np.uint8), self._always))
        return -len(self._always)

    def begin(self, block: Octets) -> None:
        """Begin a chunk."""
        self._added.clear()
        self._block = block

    def add(self, piece: bytes) -> int:
        """Add bytes for this chunk; returns where they are."""
        start = len(self._block) + len(self._added)
        self._added += piece
        return start

    def octets(self) -> Octets:
        """Return all of it."""
        return np.concatenate(
            (self._block, np.frombuffer(bytes(self._added), np.uint8), self._always)
        )


class HeadTable:
    """Heads by the length of what follows them, looked up for many rows at once."""

    def __init__(self, heads: wire.Heads, pool: Pool) -> None:
        self._heads = heads
        self._pool = pool
        self._starts = np.zeros(1, np.int64)
        self._lengths = np.zeros(1, np.int64)  # nothing needs no head

    def look_up(self, lengths: Numbers) -> tuple[Numbers, Numbers]:
        """Return where the heads are and how long they are. `lengths` are less than HEADS."""
        most = int(lengths.max(initial=0))
        size = len(self._starts)
        if most >= size:
            wanted = range(size, min(HEADS, max(32, 1 << most.bit_length())))
            pieces = [self._heads[length] for length in wanted]
            sizes = np.array([len(piece) for piece in pieces])
            begin = self._pool.always(b"".join(pieces))
            self._starts = np.append(self._starts, begin + np.cumsum(sizes) - sizes)
            self._lengths = np.append(self._lengths, sizes)
        return self._starts[lengths], self._lengths[lengths]


@dataclass(slots=True, eq=False)
class Column:
    """What a column's cells come to: where in the pool each entry's head and its rest are."""

    heads: Numbers
    head_lengths: Numbers
    starts: Numbers
    lengths: Numbers
    odd: Mask
    """The cells whose whole rows must be looked at."""
    values: Sequence[Any] = ()
    """Their values, None where there is none, times in microseconds since 1970; if wanted."""

    @property
    def there(self) -> Mask:
        """Which cells come to an entry at all."""
        return self.lengths > 0

    @property
    def whole(self) -> Numbers:
        """The length of each entry."""
        return self.head_lengths + self.lengths


class Cells:
    """Makes wire entries of the cells of one column, a chunk at a time.

    A cell that the column's kind refuses, that is too long, or blank although the row needs it, is
    odd: what it means for its row is for `shared.schemas.rows.Checker` to say.
    """

    def __init__(
        self,
        kind: Kind,
        place: int,
        tag: bytes,
        name: str,
        zone: ZoneInfo,
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
            tag: `shared.wire.FIELD` for a field of the document itself, MAP_FIELD for one in a map.
            name: the field's own name, without those of the maps around it.
            zone: of times that carry none.
            pool: what the entries will be put together from.
            longest: characters above which a cell is odd.
            needed: whether a blank cell is odd.
            values: whether the values are wanted too.
        """
        self.place = place
        self._kind = kind
        self._zone = zone
        self._read = kind.reader(zone)
        self._pool = pool
        self._is_text = kind.annotation(zone) is str
        self._tag, self._name = tag, name.encode()
        self._longest = longest
        self._needed = needed
        self._wants_values = values
        self._heads = wire.Heads.text(tag, self._name)
        self._table = HeadTable(self._heads, pool)
        self._known: dict[bytes, tuple[bytes, Any]] = {}

    def column(self, grid: Grid, tidy: Mask) -> Column:
        """Return what the column of a grid comes to; `tidy` is that of `is_tidy`."""
        starts = grid.starts[:, self.place]
        lengths = grid.lengths[:, self.place]
        if self._kind.moments is not None:
            column = self._of_moments(grid, starts, lengths)
        elif self._is_text or self._kind.certain is not None:
            column = self._of_texts(grid, starts, lengths, tidy)
        else:
            column = self._of_values(grid, starts, lengths)
        if self._needed:
            column.odd |= ~column.there
        return column

    def _of_texts(self, grid: Grid, starts: Numbers, lengths: Numbers, tidy: Mask) -> Column:
        """Take cells for what they are, wherever that is certain."""
        alone = ~tidy | (lengths > min(self._longest, HEADS - 1))
        if self._kind.certain is not None:
            width = min(PADDING, int(lengths.max(initial=1)))
            raw = grid.signs(self.place, width)
            alone |= ~self._kind.certain(raw, np.minimum(lengths, width)) | (lengths > width)
        for text in self._kind.blanks:
            blank = text.encode()
            signs = grid.signs(self.place, len(blank))
            alone |= (lengths == len(blank)) & (signs == np.frombuffer(blank, np.uint8)).all(axis=1)
        values: list[Any] = []
        if self._wants_values:
            values = [text or None for text in grid.texts(self.place)]
        rows = np.flatnonzero(alone & (lengths > 0))
        if not len(rows):
            return self._headed(starts, lengths, np.zeros(len(starts), bool), values)
        entries = self._entries(grid, rows.tolist())
        starts, lengths = starts.copy(), lengths.copy()
        lengths[rows] = 0  # these come with heads of their own
        column = self._headed(starts, lengths, np.zeros(len(starts), bool), values)
        column.starts[rows] = [start for start, _, _, _ in entries]
        column.lengths[rows] = [length for _, length, _, _ in entries]
        column.odd[rows] = [odd for _, _, odd, _ in entries]
        if self._wants_values:
            for row, (_, _, _, value) in zip(rows.tolist(), entries, strict=True):
                values[row] = value
        return column

    def _entries(self, grid: Grid, rows: Sequence[int]) -> list[tuple[int, int, bool, Any]]:
        """Read cells alone, each different one once: place and length of the entry, whether the
        cell is odd, and its value."""
        starts = grid.starts[rows, self.place].tolist()
        ends = (grid.starts[rows, self.place] + grid.lengths[rows, self.place]).tolist()
        data = grid.data
        cells = [data[start:end] for start, end in zip(starts, ends, strict=True)]
        made: dict[bytes, tuple[int, int, bool, Any]] = {}
        for cell, row in zip(cells, rows, strict=True):
            if cell not in made:
                entry, value = self._remember(grid, row)
                made[cell] = self._pool.add(entry), len(entry), entry is _ODD, value
        return [made[cell] for cell in cells]

    def _headed(
        self, starts: Numbers, lengths: Numbers, odd: Mask, values: Sequence[Any]
    ) -> Column:
        return Column(*self._table.look_up(lengths), starts, lengths, odd, values)

    def _of_values(self, grid: Grid, starts: Numbers, lengths: Numbers) -> Column:
        """Read each different cell once."""
        codes, rows = _distinct(grid, self.place, lengths)
        found = [self._remember(grid, row) for row in rows]
        odd = np.array([entry is _ODD for entry, _ in found], bool)
        begin = self._pool.add(b"".join([entry for entry, _ in found]))
        sizes = np.array([len(entry) for entry, _ in found], np.int64)
        column = self._bare(begin + (np.cumsum(sizes) - sizes)[codes], sizes[codes], odd[codes])
        if self._wants_values:
            values = [value for _, value in found]
            column.values = [values[code] for code in codes.tolist()]
        return column

    def _bare(self, starts: Numbers, lengths: Numbers, odd: Mask) -> Column:
        none = np.zeros(len(starts), np.int64)
        return Column(none, none, starts, lengths, odd)

    def _remember(self, grid: Grid, row: int) -> tuple[bytes, Any]:
        start = int(grid.starts[row, self.place])
        cell = grid.data[start : start + int(grid.lengths[row, self.place])]
        known = self._known.get(cell)
        if known is None:
            known = self._entry(grid.cell(row, self.place))
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[cell] = known
        return known

    def _of_moments(self, grid: Grid, starts: Numbers, lengths: Numbers) -> Column:
        """Make entries of times, most of which are read together."""
        assert self._kind.moments is not None
        seconds = self._kind.moments(grid.signs(self.place, MOMENT_BYTES), self._zone)
        read = (lengths == MOMENT_BYTES) & wire.usual_moments(seconds)
        entries = wire.moments(self._tag, self._name, np.where(read, seconds, 0))
        width = entries.shape[1]
        begin = self._pool.add(entries.tobytes())
        column = self._bare(
            begin + width * np.arange(len(starts)),
            np.where(read, width, 0),
            np.zeros(len(starts), bool),
        )
        values: list[Any] = []
        if self._wants_values:
            micros = np.where(read, seconds, 0) * 1_000_000
            values = [
                at if known else None
                for at, known in zip(micros.tolist(), read.tolist(), strict=True)
            ]
        for row in np.flatnonzero(~read & (lengths > 0)).tolist():
            entry, value = self._entry(grid.cell(row, self.place))
            column.odd[row] = entry is _ODD
            column.starts[row], column.lengths[row] = self._pool.add(entry), len(entry)
            if self._wants_values:
                values[row] = value
        column.values = values
        return column

    def _entry(self, cell: str) -> tuple[bytes, Any]:
        """Read one cell as it stands in the file; returns its entry and its value."""
        text = cell.strip()
        if not text or text in self._kind.blanks:
            return b"", None
        if len(text) > self._longest:
            return _ODD, None
        try:
            value = self._read(text)
        except ValueError:
            return _ODD, None
        if type(value) is str:
            octets = value.encode()
            return self._heads[len(octets)] + octets, value
        entry = wire.entry(self._tag, self._name, wire.value(value))
        return entry, microseconds(value) if isinstance(value, datetime) else value

    def standing_in(self, own: Column | None, other: Column) -> Column:
        """Fill the blanks of this column with the texts of another one.

        Where that one's text is not simply there, the cell is odd.
        """
        blank = ~own.there if own is not None else np.ones(len(other.starts), bool)
        filled = blank & other.there
        lengths = np.where(filled, np.minimum(other.lengths, HEADS - 1), 0)
        bare = filled & (other.head_lengths == 0)
        column = self._headed(other.starts, lengths, bare, other.values)
        if own is None:
            return column
        return Column(
            np.where(filled, column.heads, own.heads),
            np.where(filled, column.head_lengths, own.head_lengths),
            np.where(filled, column.starts, own.starts),
            np.where(filled, column.lengths, own.lengths),
            own.odd | column.odd,
            [
                theirs if mine is None else mine
                for mine, theirs in zip(own.values, other.values, strict=True)
            ]
            if own.values
            else (),
        )


def is_tidy(grid: Grid) -> Mask:
    """Say which cells have neither blanks around them nor quotes inside, for certain."""
    first = grid.octets[grid.starts]
    last = grid.octets[grid.starts + grid.lengths - 1]
    tidy: Mask = (_TIDY[first] & _TIDY[last] & ~grid.special) | (grid.lengths == 0)
    return tidy


def _distinct(grid: Grid, place: int, lengths: Numbers) -> tuple[Numbers, list[int]]:
    """Number the different cells of a column; returns each cell's number and a row of each."""
    width = 8 if lengths.max(initial=0) <= 8 else _PACKED
    words = grid.signs(place, width).view("<u8")
    codes, _ = pd.factorize(words[:, 0])
    if width > 8:
        others, different = pd.factorize(words[:, 1])
        codes, _ = pd.factorize(codes * len(different) + others)
    long = np.flatnonzero(lengths > _PACKED)
    if len(long):  # each is one of its own
        codes = codes.copy()
        codes[long] = codes.max() + 1 + np.arange(len(long))
        codes, _ = pd.factorize(codes)
    rows = np.empty(int(codes.max(initial=-1)) + 1, np.int64)
    rows[codes[::-1]] = np.arange(len(codes))[::-1]
    return codes, rows.tolist()
