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
from itertools import compress
from typing import Any

import numpy as np

from shared import wire
from shared.encoding import encode_content
from shared.errors import Problem
from shared.reader import Chunk
from shared.schemas.cells import Cells, Column, HeadTable, Pool, is_tidy
from shared.schemas.certain import Mask, microseconds
from shared.schemas.columns import nest
from shared.schemas.kinds import TEXT
from shared.schemas.pieces import Pieces, Strings
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
    own: list[Any] = field(default_factory=list)
    """The content of each document; of a grouped type, as in `Part`, and empty where a later row of
    the chunk has the same key, so that this one's is never asked for."""
    items: list[bytes] = field(default_factory=list)
    """As in `Part`; empty where the type is not grouped."""
    values: list[tuple[Any, ...]] = field(default_factory=list)
    """Of the columns that are looked at, None where there is none; likewise."""


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
            self._defaults.append((name, pool.always(entry), len(entry)))
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
        self._patterns: dict[bytes, frozenset[str]] = {}

    def make(self, chunk: Chunk) -> Outcome:
        """Make parts of the rows of a chunk.

        The outcome is that of `Checker.check`, to which the rows are left that need it.
        """
        grid = chunk.grid
        self._pool.begin(grid.octets)
        tidy = is_tidy(grid)
        columns = {
            name: cells.column(grid, tidy[:, cells.place]) for name, cells in self._cells.items()
        }
        keep = self._kept(columns, len(chunk.lines))
        unsaid = [(name, ~columns[name].there) for name in self._checker.consents]
        self._stand_in(columns)
        document = list(self._document.fields(columns))
        item = self._items(columns) if self._grouped else None

        odd = ~grid.regular
        for column in columns.values():
            odd |= column.odd
        for _, pieces in document:
            odd |= pieces.too_long
        if item is not None:
            odd |= item.too_long
        for group in self._checker.one_of:
            there = [columns[name].there for name in group if name in columns]
            odd |= ~np.logical_or.reduce(there, initial=False)

        checked, rows = self._check(chunk, np.flatnonzero(odd).tolist())
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
        if item is None:
            self._add_content(parts, document, rows)
        else:
            self._add_items(parts, columns, item, rows)
            self._add_own(parts, document, rows, good)
        if not good.all():
            flags = good.tolist()
            for name in Parts.__dataclass_fields__:
                setattr(parts, name, list(compress(getattr(parts, name), flags)))
        return Outcome(parts, checked.rejected, sorted(warnings, key=lambda one: one.line or 0))

    def _check(self, chunk: Chunk, places: Sequence[int]) -> tuple[Checked, dict[int, Row]]:
        """Let the checker read some rows; returns its outcome, and its rows by their places."""
        frame = chunk.some(places)
        checked = self._checker.check(
            {name: frame[name].tolist() for name in self._checker.header.canonical},
            [chunk.lines[place] for place in places],
            [chunk.ordinals[place] for place in places],
        )
        return checked, {chunk.place(row.ordinal): row for row in checked.rows}

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
        there = np.stack([columns[name].there for name, _ in self._keeps], axis=1)
        packed = np.packbits(there, axis=1)
        width = packed.shape[1]
        patterns = packed.view(f"V{width}").ravel().tolist()
        known = self._patterns
        for pattern in set(patterns).difference(known):
            bits = np.unpackbits(np.frombuffer(pattern, np.uint8)).tolist()
            blank = {path for (_, path), bit in zip(self._keeps, bits, strict=False) if not bit}
            known[pattern] = always | blank
        kept = [known[pattern] for pattern in patterns]
        if len(known) > _PATTERNS:
            known.clear()
        return kept

    def _stand_in(self, columns: dict[str, Column]) -> None:
        """Fill blanks that something else stands in for, as the checker does."""
        for name, other, cells in self._substitutes:
            columns[name] = cells.standing_in(columns.get(name), columns[other])
        for name, start, length in self._defaults:
            if name in columns:
                column = columns[name]
                blank = ~column.there
                column.starts = np.where(blank, start, column.starts)
                column.lengths = np.where(blank, length, column.lengths)
            else:
                count = len(next(iter(columns.values())).starts)
                none = np.zeros(count, np.int64)
                columns[name] = Column(none, none, none + start, none + length, none != 0)

    # -- on the wire --------------------------------------------------------------------------

    def _add_content(
        self, parts: Parts, document: Sequence[tuple[str, Pieces]], rows: Mapping[int, Row]
    ) -> None:
        pieces = Pieces.all(one for name, one in document if name not in self._leave_out)
        strings = Strings(pieces, range(len(parts.lines)))
        for place, row in rows.items():
            strings.put(place, self._pool, encode_content(self._content(row)))
        parts.own = strings.join(self._pool.octets())

    def _items(self, columns: Mapping[str, Column]) -> Pieces:
        """Return the pieces of each row's item; none where nothing is said of one."""
        inner = Pieces.all(one for _, one in self._item.fields(columns))
        says = np.logical_or.reduce([columns[name].there for name in self._paths["item"]])
        if not says.all():
            inner.lengths = [np.where(says, lengths, 0) for lengths in inner.lengths]
        return inner.behind(self._item_table)

    def _add_items(
        self, parts: Parts, columns: Mapping[str, Column], item: Pieces, rows: Mapping[int, Row]
    ) -> None:
        nothing = [None] * len(parts.lines)
        looked = [columns[name].values if name in columns else nothing for name in self._looks_at]
        parts.values = [*zip(*looked, strict=True)]
        strings = Strings(item, range(len(parts.lines)))
        for place, row in rows.items():
            strings.put(place, self._pool, self._item_of(row))
            parts.values[place] = tuple([_plain(row.values.get(name)) for name in self._looks_at])
        parts.items = strings.join(self._pool.octets())

    def _add_own(
        self,
        parts: Parts,
        document: Sequence[tuple[str, Pieces]],
        rows: Mapping[int, Row],
        good: Mask,
    ) -> None:
        """Make the document's own fields of those rows that are the last ones of their key here."""
        flags = good.tolist()
        last = {key: place for place, key in enumerate(parts.keys) if flags[place]}
        places = sorted(last.values())
        cuts: list[list[Pieces]] = [[] for _ in range(len(self._cuts) + 1)]
        for name, pieces in document:
            if name not in self._leave_out:
                cuts[bisect(self._cuts, name)].append(pieces)
        columns = [Strings(Pieces.all(cut), places) for cut in cuts]
        for number, place in enumerate(places):
            if place in rows:
                for strings, content in zip(columns, self._own_of(rows[place]), strict=True):
                    strings.put(number, self._pool, content)
        octets = self._pool.octets()
        parts.own = [()] * len(parts.lines)
        joined = [strings.join(octets) for strings in columns]
        for place, own in zip(places, zip(*joined, strict=True), strict=True):
            parts.own[place] = own

    def parts(self, parts: Parts) -> Iterator[Part]:
        """Give each row's part of a grouped document."""
        names = self._looks_at
        for line, own, item, values, keep in zip(
            parts.lines, parts.own, parts.items, parts.values, parts.keep, strict=True
        ):
            yield Part(line, own, item, dict(zip(names, values, strict=True)), keep)

    # -- rows that the checker has read -------------------------------------------------------

    def _content(self, row: Row) -> dict[str, Any]:
        made = content(row, self._paths["document"])
        return {name: made[name] for name in made if name not in self._leave_out}

    def _own_of(self, row: Row) -> tuple[bytes, ...]:
        cuts: list[dict[str, Any]] = [{} for _ in range(len(self._cuts) + 1)]
        for name, value in self._content(row).items():
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


def _plain(value: Any) -> Any:
    return microseconds(value) if isinstance(value, datetime) else value


_PATTERNS = 4096
