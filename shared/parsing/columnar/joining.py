"""Joining of rows to documents: the usual documents of a chunk are made all at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared.core import Problem
from shared.core.arrays import Mask, Numbers
from shared.files.cells.vectorized import Doubles
from shared.files.types import INT64_MAX, Aggregation
from shared.firestore.bulk import FIELD, Entries, Heads, doubles, integers
from shared.parsing.blocks import Block
from shared.parsing.columnar.parts import NEVER, UNREADABLE, Parts, RowPart, Values, values_at
from shared.parsing.columnar.pieces import Instead
from shared.parsing.columnar.texts import Texts

Join = Callable[[Sequence[RowPart]], tuple[bytes, frozenset[str], list[Problem]]]
MakeParts = Callable[[Parts, Sequence[int]], Iterator[RowPart]]

_NONE: Final = -1
_EXACT: Final = 2**53
"""Upper bound up to which whole numbers are exact as doubles."""


class Joiner:
    """Joins the rows of one file, a chunk at a time. Keeps rows whose documents lack other rows."""

    def __init__(
        self,
        aggregation: Aggregation | None,
        *,
        join: Join,
        parts: MakeParts,
        items: str,
        totals: Iterable[str],
        refers_by: str,
    ) -> None:
        """Prepare to join.

        Args:
            aggregation: the way of `join` with usual documents; None if unknown.
            join: makes a document from its parts, like `shared.parsing.factory.join_parts`.
            parts: returns the parts of some rows, like `PartMaker.parts`.
            items: the field that holds the items.
            totals: the other fields that all rows make together.
            refers_by: the column with the key of the customer to whom a document belongs.
        """
        self._aggregation = aggregation
        self._join = join
        self._parts = parts
        self._items = items
        self._made = sorted((items, *totals))
        self._array_heads = Heads.array(FIELD, items.encode())
        self._refers_by = refers_by
        self._open: dict[int, list[RowPart]] = {}

    def join(self, parts: Parts, places: Numbers, mine: Mask) -> tuple[Block, list[Problem]]:
        """Return the documents that the next rows complete, and the warnings about them.

        `places` are those of `Plan.places`; rows that are not `mine` are skipped.
        """
        documents = np.where(places < 0, ~places, places)
        lasts = np.flatnonzero((places >= 0) & mine)
        whole = documents[lasts]
        of = _numbers(documents, whole)
        alone = np.zeros(len(whole), bool)
        if self._open:
            alone[:] = [document in self._open for document in whole.tolist()]
        rows = _Rows.of(np.flatnonzero(of != _NONE), of, len(whole))
        which = lasts.tolist()
        block = Block(
            keys=[parts.keys[row] for row in which],
            wires=[b""] * len(which),
            keep=[parts.keep[row] for row in which],
            lines=rows.split(parts.lines),
            places=whole.tolist(),
            refers_to=self._refers_to(parts.values, lasts),
        )
        if self._aggregation is None:
            alone[:] = True
        elif which:
            self._join_usual(block, parts, lasts, rows, alone)

        problems: list[Problem] = []
        unusual = rows.some(alone[rows.documents])
        open_rows = np.flatnonzero((of == _NONE) & mine)
        counts = unusual.sizes.tolist()
        made = self._parts(parts, [*unusual.rows.tolist(), *open_rows.tolist()])
        for number in np.flatnonzero(alone).tolist():
            together = self._open.pop(block.places[number], [])
            together += islice(made, counts[number])
            block.wires[number], block.keep[number], found = self._join(together)
            block.lines[number] = tuple([part.line for part in together])
            problems += found
        for document, part in zip(documents[open_rows].tolist(), made, strict=True):
            self._open.setdefault(document, []).append(part)
        return block, problems

    def _join_usual(
        self, block: Block, parts: Parts, lasts: Numbers, rows: _Rows, alone: Mask
    ) -> None:
        """Make the usual documents among some; mark the others."""
        assert self._aggregation is not None
        assert parts.shares is not None
        elsewhere = parts.shares.elsewhere
        if len(elsewhere):
            alone[rows.documents[np.isin(rows.rows, elsewhere)]] = True
        items = rows.some(parts.shares.has_item[rows.rows])
        items, totals = _look(self._aggregation, parts.values, rows, items, alone)
        usual = np.flatnonzero(~alone)
        if not len(usual):
            return
        items = items.some(~alone[items.documents])
        instead = _left_open(block, parts.keep, rows, usual)
        between = [
            self._array_heads if name == self._items else _total(name.encode(), totals[name][usual])
            for name in self._made
        ]
        wires = parts.shares.gather(lasts[usual], items.rows, items.sizes[usual], between, instead)
        if len(usual) == len(alone):
            block.wires = wires
        else:
            for number, wire in zip(usual.tolist(), wires, strict=True):
                block.wires[number] = wire

    def _refers_to(self, values: Mapping[str, Values], rows: Numbers) -> list[str]:
        people = values.get(self._refers_by)
        return (
            [""] * len(rows) if people is None else [key or "" for key in values_at(people, rows)]
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows of a chunk, sorted by the documents that they belong to."""

    rows: Numbers
    documents: Numbers
    """Number of each row's document."""
    ends: Numbers
    """Place in `rows` where each document's rows end."""

    @property
    def sizes(self) -> Numbers:
        """Number of rows of each document."""
        return np.diff(self.ends, prepend=0)

    @classmethod
    def of(cls, rows: Numbers, of: Numbers, count: int) -> _Rows:
        """Sort rows, given in file order, by the document that each row of the chunk is `of`."""
        rows = rows[np.argsort(of[rows], kind="stable")]
        documents = of[rows]
        return cls(rows, documents, np.searchsorted(documents, np.arange(count), "right"))

    def some(self, which: Mask) -> _Rows:
        """Return the marked rows."""
        if which.all():
            return self
        documents = self.documents[which]
        ends = np.searchsorted(documents, np.arange(len(self.ends)), "right")
        return _Rows(self.rows[which], documents, ends)

    def split(self, column: Numbers) -> list[tuple[int, ...]]:
        """Return the values of a column of the chunk, document by document."""
        sorted_ = tuple(column[self.rows].tolist())
        return [sorted_[start:end] for start, end in pairwise([0, *self.ends.tolist()])]

    def total(self, numbers: Numbers) -> Numbers:
        """Return the sums of numbers, one number per row, by document."""
        return np.diff(np.append(0, np.cumsum(numbers))[self.ends], prepend=0)


def _look(
    aggregation: Aggregation,
    values: Mapping[str, Values],
    rows: _Rows,
    items: _Rows,
    alone: Mask,
) -> tuple[_Rows, dict[str, Numbers | Doubles]]:
    """Mark the documents that are not usual; return the items of the others, and their totals."""
    several = rows.some(rows.sizes[rows.documents] > 1)
    _mark_differing(alone, [values[name] for name in aggregation.shared], several)
    several = items.some(items.sizes[items.documents] > 1)
    _mark_repeated(alone, [values[name] for name in aggregation.item_keys], several)
    if aggregation.sorted_by is not None:
        items = _sorted(alone, values[aggregation.sorted_by], items)
    totals: dict[str, Numbers | Doubles] = {
        name: _sums(alone, values[column], items) for name, column in aggregation.sums.items()
    }
    if aggregation.count is not None:
        totals[aggregation.count] = items.sizes
    return items, totals


def _mark_differing(alone: Mask, columns: Iterable[Values], rows: _Rows) -> None:
    """Mark the documents whose rows do not agree."""
    lasts = rows.rows[rows.ends[rows.documents] - 1]
    for column in columns:
        codes = _codes(column)
        differs = codes[rows.rows] != codes[lasts]
        alone[rows.documents[differs]] = True


def _left_open(
    block: Block, keep: Sequence[frozenset[str]], rows: _Rows, usual: Numbers
) -> Instead:
    """Return, for fields that the last row of a document leaves open, the row to take them from.

    That is the last row that does not leave the field open. The fields that all rows leave open go
    into `block.keep`. `usual` are the documents; places in the result are places in it.
    """
    lasts = rows.rows[rows.ends[rows.documents] - 1]
    same = np.fromiter(map(id, keep), np.int64, len(keep))  # equal sets are mostly one object
    doubtful = np.flatnonzero(same[rows.rows] != same[lasts])
    differing = {
        document
        for document, row, last in zip(
            rows.documents[doubtful].tolist(),
            rows.rows[doubtful].tolist(),
            lasts[doubtful].tolist(),
            strict=True,
        )
        if keep[last] - keep[row]
    }
    found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    places = dict(zip(usual.tolist(), range(len(usual)), strict=True)) if differing else {}
    for document in sorted(differing.intersection(places)):
        begin = int(rows.ends[document - 1]) if document else 0
        *others, last = rows.rows[begin : rows.ends[document]].tolist()
        left = keep[last]
        for row in reversed(others):
            for path in left - keep[row]:
                found[path].append((places[document], row))
            left &= keep[row]
        block.keep[document] = left
    columns = {path: np.array(pairs, np.int64).T for path, pairs in found.items()}
    return {path: (column[0], column[1]) for path, column in columns.items()}


def _mark_repeated(alone: Mask, columns: Iterable[Values], items: _Rows) -> None:
    """Mark the documents with two items that have the same identification."""
    codes = np.full(len(items.rows), _NONE)
    known = 0
    for column in columns:
        if isinstance(column, list):
            unreadable = [column[row] is UNREADABLE for row in items.rows.tolist()]
            alone[items.documents[np.array(unreadable, bool)]] = True
        without = np.flatnonzero(codes == _NONE)
        if not len(without):
            break
        found = _codes(column)[items.rows[without]]
        codes[without] = np.where(found == _NONE, _NONE, found + known)
        known += int(found.max(initial=_NONE)) + 1
    named = codes != _NONE
    pairs = np.sort(items.documents[named] * known + codes[named])
    alone[pairs[1:][pairs[1:] == pairs[:-1]] // max(1, known)] = True


def _sorted(alone: Mask, column: Values, items: _Rows) -> _Rows:
    """Return the items in the order of a column.

    Items of a document that lacks a value there keep their order.
    """
    numbers, whole = _whole(column)
    by = numbers[items.rows]
    if not whole.all():
        without = np.array([cell is None for cell in values_at(column, items.rows)], bool)
        alone[items.documents[~whole[items.rows] & ~without]] = True
        unsorted = np.zeros(len(alone), bool)
        unsorted[items.documents[without]] = True
        by = np.where(unsorted[items.documents], 0, by)
    if ((by[1:] >= by[:-1]) | (items.documents[1:] != items.documents[:-1])).all():
        return items
    order = np.lexsort((by, items.documents))
    return _Rows(items.rows[order], items.documents, items.ends)


def _sums(alone: Mask, column: Values, items: _Rows) -> Numbers | Doubles:
    """Return the sums of a column; mark the documents whose sum is not certain."""
    numbers, whole = _whole(column)
    numbers = numbers[items.rows]
    are_doubles = isinstance(column, np.ndarray) and column.dtype == np.float64
    most = (_EXACT if are_doubles else INT64_MAX) // max(1, len(numbers))
    certain = whole[items.rows] & (np.abs(numbers) <= most)
    alone[items.documents[~certain]] = True
    sums = items.total(np.where(certain, numbers, 0))
    return sums.astype(np.float64) if are_doubles else sums


def _total(name: bytes, totals: Numbers | Doubles) -> Entries:
    """Return an entry for each total."""
    if totals.dtype == np.float64:
        return doubles(FIELD, name, totals.astype(np.float64))
    return integers(FIELD, name, totals.astype(np.int64))


def _whole(column: Values) -> tuple[Numbers, Mask]:
    """Return the whole numbers of a column, 0 for other values, and a mark for whole numbers."""
    if isinstance(column, np.ndarray):
        if column.dtype == np.float64:
            whole = (np.abs(column) <= _EXACT) & (column == np.floor(column))
        else:
            whole = column != NEVER
        return np.where(whole, column, 0).astype(np.int64), whole
    if isinstance(column, Texts):
        column = column.all()
    whole = np.array([type(cell) is int for cell in column], bool)
    numbers = [cell if is_whole else 0 for cell, is_whole in zip(column, whole, strict=True)]
    return np.array(numbers, np.int64), whole


def _codes(column: Values) -> Numbers:
    """Return numbers from 0 that are equal for equal values; _NONE for no value."""
    if isinstance(column, Texts):
        return column.codes()
    cells: Numbers | Doubles | npt.NDArray[np.object_]
    if isinstance(column, np.ndarray):
        codes = np.asarray(pd.factorize(column)[0], np.int64)
        return np.where(column == NEVER, _NONE, codes) if column.dtype == np.int64 else codes
    else:
        cells = np.empty(len(column), object)
        cells[:] = column
    return np.asarray(pd.factorize(cells)[0], np.int64)


def _numbers(documents: Numbers, whole: Numbers) -> Numbers:
    """Return the place in `whole` of each row's document; _NONE if it is not there."""
    if not len(whole):
        return np.full(len(documents), _NONE)
    order = np.argsort(whole)
    sorted_ = whole[order]
    found = np.minimum(np.searchsorted(sorted_, documents), len(whole) - 1)
    return np.where(sorted_[found] == documents, order[found], _NONE)
