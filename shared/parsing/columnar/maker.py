"""Parts of documents on the wire, made from the rows of a chunk, column by column.

A row with an unusual cell is left to `Checker`, which reads it with the pydantic model and decides
about it. The model would find no problem in any other row: each cell has been read by the same kind
that the model uses.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import compress
from typing import Any

import numpy as np
import pandas as pd

from shared.core.arrays import Mask, Numbers
from shared.files.cells.vectorized import microseconds
from shared.files.types import EXTRA, TEXT, Column, fields_of, nest
from shared.firestore.bulk import encode_content, wire
from shared.parsing.checked import Checked, Row
from shared.parsing.checker import ROW_LIMIT_BYTES, Checker, content
from shared.parsing.columnar.cells import Cells, ColumnCells, HeadTable, Pool, Supply, first_rows
from shared.parsing.columnar.groups import Shares
from shared.parsing.columnar.parts import (
    NEVER,
    UNREADABLE,
    ChunkOutcome,
    Packed,
    Parts,
    RowPart,
    pack_values,
    values_at,
)
from shared.parsing.columnar.pieces import Instead, Path, Pieces, Strings, Tree
from shared.parsing.columnar.texts import Texts
from shared.parsing.csv.chunk import Chunk


class PartMaker:
    """Makes parts of the rows of one file, a chunk at a time."""

    def __init__(
        self,
        checker: Checker,
        *,
        looks_at: Sequence[str] | None,
        made: Iterable[str],
        keepable: frozenset[str],
        leave_out: frozenset[str],
    ) -> None:
        """Prepare.

        Args:
            checker: judges the rows of the same file.
            looks_at: names of the columns whose values are needed to put a document together;
                None if each row is a document.
            made: names of the document's fields that all its rows make together.
            keepable: paths of the fields that a row may leave unchanged.
            leave_out: names of the document's fields that are checked and not written.
        """
        self._checker = checker
        self._grouped = looks_at is not None
        self._looks_at = tuple(looks_at or ())
        self._cuts = sorted(made) if self._grouped else []
        self._keepable = keepable
        self._leave_out = leave_out
        self._pool = Pool()
        columns = {column.name: column for column in checker.columns}
        sources = {source.column.name: source for source in checker.sources}
        valued = {checker.key, checker.recency, *self._looks_at}
        extra = _extra(checker)
        self._cells = _cells_of(checker, self._pool, valued)
        self._reads = {name: columns[name].reads or "" for name in sources}
        self._substitutes = _substitutes_of(checker, self._pool)
        self._defaults = []
        for name, default in checker.defaults:
            tag, own_name = _stand(columns[name])
            entry = wire.entry(tag, own_name.encode(), wire.value(default))
            self._defaults.append((name, self._pool.add(entry), len(entry)))
        filled = {*self._cells, *(name for name, *_ in (*self._substitutes, *self._defaults))}
        paths: dict[str, dict[Path, str]] = {
            part: {
                tuple(column.field.split(".")): name
                for name, column in columns.items()
                if name in filled and column.part == part
            }
            for part in ("document", "item")
        }
        self._document = Tree({**paths["document"], **extra}, wire.FIELD, self._pool)
        self._item = Tree({**paths["item"], **extra}, wire.MAP_FIELD, self._pool)
        self.row_bytes = sum(
            len(name.encode()) + 10 for path in {**paths["item"], **extra} for name in path
        )
        """Upper bound of the bytes of an item's names and numbers, besides the bytes of the row."""
        self._item_heads = wire.Heads.item()
        self._item_table = HeadTable(self._item_heads, self._pool)
        self._paths = {
            part: {name: path for path, name in leaves.items()} for part, leaves in paths.items()
        }
        self._keeps = [
            (name, open_)
            for name, column in columns.items()
            if name in sources
            and column.part != "item"
            and column.reads is None
            and (open_ := keepable.intersection(fields_of(column, checker.columns)))
        ]
        self._unvalued = [name for name in sources if name not in valued]
        self._counted = [name for name in sources if columns[name].reads is None]
        self._patterns: dict[tuple[bool, ...], frozenset[str]] = {}

    def make(self, chunk: Chunk) -> ChunkOutcome:
        """Make parts of the rows of a chunk.

        The result is that of `Checker.check`, which reads the rows that need it.
        """
        grid = chunk.grid
        supply = Supply(grid.octets, self._pool)
        columns: dict[str, ColumnCells] = {}
        for name, cells in self._cells.items():
            columns[name] = cells.column(grid, supply, columns.get(self._reads.get(name, "")))
        unsaid = [(name, ~columns[name].there) for name in self._checker.consents]
        filled = {name: columns[name].there for name in self._counted}
        self._stand_in(columns)
        keep = self._kept(columns, len(grid.regular))

        odd = ~grid.regular
        for column in columns.values():
            if column.odd is not None:
                odd |= column.odd
        too_long = np.zeros(len(odd), bool)
        self._document.mark_too_long(too_long, columns)
        if self._grouped:
            self._item.mark_too_long(too_long, columns, itself=True)
        odd |= too_long
        for group in self._checker.one_of:
            there = [columns[name].there for name in group if name in columns]
            odd |= ~np.logical_or.reduce(there, initial=False)

        left = np.flatnonzero(odd)
        checked, rows, others = self._check(chunk, columns, left, too_long)
        for name, is_there in filled.items():
            unread = np.count_nonzero(is_there) - np.count_nonzero(is_there[left])
            checked.seen.filled[name] += int(unread)
        good = ~odd
        good[list(rows)] = True
        warnings = [
            *checked.warnings,
            *(
                self._checker.no_consent(name, line, number)
                for name, blank in unsaid
                for line, number in zip(
                    *chunk.lines_and_numbers(np.flatnonzero(blank & ~odd)), strict=True
                )
            ),
        ]
        packed = self._pack(chunk, columns, supply, keep, good, rows, others)
        warnings.sort(key=lambda one: one.line or 0)
        left_out = self._count_left_out(columns, ~odd, rows)
        return ChunkOutcome(packed, checked.rejected, warnings, checked.seen, left_out)

    def _count_left_out(
        self, columns: Mapping[str, ColumnCells], unread: Mask, rows: Mapping[int, Row]
    ) -> int:
        """Count the good rows with a value that is not to be written.

        These are rows that the checker has not read, and its `rows`.
        """
        names = {
            source.column.name
            for source in self._checker.sources
            if source.column.field in self._leave_out
        }
        if not names:
            return 0
        there = np.logical_or.reduce([columns[name].there for name in names])
        read = sum(not names.isdisjoint(row.values) for row in rows.values())
        return int((there & unread).sum()) + read

    def _check(
        self, chunk: Chunk, columns: Mapping[str, ColumnCells], places: Numbers, too_long: Mask
    ) -> tuple[Checked, dict[int, Row], dict[int, Row]]:
        """Let the checker read the cells that are odd, and the values that are needed.

        Returns its result, its rows by their places, and those among them that differ from their
        pieces: they have a value in an odd cell. Only these are read whole.
        """
        sure = {}
        for name in self._unvalued:
            odd = columns[name].odd
            known = chunk.grid.regular if odd is None else chunk.grid.regular & ~odd
            sure[name] = known[places].tolist()
        checked = self._check_some(chunk, places, sure)
        rows = self._by_place(chunk, checked)
        differing = [
            place
            for name, column in columns.items()
            if column.odd is not None
            for place in np.flatnonzero(column.odd).tolist()
            if place in rows and _has_value(rows[place], name)
        ]
        whole = {*differing, *np.flatnonzero(too_long).tolist()} & rows.keys()
        others = {place: row for place, row in rows.items() if not chunk.grid.regular[place]}
        if whole:
            again = self._check_some(chunk, np.array(sorted(whole), np.int64), {})
            others |= self._by_place(chunk, again)
        return checked, rows | others, others

    def _check_some(
        self, chunk: Chunk, places: Numbers, sure: Mapping[str, Sequence[bool]]
    ) -> Checked:
        lines, numbers = chunk.lines_and_numbers(places)
        cells, ordinals = chunk.cells(places.tolist()), chunk.numbers[places].tolist()
        return self._checker.check(cells, lines, ordinals, numbers, sure)

    @staticmethod
    def _by_place(chunk: Chunk, checked: Checked) -> dict[int, Row]:
        places = np.searchsorted(chunk.numbers, [row.ordinal for row in checked.rows]).tolist()
        return dict(zip(places, checked.rows, strict=True))

    def _pack(
        self,
        chunk: Chunk,
        columns: Mapping[str, ColumnCells],
        supply: Supply,
        keep: list[frozenset[str]],
        good: Mask,
        rows: Mapping[int, Row],
        others: Mapping[int, Row],
    ) -> Packed:
        """Pack the rows that are `good`.

        `rows` are those that the checker has read, `others` those among them that differ from their
        pieces.
        """
        keys = columns[self._checker.key].values
        updated = self._updated(columns, len(keep))
        looked = [self._looked(name, columns, rows, len(keep)) for name in self._looks_at]
        for place, row in rows.items():
            keys[place] = row.key
            updated[place] = _nanoseconds(row)
            keep[place] = row.keep(self._keepable)
        places = np.flatnonzero(good)
        if len(places) < len(keep):
            chosen = good.tolist()
            keys, keep = ([*compress(column, chosen)] for column in (keys, keep))
            looked = [
                column[places] if isinstance(column, np.ndarray) else [*compress(column, chosen)]
                for column in looked
            ]
        compact = {name: column.compact() for name, column in columns.items()}
        values = [pack_values(column) for column in looked]
        return Packed(
            lines=chunk.line_numbers[places],
            ordinals=chunk.numbers[places],
            updated=updated[places],
            keep=keep,
            content=self._content(compact, supply, places, others),
            packed_keys="\0".join(keys),
            values=dict(zip(self._looks_at, values, strict=True)),
            size=supply.size
            + sum(column.size for column in compact.values())
            + 2 * sum(of.size if isinstance(of, Texts) else len(of) for of in values)
            + _ROW_BYTES * len(places),
        )

    def _updated(self, columns: Mapping[str, ColumnCells], count: int) -> Numbers:
        if not self._checker.recency:
            return np.full(count, NEVER)
        column = columns[self._checker.recency]
        if column.times is not None:
            return column.times
        return np.array([NEVER if at is None else at for at in column.values], np.int64)

    def _looked(
        self, name: str, columns: Mapping[str, ColumnCells], rows: Mapping[int, Row], count: int
    ) -> list[Any] | Numbers:
        """Return the values of a column that is needed; NEVER for a time that does not exist."""
        if name not in columns:
            return [None] * count
        column = columns[name]
        found = {
            place: UNREADABLE if name in row.faulty else row.values.get(name)
            for place, row in rows.items()
        }
        if column.times is None:
            for place, value in found.items():
                column.values[place] = _plain(value)
            return column.values
        times = np.where(column.times == NEVER, NEVER, column.times // 1000)
        for place, at in found.items():
            times[place] = microseconds(at) if isinstance(at, datetime) else NEVER
        return times

    # -- what is not in the cells themselves --------------------------------------------------

    def _kept(self, columns: Mapping[str, ColumnCells], count: int) -> list[frozenset[str]]:
        always = self._checker.always_open & self._keepable
        if not self._keeps:
            return [always] * count
        there = [columns[name].there for name, _ in self._keeps]
        codes = np.zeros(count, np.int64)
        for start in range(0, len(there), _BITS):
            for mask in there[start : start + _BITS]:
                codes <<= 1
                codes |= mask
            codes, _ = pd.factorize(codes)
        first = first_rows(codes)
        patterns = zip(*(mask[first].tolist() for mask in there), strict=True)
        kept = [self._pattern(pattern, always) for pattern in patterns]
        return kept * count if len(kept) == 1 else [kept[code] for code in codes.tolist()]

    def _pattern(self, there: tuple[bool, ...], always: frozenset[str]) -> frozenset[str]:
        known = self._patterns.get(there)
        if known is None:
            if len(self._patterns) >= _PATTERNS:
                self._patterns.clear()
            known = self._patterns[there] = always.union(
                *(
                    paths
                    for (_, paths), is_there in zip(self._keeps, there, strict=True)
                    if not is_there
                )
            )
        return known

    def _stand_in(self, columns: dict[str, ColumnCells]) -> None:
        """Fill blanks for which there is another value, as the checker does."""
        for name, other, cells in self._substitutes:
            columns[name] = cells.standing_in(columns.get(name), columns[other])
        for name, start, length in self._defaults:
            if name in columns:
                column = columns[name]
                blank = column.blank
                column.starts = np.where(blank, np.int32(start), column.starts)
                column.lengths = np.where(blank, np.int32(length), column.lengths)
                if column.table is not None:
                    column.whole = blank if column.whole is None else column.whole | blank
            else:
                count = len(next(iter(columns.values())).starts)
                columns[name] = ColumnCells(
                    np.full(count, start, np.int32), np.full(count, length, np.int32)
                )

    # -- on the wire --------------------------------------------------------------------------

    def _content(
        self,
        columns: Mapping[str, ColumnCells],
        supply: Supply,
        good: Numbers,
        others: Mapping[int, Row],
    ) -> Strings | Shares:
        """Prepare everything from which the contents of documents are made."""
        if not self._grouped:
            whole = {place: b"".join(self._own_of(row)) for place, row in others.items()}
            return Strings(partial(self._whole, columns), supply, good, whole)
        shares = {place: (self._own_of(row), self._item_of(row)) for place, row in others.items()}
        return Shares(
            partial(self._written, columns),
            partial(self._items, columns),
            partial(self._has_item, columns),
            supply,
            good,
            shares,
        )

    def _whole(self, columns: Mapping[str, ColumnCells], rows: Numbers) -> Pieces:
        """Return the pieces of the documents that some rows are."""
        return Pieces.all(self._written(columns, rows, {}))

    def _written(
        self, columns: Mapping[str, ColumnCells], rows: Numbers, instead: Instead
    ) -> list[Pieces]:
        """Return the pieces of the document's own fields, cut at the fields between them."""
        cuts: list[list[Pieces]] = [[] for _ in range(len(self._cuts) + 1)]
        for name, pieces in self._document.fields(columns, rows, instead):
            if name not in self._leave_out:
                cuts[bisect(self._cuts, name)].append(pieces)
        return [*map(Pieces.all, cuts)]

    def _items(self, columns: Mapping[str, ColumnCells], rows: Numbers) -> Pieces:
        """Return the pieces of each row's item; none for a row without one."""
        inner = Pieces.all(one for _, one in self._item.fields(columns, rows))
        says = self._has_item(columns, rows)
        if not says.all():
            inner.lengths = [lengths * says for lengths in inner.lengths]
        return inner.behind(self._item_table)

    def _has_item(self, columns: Mapping[str, ColumnCells], rows: Numbers) -> Mask:
        """Mark the rows with any value of an item."""
        there = np.logical_or.reduce([columns[name].there for name in self._paths["item"]])
        has: Mask = there[rows]
        return has

    def parts(self, parts: Parts, rows: Sequence[int] | None = None) -> Iterator[RowPart]:
        """Yield the parts of a grouped document that some rows are, or all rows.

        Only the last row of a key has entries of the document's own fields, unless that row leaves
        a field open: the others would not be used.
        """
        assert parts.shares is not None
        rows = range(len(parts.lines)) if rows is None else rows
        if not rows:
            return
        last_of = {parts.keys[row]: row for row in rows}
        open_ = {key for key, row in last_of.items() if parts.keep[row]}
        lasts = [row for row in rows if last_of[key := parts.keys[row]] == row or key in open_]
        at = np.array(rows, np.int64)
        said, items = parts.shares.some(np.array(lasts, np.int64), at)
        own = dict(zip(lasts, said, strict=True))
        lists = [values_at(column, at) for column in parts.values.values()]
        for row, line, item, *values in zip(
            rows, parts.lines[at].tolist(), items, *lists, strict=True
        ):
            faulty = _NONE
            if UNREADABLE in values:
                pairs = zip(parts.values, values, strict=True)
                faulty = frozenset(name for name, value in pairs if value is UNREADABLE)
                values = [None if value is UNREADABLE else value for value in values]
            named = dict(zip(parts.values, values, strict=True))
            yield RowPart(line, own.get(row, ()), item, named, parts.keep[row], faulty)

    # -- rows that the checker has read -------------------------------------------------------

    def _own_of(self, row: Row) -> tuple[bytes, ...]:
        """Return the row's entries of the document's own fields, cut as in `_written`."""
        made = content(row, self._paths["document"])
        cuts: list[dict[str, Any]] = [{} for _ in range(len(self._cuts) + 1)]
        for name, value in made.items():
            if name not in self._leave_out:
                cuts[bisect(self._cuts, name)][name] = value
        return tuple(map(encode_content, cuts))

    def _item_of(self, row: Row) -> bytes:
        if not nest(row.values, self._paths["item"]):
            return b""
        item = wire.fields(content(row, self._paths["item"]), wire.MAP_FIELD)
        return self._item_heads[len(item)] + item


def _nanoseconds(row: Row) -> int:
    """Return the time of a row's last change, with the digits that a `datetime` cannot hold."""
    at = row.last_updated
    return NEVER if at is None else 1000 * microseconds(at) + row.finer


def _extra(checker: Checker) -> dict[Path, str]:
    """Return path in the document -> name, of the columns that the table does not have."""
    own = (checker.header.names[place] for place in checker.extra)
    return {(EXTRA, name): f"{EXTRA}.{name}" for name in own}


def _longest(checker: Checker) -> int:
    """Return the characters above which a cell is odd; shorter cells make no row too large."""
    return ROW_LIMIT_BYTES // 4 // (len(checker.sources) + len(checker.extra))


def _cells_of(checker: Checker, pool: Pool, valued: Container[str]) -> dict[str, Cells]:
    """Return name -> the reader of each column's cells; `valued` names those with values."""
    longest = _longest(checker)
    cells = partial(Cells, context=checker.context, pool=pool)
    found = {
        source.column.name: cells(
            source.kind,
            source.place,
            *_stand(source.column),
            longest=longest if source.limit is None else min(longest, source.limit),
            needed=source.column.needed,
            values=source.column.name in valued,
        )
        for source in checker.sources
    }
    for place in checker.extra:
        own = checker.header.names[place]
        found[f"{EXTRA}.{own}"] = cells(TEXT, place, wire.MAP_FIELD, own, longest=longest)
    return found


def _substitutes_of(checker: Checker, pool: Pool) -> list[tuple[str, str, Cells]]:
    """Return column, the column that fills its blanks, and the reader of that one's cells."""
    kinds = {source.column.name: source.kind for source in checker.sources}
    columns = {column.name: column for column in checker.columns}
    cells = partial(Cells, context=checker.context, pool=pool, longest=_longest(checker))
    return [
        (name, other, cells(kinds[other], 0, *_stand(columns[name])))
        for name, other in checker.others
        if other in kinds
    ]


def _stand(column: Column) -> tuple[bytes, str]:
    """Return the tag of a column's field in its map, and the field's own name."""
    inside = column.part == "item" or "." in column.field
    return wire.MAP_FIELD if inside else wire.FIELD, column.field.rpartition(".")[2]


def _has_value(row: Row, name: str) -> bool:
    """Return True if the checker has found a value in a column, a kept one included."""
    part, _, own = name.partition(".")
    return own in row.values.get(EXTRA, ()) if part == EXTRA and own else name in row.values


def _plain(value: Any) -> Any:
    return microseconds(value) if isinstance(value, datetime) else value


_NONE: frozenset[str] = frozenset()


_ROW_BYTES = 48
"""Approximate bytes of a row besides its content: a key, three numbers, a reference."""
_PATTERNS = 4096
_BITS = 32
