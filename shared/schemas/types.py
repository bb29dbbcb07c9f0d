"""What a type of export file is, and which types there are."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import MAXYEAR, datetime
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

from shared.encoding import decode_content, encode_content
from shared.errors import Problem, SettingsError
from shared.folding import Version
from shared.layout import Header, Layout
from shared.schemas.columns import Column, Paths, nest, paths
from shared.schemas.joining import Joiner, Usual
from shared.schemas.kinds import CONSENT, DOCUMENT_ID, Context
from shared.schemas.parts import Part, PartMaker
from shared.schemas.rows import Checker, Row, Rules, Source, content
from shared.wire import FIELD, Heads, entry, value

PERSON_COLUMN = "PERIDX"
"""The column that holds the customer's key, in whatever type has one."""

EMAIL_COLUMN = "EMAIL"
"""The column that holds the customer's e-mail address, in whatever type has one."""

Document = tuple[dict[str, Any], list[Problem]]
"""The content of a document without `source`, and what is worth a warning about its rows."""


class ItemRow(Protocol):
    """A row of a grouped type as far as `FileType.assemble` looks at it: a `Row` or a `Part`."""

    @property
    def line(self) -> int:
        """Line of the file where it begins."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Column name -> value; None or absent where there is none."""

    @property
    def faulty(self) -> frozenset[str]:
        """Names of columns whose cells hold something that is no value."""


R = TypeVar("R", bound=ItemRow)


@dataclass(frozen=True, slots=True)
class Assembled(Generic[R]):
    """What the rows of one document make together."""

    items: list[R]
    """The rows whose items the document holds, in their order."""
    totals: dict[str, int | float]
    """Further fields of the document, which are made of all its items."""
    problems: list[Problem]
    """What is worth a warning."""


class Assemble(Protocol):
    """Puts the rows of one document together."""

    def __call__(self, rows: Sequence[R], items: Sequence[R]) -> Assembled[R]:
        """`rows` are all of them, `items` those that say something of an item; in file order."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FileType:
    """One type of export file. `register` makes it known."""

    name: str
    """The word that its files' names begin with, e.g. `customers`."""
    collection: str
    """Collection of its documents, below `connections/{connection}`."""
    columns: tuple[Column, ...]
    """The table of its columns, in the order of publication."""
    about: str
    """What the file is, for whoever sets the export up: a sentence or three."""
    one_of: tuple[tuple[str, ...], ...] = ()
    """Groups of columns; a header needs one column of each, a row a value in one."""
    grouped_where: Callable[[Header], bool] = lambda header: False
    """Whether in a file with this header several rows make one document."""
    assemble: Assemble | None = None
    """Puts the rows of a grouped document together; None where a document always is one row."""
    usual: Usual | None = None
    """What `assemble` comes to most of the time, so that many documents can be made at once; None
    has each made by `assemble`."""
    looks_at: tuple[str, ...] = ()
    """The columns whose values `assemble` looks at."""
    items: str = ""
    """The field that holds a grouped document's items."""
    totals: tuple[str, ...] = ()
    """The fields that `assemble` makes."""
    example_rows: tuple[Mapping[str, str], ...] = ({},)
    """Example rows for docs/formats.md, each by its differences from the columns' examples."""

    _paths: Paths = field(init=False, repr=False)
    _item_paths: Paths = field(init=False, repr=False)
    _cuts: tuple[str, ...] = field(init=False, repr=False)
    _array_heads: Heads = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_paths", paths(self.columns, "document"))
        object.__setattr__(self, "_item_paths", paths(self.columns, "item"))
        object.__setattr__(self, "_cuts", tuple(sorted((self.items, *self.totals))))
        object.__setattr__(self, "_array_heads", Heads.array(FIELD, self.items.encode()))
        spellings = [name for c in self.columns for name in (c.name, *c.aliases)]
        if not {c.reads for c in self.columns if c.reads} <= {c.name for c in self.own_columns}:
            raise ValueError(f"a column of {self.name} reads one that there is not")
        fields = [(c.part, c.field) for c in self.columns]
        for what, all_ in (("names", spellings), ("fields", fields)):
            if len(set(all_)) != len(all_):
                raise ValueError(f"two columns of {self.name} share {what}")
        if sum(column.key for column in self.columns) != 1:
            raise ValueError(f"{self.name} needs one key column")
        if self.usual is not None and not (
            self.usual.looks_at <= {*self.looks_at} and self.usual.totals == {*self.totals}
        ):
            raise ValueError(f"what is usual for {self.name} is not what it looks at and makes")

    @property
    def consent(self) -> frozenset[str]:
        """The document's fields that hold consent."""
        return frozenset(column.field for column in self.columns if column.kind is CONSENT)

    @property
    def own_columns(self) -> list[Column]:
        """The columns that have cells of their own."""
        return [column for column in self.columns if column.reads is None]

    @property
    def key(self) -> Column:
        """The column that names the document."""
        return next(column for column in self.columns if column.key)

    def keepable(self, rules: Rules) -> frozenset[str]:
        """Return the paths of the document's fields that a row may leave as they are stored."""
        if rules.blank_means == "clear":
            return self.consent
        return frozenset(c.field for c in self.own_columns if c.part != "item" and not c.needed)

    def grouped(self, header: Header) -> bool:
        """Whether several rows make one document."""
        return self.grouped_where(header)

    def layout(self, rules: Rules) -> Layout:
        """Return what a reader must know.

        Raises:
            SettingsError: an alias stands for a column that no type has, or is itself the name
                of another column.
        """
        columns, shared = self._spellings(rules)
        needed = [(c.name,) for c in self.own_columns if c.needed]
        return Layout(
            columns=columns,
            required=tuple(
                tuple(shared.get(name, name) for name in group) for group in (*needed, *self.one_of)
            ),
            expected=tuple(c.name for c in self.own_columns if c.expected and c.name not in shared),
            key=shared.get(self.key.name, self.key.name),
        )

    def checker(
        self,
        header: Header,
        rules: Rules,
        *,
        delimiter: str = ",",
        exported_at: datetime | None = None,
    ) -> Checker:
        """Return a checker for the rows of a file with this header.

        `exported_at` is None where it is not known when the file was exported.
        """
        zone = rules.time_zone
        exported_on = None
        if exported_at is not None and exported_at.year < MAXYEAR:  # or no zone may have the day
            exported_on = exported_at.astimezone(zone).date()
        _, shared = self._spellings(rules)
        places = {name: place for place, name in enumerate(header.canonical)}
        grouped = self.grouped(header)
        sources = [
            Source(
                column=column,
                kind=DOCUMENT_ID
                if column.name == PERSON_COLUMN and _own_key(rules) != PERSON_COLUMN
                else column.kind,
                place=places[cells],
            )
            for column in self.columns
            if (cells := shared.get(own := column.reads or column.name, own)) in places
            and (grouped or column.part != "item")
        ]
        return Checker(
            self.name.capitalize(),
            header=header,
            columns=self.columns,
            sources=sources,
            one_of=self.one_of,
            rules=rules,
            context=Context(zone, delimiter, exported_on),
        )

    def place(self, column: str, header: Header, rules: Rules) -> int | None:
        """Return which cell of a row is read for a column of the table; None where none is."""
        _, shared = self._spellings(rules)
        name = shared.get(column, column)
        return header.canonical.index(name) if name in header.canonical else None

    def raw_key(self, cells: Mapping[str, Sequence[str]], place: int) -> str:
        """Return the key of one row, by the header's canonical names; "" where it is blank."""
        return self.read_key(cells[self.key.name][place])

    def read_key(self, cell: str) -> str:
        """Return the key in a cell, without what is undone of it; "" where it is blank."""
        text, _ = self.key.kind.repaired(cell.strip())
        return text

    def part_maker(
        self,
        header: Header,
        rules: Rules,
        *,
        delimiter: str = ",",
        exported_at: datetime | None = None,
        leave_out: frozenset[str] = frozenset(),
    ) -> PartMaker:
        """Return what makes documents, or parts of them, of the rows of a file with this header.

        `leave_out` names fields of the document that are checked and not written; for the others
        see `checker`.
        """
        return PartMaker(
            self.checker(header, rules, delimiter=delimiter, exported_at=exported_at),
            looks_at=self.looks_at if self.grouped(header) else None,
            made=(self.items, *self.totals),
            keepable=self.keepable(rules),
            leave_out=leave_out,
        )

    def joiner(self, maker: PartMaker) -> Joiner:
        """Return what joins the rows of one file, of which `maker` makes parts, to documents."""
        return Joiner(
            self.usual,
            join=self.join,
            parts=maker.parts,
            items=self.items,
            totals=self.totals,
            refers_by=PERSON_COLUMN,
        )

    def join(self, parts: Sequence[Part]) -> tuple[bytes, frozenset[str], list[Problem]]:
        """Make one document of the parts that all rows of its key are, given in file order.

        Returns its content, as `shared.encoding.encode_content` has it, the paths of the fields
        that all rows leave open, and what is worth a warning about them.
        """
        if self.assemble is None:
            raise ValueError(f"a row of {self.name} is a document")
        assembled = self.assemble(parts, [part for part in parts if part.item])
        made = {name: _total(name, total) for name, total in assembled.totals.items()}
        if assembled.items:
            items = b"".join([part.item for part in assembled.items])
            made[self.items] = self._array_heads[len(items)] + items
        (first, *own), keep = self._own(parts)
        pieces = [first]
        for name, after in zip(self._cuts, own, strict=True):
            pieces += (made.get(name, b""), after)
        return b"".join(pieces), keep, assembled.problems

    def _own(self, parts: Sequence[Part]) -> tuple[Sequence[bytes], frozenset[str]]:
        """Return the entries of the document's own fields, cut where those that all rows make come,
        and the paths of those that all rows leave open."""
        last = parts[-1]
        if not last.keep or len(parts) == 1:
            return last.own, last.keep
        versions = [
            Version.of(decode_content(b"".join(part.own)), place, part.keep)
            for place, part in enumerate(parts)
            if part.own
        ]
        version = _folded(versions)
        cuts: list[dict[str, Any]] = [{} for _ in range(len(self._cuts) + 1)]
        for name, value_ in version.content.items():
            cuts[bisect(self._cuts, name)][name] = value_
        return [*map(encode_content, cuts)], version.keep

    def document(self, rows: Sequence[Row], keepable: frozenset[str] = frozenset()) -> Document:
        """Make one document of all rows of its key, given in file order, in Python's own types.

        `keepable` are paths of the fields that a blank cell leaves open.
        A type that is not grouped takes one row. Maps without content are left out. This is what
        `join` is held against: the same, the slow way.
        """
        own = _folded(
            [
                Version.of(content(row, self._paths), place, row.keep(keepable))
                for place, row in enumerate(rows)
            ]
        ).content
        if self.assemble is None:
            (_,) = rows
            return own, []
        items = [row for row in rows if nest(row.values, self._item_paths)]
        assembled = self.assemble(rows, items)
        if assembled.items:
            own[self.items] = [content(row, self._item_paths) for row in assembled.items]
        return {**own, **assembled.totals}, assembled.problems

    def _spellings(self, rules: Rules) -> tuple[dict[str, str], dict[str, str]]:
        """Return spelling -> canonical name, and column -> the other column whose cells it reads.

        The latter comes about where a setting makes one column of the file the key, the e-mail
        column or both, while it is a column of the table in its own right.
        """
        mine = {column.name for column in self.own_columns}
        spellings = {
            spelling: column.name
            for column in self.own_columns
            for spelling in (column.name, *column.aliases)
        }
        known = {column.name for type_ in _TYPES.values() for column in type_.own_columns} | mine
        for own, published in rules.aliases.items():
            own, published = own.strip().upper(), published.strip().upper()
            if published not in known:
                raise SettingsError(
                    "aliases", f"{own} stands for {published}, which is no column of any file"
                )
            if published in mine and own != published:
                if own in mine:
                    raise SettingsError(
                        "aliases",
                        f"{own} cannot stand for {published}: it is the name of another column",
                    )
                spellings[own] = published

        shared: dict[str, str] = {}
        taken: dict[str, str] = {}
        for own, published in (
            (_own_key(rules), PERSON_COLUMN),
            ((rules.email_column or EMAIL_COLUMN).strip().upper(), EMAIL_COLUMN),
        ):
            if published not in mine:
                continue
            if own in taken:
                shared[published] = taken[own]
            elif own != published:
                before = spellings.get(own)
                if before == own:
                    shared[own] = published
                for spelling in [name for name, column in spellings.items() if column == published]:
                    del spellings[spelling]
                if published not in spellings:
                    spellings[published] = f" {published}"
                spellings[own] = published
            taken[own] = published
        return spellings, shared


def _folded(versions: list[Version[int]]) -> Version[int]:
    """Fold what rows say of a document's own fields, given in file order."""
    *others, last = versions
    for older in reversed(others):
        last.take(older)
    return last


@lru_cache(4096, typed=True)
def _total(name: str, total: int | float) -> bytes:
    return entry(FIELD, name.encode(), value(total))


def _own_key(rules: Rules) -> str:
    return (rules.key_column or PERSON_COLUMN).strip().upper()


_TYPES: dict[str, FileType] = {}


def register(type_: FileType) -> FileType:
    """Make a type known by its name."""
    if type_.name in _TYPES:
        raise ValueError(f"there is a type {type_.name} already")
    _TYPES[type_.name] = type_
    return type_


def file_type(name: str) -> FileType:
    """Return the type of that name. Raises KeyError where there is none."""
    return _TYPES[name]


def all_types() -> tuple[FileType, ...]:
    """Return every type, in the order of registration."""
    return tuple(_TYPES.values())
