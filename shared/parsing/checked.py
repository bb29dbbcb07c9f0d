"""Rows after their check, with values or with problems, and counts of the cells that were read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.core import Problem


@dataclass(frozen=True, slots=True)
class Row:
    """A row that passed."""

    line: int
    """Line of the file where the row begins."""
    ordinal: int
    """Place of the row among all rows of the file, from 0."""
    key: str
    """Id of the row's document."""
    values: dict[str, Any]
    """Column name -> value, of the columns that have a value. Unknown columns are under `extra`."""
    last_updated: datetime | None
    """Time of the last change of the record in the ERP, if the type has such a column."""
    finer: int = field(kw_only=True, default=0)
    """Nanoseconds of that time beyond its microseconds."""
    blank: frozenset[str]
    """Paths of the document's fields that the row leaves open: the cell is blank or cannot be read.

        Only columns of the file are included, except consent: if its column is missing, it is open.
        Fields of items are never included.
    """
    unreadable: frozenset[str] = frozenset()
    """Paths among these whose cell could not be read."""
    faulty: frozenset[str] = frozenset()
    """Columns, those of items included, whose cells could not be read."""

    def keep(self, keepable: frozenset[str]) -> frozenset[str]:
        """Return the paths of the fields whose stored values are kept.

        Blank cells keep the `keepable` fields. A cell that cannot be read never changes anything.
        """
        return self.blank & keepable | self.unreadable


@dataclass(frozen=True, slots=True)
class RowProblems:
    """A rejected row with all its problems."""

    line: int
    ordinal: int
    problems: tuple[Problem, ...]
    cells: Sequence[str]
    """Cells of the row as the file has them, in the order of the header."""


@dataclass(slots=True)
class CellCounts:
    """Counts of the cells of each column, in good rows and bad rows."""

    filled: Counter[str] = field(default_factory=Counter)
    """Column name -> cells that are not blank."""
    unreadable: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Column name and look of its cells -> number of cells that cannot be read for that reason."""

    def add(self, other: CellCounts) -> None:
        """Add the counts of other rows."""
        self.filled.update(other.filled)
        self.unreadable.update(other.unreadable)

    def unreadable_in(self, column: str) -> int:
        """Return the number of cells of a column that cannot be read."""
        return sum(times for (name, _), times in self.unreadable.items() if name == column)

    def looks_of(self, column: str) -> str:
        """Return the look of most of the unreadable cells of a column."""
        looks = {look: times for (name, look), times in self.unreadable.items() if name == column}
        return max(looks, key=looks.__getitem__)


def damaged(seen: CellCounts, *, limit: float, floors: Mapping[str, int]) -> list[str]:
    """Return the columns with too many cells that cannot be read, the worst first.

    Too many are more than the share `limit` of the cells that are not blank, and at least the
    number in `floors` for the column. Columns that are not in `floors` are left out.
    """
    shares = {
        name: bad / max(1, seen.filled[name])
        for name, floor in floors.items()
        if (bad := seen.unreadable_in(name)) >= floor and bad > limit * seen.filled[name]
    }
    return sorted(shares, key=lambda name: -shares[name])


@dataclass(slots=True)
class Checked:
    """Result of checking some rows; each list is in file order."""

    rows: list[Row] = field(default_factory=list)
    rejected: list[RowProblems] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    """Warnings about rows that passed, and once about the header."""
    seen: CellCounts = field(default_factory=CellCounts)
    """Counts of the cells of each column."""
