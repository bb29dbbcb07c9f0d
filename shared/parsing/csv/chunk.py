"""Rows of a file, some at a time: the good ones by the places of their cells, and the bad ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from shared.core import Problem
from shared.core.arrays import Numbers
from shared.parsing.csv.grid import Grid, Places
from shared.parsing.csv.records import Records


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read with the header."""

    line: int
    """Line of the file where the row begins, as an editor numbers it."""
    cells: list[str]
    """Cells of the row, all of them up to `CELLS`."""
    problem: Problem
    export: str | None = None
    """Text in the place where the file names the export of the row; None if the file names none."""


class RowBytes(Sequence[bytes]):
    """Bytes of some rows, in UTF-8, taken from their block on request."""

    def __init__(
        self, data: bytes, starts: Places, ends: Places, recoded: Mapping[int, bytes]
    ) -> None:
        """Prepare; `recoded` are the bytes of rewritten rows, by their place among these rows."""
        self._data = data
        self._starts = starts
        self._ends = ends
        self._recoded = recoded

    @classmethod
    def of(cls, records: Records, rows: Numbers, recoded: Mapping[int, bytes]) -> Self:
        """Return the bytes of some records; `recoded` by their numbers."""
        return cls(
            records.data,
            records.starts[rows].astype(np.int32),
            records.ends[rows].astype(np.int32),
            {
                place: recoded[row]
                for place, row in enumerate(rows.tolist() if recoded else ())
                if row in recoded
            },
        )

    @property
    def size(self) -> int:
        """Approximate bytes in memory besides the block."""
        return self._starts.nbytes + self._ends.nbytes + sum(map(len, self._recoded.values()))

    @property
    def lengths(self) -> Numbers:
        """Number of bytes of each row."""
        lengths = (self._ends - self._starts).astype(np.int64)
        for place, recoded in self._recoded.items():
            lengths[place] = len(recoded)
        return lengths

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, place: int) -> bytes:  # type: ignore[override]
        if place in self._recoded:
            return self._recoded[place]
        return self._data[self._starts[place] : self._ends[place]]

    def __iter__(self) -> Iterator[bytes]:
        if self._recoded:
            return map(self.__getitem__, range(len(self)))
        data = self._data
        bounds = zip(self._starts.tolist(), self._ends.tolist(), strict=True)
        return iter([data[start:end] for start, end in bounds])


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some rows of a file, in the order of the file."""

    line_numbers: Numbers
    """Line of the file where each good row begins."""
    numbers: Numbers
    """Number of each good row in the file, counted from 0, bad rows included."""
    bad: list[BadRow]
    first_row: int
    """Ordinal of the first row, good or bad."""
    grid: Grid
    """Places of the cells of the good rows; columns as in the header."""
    exports: list[str] | None
    """Import id of the export of each good row; None if the file names none."""
    exported: Numbers | None
    """Time of each of these exports, as `shared.files.exported.micros`."""
    _cut: Callable[[Numbers], dict[str, list[str]]]
    """Cuts the cells of some records; by the header's canonical names."""
    _records: Records
    _first_record: int
    """Row number that a spreadsheet shows for the first of the records."""
    _good: Numbers
    _recoded: dict[int, bytes]

    @property
    def lines(self) -> list[int]:
        """Return `line_numbers` as a list."""
        lines: list[int] = self.line_numbers.tolist()
        return lines

    @property
    def ordinals(self) -> list[int]:
        """Return `numbers` as a list."""
        ordinals: list[int] = self.numbers.tolist()
        return ordinals

    @property
    def frame(self) -> pd.DataFrame:
        """Good rows, named by `header.canonical`; every cell a str as written, "" if blank."""
        columns = self.cells(range(len(self._good)))
        return pd.DataFrame(columns, dtype=object)

    def cells(self, places: Sequence[int]) -> dict[str, list[str]]:
        """Return, column by column, the cells of the good rows at these places, as in `frame`."""
        return self._cut(self._good[np.array(places, np.int64)])

    def exported_at(self, ordinals: Numbers) -> Numbers | None:
        """Return the times of the exports of good rows; None if the file names none."""
        if self.exported is None:
            return None
        return self.exported[np.searchsorted(self.numbers, ordinals)]

    def lines_and_numbers(self, places: Numbers) -> tuple[list[int], list[int | None]]:
        """Return the lines on which good rows begin, and the row numbers that a spreadsheet shows.

        The number is None if it is the line. Example: 4 for line 6, if the rows before hold two
        line ends.
        """
        lines = self.line_numbers[places]
        numbers = self._first_record + self._good[places]
        return lines.tolist(), spreadsheet_numbers(lines.tolist(), numbers.tolist())

    def place(self, ordinal: int) -> int:
        """Return the place of a row among the good ones."""
        return int(np.searchsorted(self.numbers, ordinal))

    def bytes(self, ordinals: Numbers) -> RowBytes:
        """Return the bytes of good rows, in UTF-8; `CsvReader.cut` cuts them."""
        rows = self._good[np.searchsorted(self.numbers, ordinals)]
        return RowBytes.of(self._records, rows, self._recoded)


def spreadsheet_numbers(lines: Iterable[int], rows: Iterable[int]) -> list[int | None]:
    """Return the row numbers that a spreadsheet shows; None where that is the line."""
    return [None if line == row else row for line, row in zip(lines, rows, strict=True)]
