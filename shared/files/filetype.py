"""What a type of export file is, and which types there are."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from shared.core import Problem, SettingsError
from shared.files.columns import Column
from shared.files.kinds import CONSENT
from shared.files.layout import Header, Layout
from shared.files.rules import Rules
from shared.files.usual import Usual


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A column whose cells name the document of another type."""

    type: str
    """The other type, e.g. `customers`."""
    column: str
    """The column with the key of its document, e.g. `PERIDX`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A field of a document that is worked out from all its items."""

    field: str
    stored: str
    """What it is in Firestore, as docs/data-model.md has it."""
    meaning: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FileType:
    """One type of export file, and everything that the pipeline knows about it.

    `register` makes it known. Whatever depends on a type asks its `FileType`; no other module
    compares names of types.
    """

    name: str
    """The word that its files' names begin with, e.g. `customers`."""
    collection: str
    """Collection of its documents, below `connections/{connection}`."""
    columns: tuple[Column, ...]
    """The table of its columns, in the order of publication."""
    about: str
    """What the file is, for whoever sets the export up: a sentence or three."""
    document: str = "document"
    """What one document is, in a word or two whose plural ends in s, e.g. `customer`."""
    waits_for: str | None = None
    """The type of the file that must be loaded first: each file waits for the newest one of that
    type that was exported before it. Orders wait for customers."""
    goes_after: str | None = None
    """The type whose files go first when both are about to start. None of this type has to come:
    rewards go after customers, but do not wait for any."""
    refers_to: Reference | None = None
    """Where each document names one of another type. Those whose other document is not in
    Firestore are loaded and counted as orphaned."""
    read_by: Literal["connection", "staff"] = "staff"
    """Who may read its documents. `connection` needs a line in firestore.rules."""
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
    totals: tuple[Total, ...] = ()
    """The fields that `assemble` makes."""
    example_rows: tuple[Mapping[str, str], ...] = ({},)
    """Example rows for docs/formats.md, each by its differences from the columns' examples."""

    def __post_init__(self) -> None:
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
            self.usual.looks_at <= {*self.looks_at} and self.usual.totals == {*self.total_fields}
        ):
            raise ValueError(f"what is usual for {self.name} is not what it looks at and makes")
        if self.refers_to is not None and self.refers_to.column not in self.looks_at:
            raise ValueError(f"{self.name} refers by a column that assemble does not look at")

    @property
    def total_fields(self) -> tuple[str, ...]:
        """The names of the fields that `assemble` makes."""
        return tuple(total.field for total in self.totals)

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

    @property
    def orphan(self) -> tuple[str, str]:
        """Words for a document and for the one that it refers to, e.g. `order` and `customer`."""
        other = known_type(self.refers_to.type) if self.refers_to is not None else None
        return self.document, other.document if other is not None else "document"

    def column_of(self, person: Literal["id", "email"]) -> Column | None:
        """Return the column with a person's key or address; None where the type has none."""
        return next((column for column in self.columns if column.person == person), None)

    @property
    def personal(self) -> bool:
        """Whether its documents are about a person."""
        return any(column.person for column in self.columns)

    def shows(self, spelling: str) -> bool:
        """Whether the cells of a column may be shown, by its name in a file. Those of an unknown
        column may not."""
        name = spelling.strip().upper()
        return any(not c.personal and name in (c.name, *c.aliases) for c in self.own_columns)

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
        columns, shared = self.spellings(rules)
        needed = [(c.name,) for c in self.own_columns if c.needed]
        return Layout(
            columns=columns,
            required=tuple(
                tuple(shared.get(name, name) for name in group) for group in (*needed, *self.one_of)
            ),
            expected=tuple(c.name for c in self.own_columns if c.expected and c.name not in shared),
            key=shared.get(self.key.name, self.key.name),
        )

    def place(self, column: str, header: Header, rules: Rules) -> int | None:
        """Return which cell of a row is read for a column of the table; None where none is."""
        _, shared = self.spellings(rules)
        name = shared.get(column, column)
        return header.canonical.index(name) if name in header.canonical else None

    def raw_key(self, cells: Mapping[str, Sequence[str]], place: int) -> str:
        """Return the key of one row, by the header's canonical names; "" where it is blank."""
        return self.read_key(cells[self.key.name][place])

    def read_key(self, cell: str) -> str:
        """Return the key in a cell, without what is undone of it; "" where it is blank."""
        text, _ = self.key.kind.repaired(cell.strip())
        return text

    def spellings(self, rules: Rules) -> tuple[dict[str, str], dict[str, str]]:
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
        for column in (self.column_of("id"), self.column_of("email")):
            if column is None:
                continue
            published, own = column.name, own_name(column, rules)
            if own in taken:
                shared[published] = taken[own]
            elif own != published:
                before = spellings.get(own)
                if before == own:
                    shared[own] = published
                for spelling in [name for name, other in spellings.items() if other == published]:
                    del spellings[spelling]
                if published not in spellings:
                    spellings[published] = f" {published}"
                spellings[own] = published
            taken[own] = published
        return spellings, shared


def own_name(column: Column, rules: Rules) -> str:
    """Return the name that a connection's files give to a column that names a person."""
    own = {"id": rules.key_column, "email": rules.email_column, None: None}[column.person]
    return (own or column.name).strip().upper()


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


def known_type(name: str | None) -> FileType | None:
    """Return the type of that name; None where there is none."""
    return _TYPES.get(name or "")


def waiting_for(name: str | None) -> tuple[FileType, ...]:
    """Return the types whose files wait for files of a type."""
    return tuple(type_ for type_ in _TYPES.values() if name and type_.waits_for == name)


def going_after(name: str | None) -> tuple[FileType, ...]:
    """Return the types whose files let files of a type go first."""
    return tuple(type_ for type_ in _TYPES.values() if name and type_.goes_after == name)


def check_types() -> None:
    """Make sure that the types that types name are there.

    Raises:
        ValueError: one is not.
    """
    for type_ in _TYPES.values():
        refers_to = type_.refers_to.type if type_.refers_to else None
        for other in (type_.waits_for, type_.goes_after, refers_to):
            if other is not None and (other not in _TYPES or other == type_.name):
                raise ValueError(f"{type_.name} depends on {other}, which is no other type")


EXAMPLE_STAMP = "20230424T201230Z"
"""The time in the name of an example file."""


def example_csv(type_: FileType) -> str:
    """Return a small file of a type: its header and its example rows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in type_.own_columns)
    for differences in type_.example_rows:
        writer.writerow(differences.get(c.name, c.example) for c in type_.own_columns)
    return text.getvalue()
