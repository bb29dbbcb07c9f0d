"""What the rows of a chunk come to, column by column: each row's part of a document, on the wire.

A row in which a cell is out of the ordinary is left to `shared.schemas.rows.Checker`, which reads
it with the pydantic model and has the last word on it. For all others the model would find nothing
to say: each of their cells has been read by the very kind that the model reads it with.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import compress
from typing import Any

import numpy as np
import pandas as pd

from shared import wire
from shared.encoding import encode_content
from shared.errors import Problem
from shared.reader import Chunk
from shared.records import Mask, Numbers
from shared.schemas.cells import HEADS, Cells, Column, HeadTable, Pool, Supply
from shared.schemas.certain import microseconds
from shared.schemas.columns import nest
from shared.schemas.kinds import TEXT
from shared.schemas.pieces import Cuts, Pieces, Strings
from shared.schemas.rows import (
    EXTRA,
    ROW_LIMIT_BYTES,
    Checked,
    Checker,
    Row,
    RowProblems,
    content,
)

NEVER = -(2**63)
"""Stands for the time of a row that has none."""

Path = tuple[str, ...]


@dataclass(slots=True)
class Part:
    """What one row of a grouped type says of its document."""

    line: int
    """Line of the file where the row begins."""
    own: tuple[bytes, ...]
    """Entries of the document's own fields, cut where those that all its rows make come between."""
    item: bytes
    """The item that the row is, as a value of an array; empty where it says nothing of one."""
    values: Mapping[str, Any]
    """Column name -> value of the columns that `FileType.looks_at` names, None where there is none.

    Times are in microseconds since 1970."""
    keep: frozenset[str]
    """Paths of the document's fields that the row leaves as they are stored."""


@dataclass(slots=True)
class Parts:
    """What rows come to: lists of one length, in file order."""

    lines: list[int] = field(default_factory=list)
    ordinals: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """The ids of their documents."""
    updated: list[int] = field(default_factory=list)
    """When each was last changed in the ERP, in microseconds since 1970, or NEVER."""
    keep: list[frozenset[str]] = field(default_factory=list)
    """Paths of the document's fields that each row leaves as they are stored."""
    own: Iterable[Any] = ()
    """The content of each document; of a grouped type, as in `Part`, and empty where a later row of
    the chunk has the same key, so that this one's is never asked for. It is put together each time
    it is asked for, as `items` are."""
    items: Iterable[bytes] = ()
    """As in `Part`; empty where the type is not grouped."""
    values: list[tuple[Any, ...]] = field(default_factory=list)
    """Of the columns that are looked at, None where there is none; likewise."""
    size: int = 0
    """Bytes that all this takes in memory, about."""


@dataclass(slots=True)
class Outcome:
    """The outcome of a chunk: every row is in `parts` or in `rejected`."""

    parts: Parts
    rejected: list[RowProblems]
    warnings: list[Problem]


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
            looks_at: names of the columns whose values it takes to put a document together; None
                where each row is a document.
            made: names of the document's fields that all its rows make together.
            keepable: paths of the fields that a row may leave as they are stored.
            leave_out: names of the document's fields that are checked and not written.
        """
        self._checker = checker
        self._grouped = looks_at is not None
        self._looks_at = tuple(looks_at or ())
        self._cuts = sorted(made) if self._grouped else []
        self._keepable = keepable
        self._leave_out = leave_out
        self._pool = pool = Pool()
        zone = checker.rules.time_zone
        names = checker.header.names
        # So short that a row without an odd cell cannot be too large.
        longest = ROW_LIMIT_BYTES // 4 // (len(checker.sources) + len(checker.extra))
        valued = {checker.key, checker.recency, *self._looks_at}
        columns = {column.name: column for column in checker.columns}
        stand = {
            name: (
                wire.MAP_FIELD if column.part == "item" or "." in column.field else wire.FIELD,
                column.field.rpartition(".")[2],
            )
            for name, column in columns.items()
        }
        self._cells = {
            source.column.name: Cells(
                source.kind,
                source.place,
                *stand[source.column.name],
                zone,
                pool,
                longest=longest if source.limit is None else min(longest, source.limit),
                needed=source.column.needed,
                values=source.column.name in valued,
            )
            for source in checker.sources
        }
        extra: dict[Path, str] = {
            (EXTRA, names[place]): f"{EXTRA}.{names[place]}" for place in checker.extra
        }
        for place in checker.extra:
            self._cells[f"{EXTRA}.{names[place]}"] = Cells(
                TEXT, place, wire.MAP_FIELD, names[place], zone, pool, longest=longest
            )
        sources = {source.column.name: source for source in checker.sources}
        self._substitutes = [
            (
                name,
                other,
                Cells(sources[other].kind, 0, *stand[name], zone, pool, longest=longest),
            )
            for name, other in checker.others
            if other in sources
        ]
        self._defaults = []
        for name, default in checker.defaults:
            tag, field_name = stand[name]
            entry = wire.entry(tag, field_name.encode(), wire.value(default))
            self._defaults.append((name, pool.add(entry), len(entry)))
        filled = {*self._cells, *(name for name, *_ in (*self._substitutes, *self._defaults))}
        paths: dict[str, dict[Path, str]] = {
            part: {
                tuple(column.field.split(".")): name
                for name, column in columns.items()
                if name in filled and column.part == part
            }
            for part in ("document", "item")
        }
        self._document = _Tree({**paths["document"], **extra}, wire.FIELD, pool)
        self._item = _Tree({**paths["item"], **extra}, wire.MAP_FIELD, pool)
        self._item_heads = wire.Heads.item()
        self._item_table = HeadTable(self._item_heads, pool)
        self._paths = {
            part: {name: path for path, name in leaves.items()} for part, leaves in paths.items()
        }
        self._keeps = [
            (name, columns[name].field)
            for name in sources
            if columns[name].part != "item" and columns[name].field in keepable
        ]
        self._patterns: dict[tuple[bool, ...], frozenset[str]] = {}

    def make(self, chunk: Chunk) -> Outcome:
        """Make parts of the rows of a chunk.

        The outcome is that of `Checker.check`, to which the rows are left that need it.
        """
        grid = chunk.grid
        supply = Supply(grid.octets, self._pool)
        columns = {name: cells.column(grid, supply) for name, cells in self._cells.items()}
        keep = self._kept(columns, len(chunk.lines))
        unsaid = [(name, ~columns[name].there) for name in self._checker.consents]
        self._stand_in(columns)

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

        checked, rows = self._check(chunk, np.flatnonzero(odd))
        good = ~odd
        good[list(rows)] = True
        warnings = [
            *checked.warnings,
            *(
                self._checker.no_consent(name, chunk.lines[place])
                for name, blank in unsaid
                for place in np.flatnonzero(blank & ~odd).tolist()
            ),
        ]
        parts = self._parts(chunk, columns, keep, rows)
        if self._grouped:
            self._add_values(parts, columns, rows)
        if len(checked.rejected):
            flags = good.tolist()
            for name in _LISTS:
                setattr(parts, name, [*compress(getattr(parts, name), flags)])
        others = self._others(columns, rows, too_long)
        compact = {name: column.compact() for name, column in columns.items()}
        parts.size += supply.size + sum(column.size for column in compact.values())
        self._add_content(parts, compact, supply, np.flatnonzero(good), others)
        return Outcome(parts, checked.rejected, sorted(warnings, key=lambda one: one.line or 0))

    def _check(self, chunk: Chunk, places: Numbers) -> tuple[Checked, dict[int, Row]]:
        """Let the checker read some rows; returns its outcome, and its rows by their places."""
        chosen = places.tolist()
        checked = self._checker.check(
            chunk.cells(chosen),
            [chunk.lines[place] for place in chosen],
            [chunk.ordinals[place] for place in chosen],
        )
        return checked, {chunk.place(row.ordinal): row for row in checked.rows}

    def _others(
        self, columns: Mapping[str, Column], rows: Mapping[int, Row], too_long: Mask
    ) -> dict[int, Row]:
        """Return those of the rows read by the checker that do not come to what their pieces do.

        Where the checker finds values in just those columns that have pieces, the pieces are of
        these values: it has taken each cell that its kind has taken, and no other.
        """
        places = [*rows]
        there = zip(*(column.there[places].tolist() for column in columns.values()), strict=True)
        others = {}
        for (place, row), pieces in zip(rows.items(), there, strict=True):
            extra = row.values.get(EXTRA, {})
            names = {*row.values, *(f"{EXTRA}.{name}" for name in extra)} - {EXTRA}
            if too_long[place] or names != {*compress(columns, pieces)}:
                others[place] = row
        return others

    def _parts(
        self,
        chunk: Chunk,
        columns: Mapping[str, Column],
        keep: list[frozenset[str]],
        rows: Mapping[int, Row],
    ) -> Parts:
        """Return everything of the parts but what goes onto the wire."""
        updated: Sequence[int | None] = (
            columns[self._checker.recency].values
            if self._checker.recency
            else [None] * len(chunk.lines)
        )
        parts = Parts(
            lines=chunk.lines,
            ordinals=chunk.ordinals,
            keys=list(columns[self._checker.key].values),
            updated=[NEVER if at is None else at for at in updated],
            keep=keep,
        )
        parts.size = _ROW_BYTES * len(chunk.lines)
        for place, row in rows.items():
            parts.keys[place] = row.key
            parts.updated[place] = NEVER if row.last_updated is None else _plain(row.last_updated)
            parts.keep[place] = row.blank & self._keepable
        return parts

    # -- what is not in the cells themselves --------------------------------------------------

    def _kept(self, columns: Mapping[str, Column], count: int) -> list[frozenset[str]]:
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
        first = np.empty(int(codes.max(initial=-1)) + 1, np.int64)
        first[codes[::-1]] = np.arange(count)[::-1]
        patterns = zip(*(mask[first].tolist() for mask in there), strict=True)
        kept = [self._pattern(pattern, always) for pattern in patterns]
        return kept * count if len(kept) == 1 else [kept[code] for code in codes.tolist()]

    def _pattern(self, there: tuple[bool, ...], always: frozenset[str]) -> frozenset[str]:
        known = self._patterns.get(there)
        if known is None:
            if len(self._patterns) >= _PATTERNS:
                self._patterns.clear()
            blank = {
                path for (_, path), is_there in zip(self._keeps, there, strict=True) if not is_there
            }
            known = self._patterns[there] = always | blank
        return known

    def _stand_in(self, columns: dict[str, Column]) -> None:
        """Fill blanks that something else stands in for, as the checker does."""
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
                columns[name] = Column(
                    np.full(count, start, np.int32), np.full(count, length, np.int32)
                )

    def _add_values(
        self, parts: Parts, columns: Mapping[str, Column], rows: Mapping[int, Row]
    ) -> None:
        nothing = [None] * len(parts.lines)
        looked = [columns[name].values if name in columns else nothing for name in self._looks_at]
        parts.values = [*zip(*looked, strict=True)]
        for place, row in rows.items():
            parts.values[place] = tuple([_plain(row.values.get(name)) for name in self._looks_at])

    # -- on the wire --------------------------------------------------------------------------

    def _add_content(
        self,
        parts: Parts,
        columns: Mapping[str, Column],
        supply: Supply,
        good: Numbers,
        others: Mapping[int, Row],
    ) -> None:
        """Have everything ready that the contents of documents are put together from."""
        written = partial(self._written, columns)
        if not self._grouped:
            contents = {place: self._own_of(row) for place, row in others.items()}
            parts.own = Strings(written, supply, good, contents)
            return
        items = {place: (self._item_of(row),) for place, row in others.items()}
        parts.items = Strings(partial(self._items, columns), supply, good, items)
        # The document's own fields are those of the last row of its key.
        last = sorted({key: place for place, key in enumerate(parts.keys)}.values())
        rows = good[last]
        own = {place: self._own_of(others[place]) for place in rows.tolist() if place in others}
        parts.own = Cuts(Strings(written, supply, rows, own), last, len(parts.keys))

    def _written(self, columns: Mapping[str, Column]) -> list[Pieces]:
        """Return the pieces of the document's own fields, cut where those between them come."""
        cuts: list[list[Pieces]] = [[] for _ in range(len(self._cuts) + 1)]
        for name, pieces in self._document.fields(columns):
            if name not in self._leave_out:
                cuts[bisect(self._cuts, name)].append(pieces)
        return [*map(Pieces.all, cuts)]

    def _items(self, columns: Mapping[str, Column]) -> list[Pieces]:
        """Return the pieces of each row's item; none where nothing is said of one."""
        inner = Pieces.all(one for _, one in self._item.fields(columns))
        says = np.logical_or.reduce([columns[name].there for name in self._paths["item"]])
        if not says.all():
            inner.lengths = [lengths * says for lengths in inner.lengths]
        return [inner.behind(self._item_table)]

    def parts(self, parts: Parts) -> Iterator[Part]:
        """Give each row's part of a grouped document."""
        names = self._looks_at
        for line, own, item, values, keep in zip(
            parts.lines, parts.own, parts.items, parts.values, parts.keep, strict=True
        ):
            yield Part(line, own, item, dict(zip(names, values, strict=True)), keep)

    # -- rows that the checker has read -------------------------------------------------------

    def _own_of(self, row: Row) -> tuple[bytes, ...]:
        """Return what the row says of the document's own fields, cut as in `_written`."""
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


class _Tree:
    """Puts the entries of columns together to those of a map."""

    def __init__(self, leaves: Mapping[Path, str], tag: bytes, pool: Pool) -> None:
        """`leaves` are path -> name of the column; `tag` begins an entry of the map."""
        self._fields: list[tuple[str, str | _Tree, HeadTable]] = []
        for name in sorted({path[0] for path in leaves}):
            inner = {path[1:]: key for path, key in leaves.items() if path[0] == name}
            below = inner[()] if () in inner else _Tree(inner, wire.MAP_FIELD, pool)
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


def _plain(value: Any) -> Any:
    return microseconds(value) if isinstance(value, datetime) else value


_LISTS = ("lines", "ordinals", "keys", "updated", "keep", "values")
_ROW_BYTES = 128
"""What a row takes besides its content, about: a key, two numbers, a few references."""
_PATTERNS = 4096
_BITS = 32
