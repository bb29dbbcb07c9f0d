"""Parts of documents that rows make, column by column: as they are put together, or packed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.core import Problem
from shared.core.arrays import Numbers
from shared.files.cells.vectorized import Doubles
from shared.parsing.checked import CellCounts, RowProblems
from shared.parsing.columnar.groups import Shares
from shared.parsing.columnar.pieces import Strings
from shared.parsing.columnar.texts import Texts

Values = Texts | Numbers | Doubles | list[Any]
"""Values of a column, None for no value. Whole numbers, times and doubles may be in an array, with
NEVER for no whole number or time."""
NEVER = -(2**63)
"""Value for the time of a row without one."""


class UnreadableCell:
    """Value of a cell that is needed to put a document together and could not be read."""


UNREADABLE = UnreadableCell()


@dataclass(slots=True)
class RowPart:
    """Part of a document that one row of a grouped type makes."""

    line: int
    """Line of the file where the row begins."""
    own: tuple[bytes, ...]
    """Entries of the document's own fields, cut at the fields that all its rows make together."""
    item: bytes
    """Item of the row, as a value of an array; empty if the row has none."""
    values: Mapping[str, Any]
    """Column name -> value of the columns in `FileType.looks_at`, None for no value.

    Times are in microseconds since 1970.
    """
    keep: frozenset[str]
    """Paths of the document's fields that the row leaves unchanged."""
    faulty: frozenset[str] = frozenset()
    """Columns among these whose cells could not be read."""


@dataclass(slots=True)
class Parts:
    """Parts of rows: columns of one length, in file order."""

    lines: Numbers
    ordinals: Numbers
    keys: list[str]
    """Ids of the documents."""
    updated: Numbers
    """Time of each row's last change in the ERP, in nanoseconds since 1970, or NEVER."""
    keep: list[frozenset[str]]
    """Paths of the document's fields that each row leaves unchanged."""
    own: list[bytes]
    """Content of each document; empty if the type is grouped."""
    shares: Shares | None
    """Shares of the rows in their documents; None if the type is not grouped."""
    values: dict[str, Values]
    """Name -> values, as in `RowPart`, of the columns whose values are needed."""


@dataclass(slots=True)
class Packed:
    """`Parts` in as little memory as possible: the contents are still scattered over the block."""

    lines: Numbers
    ordinals: Numbers
    updated: Numbers
    keep: list[frozenset[str]]
    content: Strings | Shares
    packed_keys: str
    """Keys, one after another, with zero bytes between. A good row has no zero byte."""
    values: dict[str, Values]
    """As in `Parts`."""
    size: int
    """Approximate bytes in memory."""

    @property
    def keys(self) -> list[str]:
        """Ids of the documents."""
        return self.packed_keys.split("\0") if len(self.lines) else []

    def unpack(self) -> Parts:
        """Put everything together."""
        return Parts(
            lines=self.lines,
            ordinals=self.ordinals,
            keys=self.keys,
            updated=self.updated,
            keep=self.keep,
            own=[] if isinstance(self.content, Shares) else self.content.join(),
            shares=self.content if isinstance(self.content, Shares) else None,
            values=self.values,
        )


@dataclass(slots=True)
class ChunkOutcome:
    """Result for a chunk: every row is in `packed` or in `rejected`."""

    packed: Packed
    rejected: list[RowProblems]
    warnings: list[Problem]
    seen: CellCounts
    """Counts of the cells of each column."""
    left_out: int = 0
    """Number of rows with a value of a field that is not to be written."""

    @property
    def parts(self) -> Parts:
        """Parts of the rows that are not rejected."""
        return self.packed.unpack()


def values_at(column: Values, places: Numbers) -> list[Any]:
    """Return the values at some places of a column."""
    if isinstance(column, Texts):
        return column.at(places)
    if isinstance(column, list):
        return [column[place] for place in places.tolist()]
    values: list[Any] = column[places].tolist()
    if column.dtype == np.int64 and NEVER in values:
        return [None if value == NEVER else value for value in values]
    return values


def pack_values(column: list[Any] | Numbers) -> Values:
    """Return values in as little memory as possible; an array holds times, NEVER for none."""
    if isinstance(column, np.ndarray):
        return column
    types = {*map(type, column)}
    if types <= {str, type(None)}:
        return Texts(column)
    if types == {int}:
        return np.array(column, np.int64)
    return np.array(column, np.float64) if types == {float} else column
