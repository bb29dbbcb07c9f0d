"""Joining of the strings of many rows from pieces that are scattered over a supply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import numpy as np

from shared.core.arrays import Mask, Numbers, Octets
from shared.firestore.bulk import wire
from shared.parsing.columnar.cells import HEADS, ColumnCells, HeadTable, Pool, Supply
from shared.parsing.csv.grid import Places, windows

Path = tuple[str, ...]

Instead = Mapping[str, tuple[Numbers, Numbers]]
"""Path of a field -> places among some rows, and the rows used there instead.

Example: `{"tier.name": (array([3]), array([17]))}`."""

_NOWHERE: Final[Instead] = {}
_AT_ONCE = 512 * 1024
"""Bytes joined at a time: few enough for the processor's cache, with everything that is needed."""
_MOVED = 32
"""Bytes moved at once; most pieces are shorter."""
SPARE: Final = _MOVED - 1
"""Bytes that are needed after the bytes of the pieces."""


@dataclass(slots=True, eq=False)
class Pieces:
    """Pieces of the strings of some rows: the place and the length of each in the supply."""

    starts: list[Places]
    lengths: list[Places]

    @classmethod
    def of(cls, column: ColumnCells) -> Self:
        """Return the pieces of a column's entries."""
        if not column.lengths.any():
            return cls([], [])
        heads = column.heads()
        if heads is None or not heads[1].any():
            return cls([column.starts], [column.lengths])
        return cls([heads[0], column.starts], [heads[1], column.lengths])

    @classmethod
    def all(cls, several: Iterable[Self]) -> Self:
        """Return the pieces of strings that consist of several others."""
        parts = list(several)
        return cls(
            [starts for one in parts for starts in one.starts],
            [lengths for one in parts for lengths in one.lengths],
        )

    def sizes(self) -> Places:
        """Return the lengths of the strings."""
        sizes: Places = np.add.reduce(self.lengths, dtype=np.int32)
        return sizes

    def behind(self, table: HeadTable) -> Self:
        """Return the pieces with a head before them; without pieces there is no head.

        A string that is too long for a head from the table gets no head.
        """
        if not self.starts:
            return self
        sizes = self.sizes()
        if int(sizes.max(initial=0)) >= HEADS:
            sizes = sizes * (sizes < HEADS)
        starts, lengths = table.look_up(sizes)
        return type(self)([starts, *self.starts], [lengths, *self.lengths])


class Tree:
    """Combines the entries of columns to the entries of a map."""

    def __init__(self, leaves: Mapping[Path, str], tag: bytes, pool: Pool) -> None:
        """Prepare; `leaves` are path -> name of the column, `tag` begins an entry of the map."""
        self._fields: list[tuple[str, str | Tree, HeadTable]] = []
        for name in sorted({path[0] for path in leaves}):
            inner = {path[1:]: key for path, key in leaves.items() if path[0] == name}
            below = inner[()] if () in inner else Tree(inner, wire.MAP_FIELD, pool)
            heads = wire.Heads.map(tag, name.encode())
            self._fields.append((name, below, HeadTable(heads, pool)))

    def fields(
        self,
        columns: Mapping[str, ColumnCells],
        rows: Numbers | None = None,
        instead: Instead = _NOWHERE,
    ) -> Iterator[tuple[str, Pieces]]:
        """Yield each field's name and pieces, in order, for some rows or all.

        `instead` names fields for which other rows are used at some places of `rows`.
        """
        for name, below, heads in self._fields:
            at = rows
            if rows is not None and name in instead:
                places, others = instead[name]
                at = rows.copy()
                at[places] = others
            if isinstance(below, str):
                column = columns[below]
                yield name, Pieces.of(column if at is None else column.at(at))
            else:
                inside = {
                    path.removeprefix(f"{name}."): one
                    for path, one in instead.items()
                    if path.startswith(f"{name}.")
                }
                inner = Pieces.all(one for _, one in below.fields(columns, at, inside))
                yield name, inner.behind(heads)

    def longest(self, columns: Mapping[str, ColumnCells]) -> int:
        """Return an upper bound of the length of a row's entries."""
        return sum(
            columns[below].longest()
            if isinstance(below, str)
            else below.longest(columns) + heads.longest
            for _, below, heads in self._fields
        )

    def mark_too_long(
        self, rows: Mask, columns: Mapping[str, ColumnCells], *, itself: bool = False
    ) -> None:
        """Mark the rows with a map that is too long for a head from a table."""
        for _, below, _ in self._fields:
            if not isinstance(below, str):
                below.mark_too_long(rows, columns, itself=True)
        if itself and self.longest(columns) >= HEADS:
            pieces = Pieces.all(one for _, one in self.fields(columns))
            rows |= pieces.sizes() >= HEADS


class Strings:
    """Strings of some rows, which are joined only on request."""

    def __init__(
        self,
        pieces: Callable[[Numbers], Pieces],
        supply: Supply,
        rows: Numbers,
        instead: Mapping[int, bytes],
    ) -> None:
        """Prepare.

        Args:
            pieces: returns the pieces of the strings of some rows.
            supply: the bytes of the pieces.
            rows: the rows whose strings are wanted, in order.
            instead: row -> its string, if it does not consist of the pieces.
        """
        self._pieces = pieces
        self._supply = supply
        self._rows = rows
        self._instead = {
            place: instead[row]
            for place, row in enumerate(rows.tolist() if instead else ())
            if row in instead
        }

    def join(self) -> list[bytes]:
        """Return the string of each row."""
        pieces = self._pieces(self._rows)
        made = join(self._supply.octets(SPARE), [pieces], len(self._rows))
        for place, string in self._instead.items():
            made[place] = string
        return made


def join(octets: Octets, parts: Sequence[Pieces], count: int) -> list[bytes]:
    """Join `count` strings, each in parts: the parts of the first, of the second, and so on.

    `octets` are the bytes of a supply, with SPARE bytes after them.
    """
    widths = [len(part.starts) for part in parts]
    whole = Pieces.all(parts)
    starts, lengths = (rows_of(of).ravel() for of in (whole.starts, whole.lengths))
    bounds = np.append(0, np.cumsum(np.tile(widths, count)))
    return cut(octets, starts, lengths, bounds)


def rows_of(columns: Sequence[Places]) -> Places:
    """Return an array with one row for the numbers at the same place of all columns."""
    rows = np.empty((len(columns[0]) if columns else 0, len(columns)), np.int32)
    for number, column in enumerate(columns):  # by far faster than to transpose a large array
        rows[:, number] = column
    return rows


def cut(octets: Octets, starts: Places, lengths: Places, bounds: Numbers) -> list[bytes]:
    """Join strings whose pieces follow each other.

    `bounds` are the places among the pieces where the strings begin, and where the last one ends.
    """
    places = np.zeros(len(lengths) + 1, np.int64)
    places[1:] = lengths  # first: a sum of other numbers than the result's takes ten times as long
    np.cumsum(places, out=places)
    ends = places[bounds]
    made: list[bytes] = []
    first = 0
    while first < len(bounds) - 1:
        base = int(ends[first])
        stop = max(first + 1, int(np.searchsorted(ends, base + _AT_ONCE, "right")) - 1)
        some = slice(int(bounds[first]), int(bounds[stop]))
        edges = (ends[first : stop + 1] - base).tolist()
        data = _join(octets, starts[some], lengths[some], places[some] - base, edges[-1])
        made += [data[start:end] for start, end in pairwise(edges)]
        first = stop
    return made


def _join(octets: Octets, starts: Places, lengths: Places, places: Numbers, total: int) -> bytes:
    """Return the pieces one after another, at the places that result."""
    joined = np.empty(total + _MOVED, np.uint8)
    taken, put = windows(octets, _MOVED), windows(joined, _MOVED)
    # In this order, so that each piece overwrites the extra bytes of the piece before.
    put[places] = taken[starts]
    long = np.flatnonzero(lengths > _MOVED)
    if len(long):
        times = (lengths[long] - 1) // _MOVED
        number = np.arange(1, times.sum() + 1) - np.repeat(np.cumsum(times) - times, times)
        which = np.repeat(long, times)
        # The last move ends where the piece ends.
        further = np.minimum(number * _MOVED, lengths[which] - _MOVED)
        put[places[which] + further] = taken[starts[which] + further]
    return joined[:total].tobytes()
