"""Creation of the readers of one file: checker of rows, maker of parts, joiner of documents."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, datetime
from functools import lru_cache, partial
from typing import Any

from shared.core import Problem, Version
from shared.files import Header
from shared.files.types import (
    DOCUMENT_ID,
    Context,
    FileType,
    Rules,
    nest,
    own_name,
    paths,
)
from shared.firestore.bulk import FIELD, Heads, decode_content, encode_content, entry, value
from shared.parsing.checked import Row
from shared.parsing.checker import Checker, content
from shared.parsing.columnar.joining import Joiner
from shared.parsing.columnar.maker import PartMaker
from shared.parsing.columnar.parts import RowPart
from shared.parsing.model import ColumnSource

Document = tuple[dict[str, Any], list[Problem]]
"""Content of a document without `source`, and the warnings about its rows."""


def make_checker(
    type_: FileType,
    header: Header,
    rules: Rules,
    *,
    delimiter: str = ",",
    exported_at: datetime | None = None,
) -> Checker:
    """Return a checker for the rows of a file with this header.

    `exported_at` is None if the time of export is unknown.
    """
    zone = rules.time_zone
    exported_on = None
    if exported_at is not None and exported_at.year < MAXYEAR:  # or no zone may have the day
        exported_on = exported_at.astimezone(zone).date()
    _, shared = type_.spellings(rules)
    places = {name: place for place, name in enumerate(header.canonical)}
    grouped = type_.grouped(header)
    sources = [
        ColumnSource(
            column=column,
            kind=DOCUMENT_ID
            if column.person == "id" and own_name(column, rules) != column.name
            else column.kind,
            place=places[cells],
        )
        for column in type_.columns
        if (cells := shared.get(own := column.reads or column.name, own)) in places
        and (grouped or column.part != "item")
    ]
    return Checker(
        type_.name.capitalize(),
        header=header,
        columns=type_.columns,
        sources=sources,
        one_of=type_.one_of,
        rules=rules,
        context=Context(zone, delimiter, exported_on),
    )


def make_part_maker(
    type_: FileType,
    header: Header,
    rules: Rules,
    *,
    delimiter: str = ",",
    exported_at: datetime | None = None,
    leave_out: frozenset[str] = frozenset(),
) -> PartMaker:
    """Return a maker of documents, or parts of documents, from the rows of a file with this header.

    `leave_out` names fields of the document that are checked and not written. For the other
    arguments see `make_checker`.
    """
    return PartMaker(
        make_checker(type_, header, rules, delimiter=delimiter, exported_at=exported_at),
        looks_at=type_.looks_at if type_.grouped(header) else None,
        made=(type_.items, *type_.total_fields),
        keepable=type_.keepable(rules),
        leave_out=leave_out,
    )


def make_joiner(type_: FileType, maker: PartMaker) -> Joiner:
    """Return a joiner of the rows of one file to documents; `maker` makes the parts of the rows."""
    return Joiner(
        type_.aggregation,
        join=partial(join_parts, type_),
        parts=maker.parts,
        items=type_.items,
        totals=type_.total_fields,
        refers_by=type_.refers_to.column if type_.refers_to else "",
    )


def join_parts(
    type_: FileType, parts: Sequence[RowPart]
) -> tuple[bytes, frozenset[str], list[Problem]]:
    """Make one document from the parts of all rows of its key, given in file order.

    Returns its content, as `encode_content` makes it, the paths of the fields that all rows leave
    open, and the warnings about the rows.
    """
    if type_.assemble is None:
        raise ValueError(f"a row of {type_.name} is a document")
    assembled = type_.assemble(parts, [part for part in parts if part.item])
    made = {name: _total(name, total) for name, total in assembled.totals.items()}
    if assembled.items:
        items = b"".join([part.item for part in assembled.items])
        made[type_.items] = _array_heads(type_.items)[len(items)] + items
    (first, *own), keep = _own(type_, parts)
    pieces = [first]
    for name, after in zip(_cuts(type_), own, strict=True):
        pieces += (made.get(name, b""), after)
    return b"".join(pieces), keep, assembled.problems


def _own(type_: FileType, parts: Sequence[RowPart]) -> tuple[Sequence[bytes], frozenset[str]]:
    """Return the entries of the document's own fields, and the paths that all rows leave open.

    The entries are cut at the places of the fields that all rows make together.
    """
    last = parts[-1]
    if not last.keep or len(parts) == 1:
        return last.own, last.keep
    # All other fields are those of the last row, unchanged.
    open_ = {path.partition(".")[0] for path in last.keep}
    version = _folded(
        Version.of(decode_content(b"".join(part.own), only=open_), -age, part.keep)
        for age, part in enumerate(reversed(parts))
        if part.own
    )
    cuts: list[dict[str, Any]] = [{} for _ in range(len(_cuts(type_)) + 1)]
    for name, value_ in version.content.items():
        cuts[bisect(_cuts(type_), name)][name] = value_
    return [*map(encode_content, cuts)], version.keep


def make_document(
    type_: FileType, rows: Sequence[Row], keepable: frozenset[str] = frozenset()
) -> Document:
    """Make one document from all rows of its key, given in file order, in Python's own types.

    `keepable` are paths of the fields that a blank cell leaves open. A type that is not grouped
    takes one row. Maps without content are left out. Tests compare the result of `join` with this:
    it is the same, made the slow way.
    """
    own = _folded(
        Version.of(content(row, paths(type_.columns, "document")), -age, row.keep(keepable))
        for age, row in enumerate(reversed(rows))
    ).content
    if type_.assemble is None:
        (_,) = rows
        return own, []
    item_paths = paths(type_.columns, "item")
    items = [row for row in rows if nest(row.values, item_paths)]
    assembled = type_.assemble(rows, items)
    if assembled.items:
        own[type_.items] = [content(row, item_paths) for row in assembled.items]
    return {**own, **assembled.totals}, assembled.problems


def _folded(versions: Iterator[Version[int]]) -> Version[int]:
    """Fold the rows' values for a document's own fields, the last row first."""
    last = next(versions)
    while last.keep and (older := next(versions, None)):
        last.take(older)
    return last


@lru_cache(4096, typed=True)
def _total(name: str, total: int | float) -> bytes:
    return entry(FIELD, name.encode(), value(total))


@lru_cache
def _array_heads(items: str) -> Heads:
    return Heads.array(FIELD, items.encode())


@lru_cache
def _cuts(type_: FileType) -> tuple[str, ...]:
    """Return the fields that all rows make together, in their order in a document."""
    return tuple(sorted((type_.items, *type_.total_fields)))
