"""How the pieces that strings consist of, scattered over a pool, are put together for many rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np

from shared.records import Numbers
from shared.schemas.cells import HEADS, Column, HeadTable, Pool
from shared.schemas.certain import Mask, Octets

_AT_ONCE = 256 * 1024
"""Bytes put together at a time: as many as stay in the processor's cache with all that it takes."""


@dataclass(slots=True, eq=False)
class Pieces:
    """What the strings of some rows consist of: where in the pool each piece is, and how long."""

    starts: list[Numbers]
    lengths: list[Numbers]
    too_long: Mask
    """Rows in which something is too long for a head from a table."""

    @classmethod
    def of(cls, column: Column) -> Self:
        """Return the pieces of a column's entries."""
        return cls([column.heads, column.starts], [column.head_lengths, column.lengths], column.odd)

    @classmethod
    def all(cls, several: Iterable[Self]) -> Self:
        """Return the pieces of strings that consist of several others."""
        parts = list(several)
        return cls(
            [starts for one in parts for starts in one.starts],
            [lengths for one in parts for lengths in one.lengths],
            np.logical_or.reduce([one.too_long for one in parts]) if parts else np.zeros(0, bool),
        )

    def behind(self, table: HeadTable) -> Self:
        """Return the pieces with a head before them, where there are any."""
        size = np.add.reduce(self.lengths)
        too_long = size >= HEADS
        starts, lengths = table.look_up(np.where(too_long, 0, size))
        return type(self)(
            [starts, *self.starts], [lengths, *self.lengths], self.too_long | too_long
        )


class Strings:
    """The strings of some rows, on the way from their pieces."""

    def __init__(self, pieces: Pieces, rows: Sequence[int]) -> None:
        chosen = np.array(rows, np.int64)
        shape = (len(chosen), len(pieces.starts))
        self._starts = np.empty(shape, np.int64)
        self._lengths = np.empty(shape, np.int64)
        for place, (starts, lengths) in enumerate(zip(pieces.starts, pieces.lengths, strict=True)):
            self._starts[:, place] = starts[chosen]
            self._lengths[:, place] = lengths[chosen]

    def put(self, row: int, pool: Pool, string: bytes) -> None:
        """Let a row's string be this one instead."""
        if string:
            self._lengths[row] = 0
            self._starts[row, 0], self._lengths[row, 0] = pool.add(string), len(string)
        elif self._lengths.shape[1]:
            self._lengths[row] = 0

    def join(self, octets: Octets) -> list[bytes]:
        """Return the strings, made of the bytes of the pool."""
        count = len(self._lengths)
        ends = np.cumsum(self._lengths.sum(axis=1))
        made: list[bytes] = []
        row = 0
        while row < count:
            base = int(ends[row - 1]) if row else 0
            stop = max(row + 1, int(np.searchsorted(ends, base + _AT_ONCE, "right")))
            data = _join(octets, self._starts[row:stop].ravel(), self._lengths[row:stop].ravel())
            bounds = [0, *(ends[row:stop] - base).tolist()]
            made += [data[start:end] for start, end in pairwise(bounds)]
            row = stop
        return made


def _join(octets: Octets, starts: Numbers, lengths: Numbers) -> bytes:
    """Return the pieces one behind the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    places = np.repeat(starts - ends + lengths, lengths)
    places += np.arange(total)
    return octets[places].tobytes()
