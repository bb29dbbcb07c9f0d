"""How the strings of many rows are put together from pieces that are scattered over a supply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np

from shared import wire
from shared.grid import Places, windows
from shared.records import Mask, Numbers, Octets
from shared.schemas.cells import HEADS, Column, HeadTable, Pool, Supply

Path = tuple[str, ...]

_AT_ONCE = 512 * 1024
"""Bytes put together at a time: as many as stay in the processor's cache with all that it takes."""
_MOVED = 32
"""Bytes moved at once; most pieces are shorter."""


@dataclass(slots=True, eq=False)
class Pieces:
    """What the strings of some rows consist of: where in the supply each piece is, and how long."""

    starts: list[Places]
    lengths: list[Places]

    @classmethod
    def of(cls, column: Column) -> Self:
        """Return the pieces of a column's entries."""
        if not column.lengths.any():
            return cls([], [])
        heads = column.heads()
        if heads is None:
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
        """Return how long the strings are."""
        sizes: Places = np.add.reduce(self.lengths, dtype=np.int32)
        return sizes

    def behind(self, table: HeadTable) -> Self:
        """Return the pieces with a head before them, where there are any.

        Where they are too long for a head from the table, there is none.
        """
        if not self.starts:
            return self
        sizes = self.sizes()
        if int(sizes.max(initial=0)) >= HEADS:
            sizes = sizes * (sizes < HEADS)
        starts, lengths = table.look_up(sizes)
        return type(self)([starts, *self.starts], [lengths, *self.lengths])


class Tree:
    """Puts the entries of columns together to those of a map."""

    def __init__(self, leaves: Mapping[Path, str], tag: bytes, pool: Pool) -> None:
        """`leaves` are path -> name of the column; `tag` begins an entry of the map."""
        self._fields: list[tuple[str, str | Tree, HeadTable]] = []
        for name in sorted({path[0] for path in leaves}):
            inner = {path[1:]: key for path, key in leaves.items() if path[0] == name}
            below = inner[()] if () in inner else Tree(inner, wire.MAP_FIELD, pool)
            heads = wire.Heads.map(tag, name.encode())
            self._fields.append((name, below, HeadTable(heads, pool)))

    def fields(self, columns: Mapping[str, Column]) -> Iterator[tuple[str, Pieces]]:
        """Give each field's name and pieces, in order."""
        for name, below, heads in self._fields:
            if isinstance(below, str):
                yield name, Pieces.of(columns[below])
            else:
                inner = Pieces.all(one for _, one in below.fields(columns))
                yield name, inner.behind(heads)

    def longest(self, columns: Mapping[str, Column]) -> int:
        """Return what the entries of no row are longer than."""
        return sum(
            columns[below].longest()
            if isinstance(below, str)
            else below.longest(columns) + heads.longest
            for _, below, heads in self._fields
        )

    def mark_too_long(
        self, rows: Mask, columns: Mapping[str, Column], *, itself: bool = False
    ) -> None:
        """Mark the rows in which a map is too long for a head from a table."""
        for _, below, _ in self._fields:
            if not isinstance(below, str):
                below.mark_too_long(rows, columns, itself=True)
        if itself and self.longest(columns) >= HEADS:
            pieces = Pieces.all(one for _, one in self.fields(columns))
            rows |= pieces.sizes() >= HEADS


class Strings:
    """The strings of some rows, each row's cut into parts, put together when they are asked for."""

    def __init__(
        self,
        pieces: Callable[[], Sequence[Pieces]],
        supply: Supply,
        rows: Numbers,
        instead: Mapping[int, Sequence[bytes]],
    ) -> None:
        """Prepare.

        Args:
            pieces: gives, for each part, the pieces of the strings of all rows.
            supply: the bytes that they are pieces of.
            rows: the rows whose strings are wanted, in order.
            instead: row -> its parts, where they do not consist of the pieces.
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
        """Return the parts of the first row, of the second, and so on."""
        several = self._pieces()
        count, rows = len(several), len(self._rows)
        whole = Pieces.all(several)
        made: list[bytes] = []
        if not whole.starts or not rows:
            made = [b""] * (count * rows)
        else:
            starts, lengths = self._chosen(whole.starts), self._chosen(whole.lengths)
            lengths[:, [*self._instead]] = 0
            sizes = np.zeros((rows, count), np.int64)
            first = 0
            for part, pieces in enumerate(several):
                stop = first + len(pieces.starts)
                sizes[:, part] = lengths[first:stop].sum(axis=0)
                first = stop
            octets = self._supply.octets(_MOVED - 1)
            ends = np.cumsum(sizes).reshape(sizes.shape)
            row = 0
            while row < rows:
                base = int(ends[row - 1, -1]) if row else 0
                stop = max(row + 1, int(np.searchsorted(ends[:, -1], base + _AT_ONCE, "right")))
                data = _join(octets, starts[:, row:stop].T.ravel(), lengths[:, row:stop].T.ravel())
                bounds = [0, *(ends[row:stop].ravel() - base).tolist()]
                made += [data[start:end] for start, end in pairwise(bounds)]
                row = stop
        for place, parts in self._instead.items():
            made[place * count : (place + 1) * count] = parts
        return made

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.join())

    def _chosen(self, parts: Sequence[Places]) -> Places:
        """Return what there is of the rows, a row a piece."""
        together = np.array(parts, np.int32)
        return together if together.shape[1] == len(self._rows) else together[:, self._rows]


class Cuts:
    """What `Strings` makes of some places of a list: tuples of their parts; () at all others."""

    def __init__(self, strings: Strings, places: Sequence[int], count: int) -> None:
        self._strings = strings
        self._places = places
        self._count = count

    def __iter__(self) -> Iterator[tuple[bytes, ...]]:
        made: list[tuple[bytes, ...]] = [()] * self._count
        if self._places:
            parts = self._strings.join()
            each = [iter(parts)] * (len(parts) // len(self._places))
            for place, own in zip(self._places, zip(*each, strict=True), strict=True):
                made[place] = own
        return iter(made)


def _join(octets: Octets, starts: Places, lengths: Places) -> bytes:
    """Return the pieces one behind the other. As many octets as are moved follow the last piece."""
    ends = np.cumsum(lengths)
    places = ends - lengths
    total = int(ends[-1])
    joined = np.empty(total + _MOVED, np.uint8)
    taken, put = windows(octets, _MOVED), windows(joined, _MOVED)
    # One after the other, so that each overwrites what was put down too much of the one before.
    put[places] = taken[starts]
    long = np.flatnonzero(lengths > _MOVED)
    if len(long):
        times = (lengths[long] - 1) // _MOVED
        number = np.arange(1, times.sum() + 1) - np.repeat(np.cumsum(times) - times, times)
        which = np.repeat(long, times)
        # The last one ends where the piece ends.
        further = np.minimum(number * _MOVED, lengths[which] - _MOVED)
        put[places[which] + further] = taken[starts[which] + further]
    return joined[:total].tobytes()
