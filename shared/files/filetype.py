"""Definition of a type of export file, and the list of types."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from shared.core import Problem, SettingsError
from shared.files.aggregation import Aggregation
from shared.files.cells.flags import CONSENT
from shared.files.column import Column, fields_of
from shared.files.layout import Header, Layout
from shared.files.rules import Rules


class ItemRow(Protocol):
    """A row of a grouped type, as `FileType.assemble` reads it: a `Row` or a `Part`."""

    @property
    def line(self) -> int:
        """Line of the file where the row begins."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Column name -> value; None or absent for no value."""

    @property
    def faulty(self) -> frozenset[str]:
        """Names of columns whose cells could not be read."""


R = TypeVar("R", bound=ItemRow)


@dataclass(frozen=True, slots=True)
class Assembled(Generic[R]):
    """Items, totals and problems that the rows of one document make."""

    items: list[R]
    """Rows whose items the document holds, in order."""
    totals: dict[str, int | float]
    """Further fields of the document, which are calculated from all its items."""
    problems: list[Problem]
    """Problems to warn about."""


class Assemble(Protocol):
    """Combines the rows of one document."""

    def __call__(self, rows: Sequence[R], items: Sequence[R]) -> Assembled[R]:
        """Combine all `rows` of a document, and the `items` among them; both in file order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A column whose cells name the document of another type."""

    type: str
    """Other type, e.g. `customers`."""
    column: str
    """Column with the key of the other document, e.g. `PERIDX`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A field of a document that is calculated from all its items."""

    field: str
    stored: str
    """Type of the field in Firestore, as in docs/data-model.md."""
    meaning: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FileType:
    """One type of export file, and everything that the pipeline knows about it.

    `register` makes the type known. Other modules ask a `FileType` for everything that depends on
    the type. No other module compares names of types.
    """

    name: str
    """First word of the files' names, e.g. `customers`."""
    collection: str
    """Collection of its documents, below `connections/{connection}`."""
    columns: tuple[Column, ...]
    """Table of columns, in the order of publication."""
    about: str
    """Description of the file, for the person who sets up the export: one to three sentences."""
    source: str
    """Source of the knowledge about the columns: an entry of `shared.files.column.SOURCES`."""
    document: str = "document"
    """One document in a word or two, whose plural ends in s, e.g. `customer`."""
    waits_for: str | None = None
    """Type of the file that must be loaded first. Each file waits for the newest file of that type
    that was exported before it. Orders wait for customers."""
    goes_after: str | None = None
    """Type whose files go first when both are about to start. A file of that type need not exist:
    rewards go after customers, but do not wait for customers."""
    refers_to: Reference | None = None
    """Reference of each document to one of another type. A document whose other document is not in
    Firestore is loaded and counted as orphaned."""
    read_by: Literal["connection", "staff"] = "staff"
    """Readers of the documents. `connection` needs a line in firestore.rules."""
    one_of: tuple[tuple[str, ...], ...] = ()
    """Groups of columns. A header needs one column of each group, a row needs a value in one."""
    grouped_where: Callable[[Header], bool] = lambda header: False
    """Returns True if, in a file with this header, several rows make one document."""
    assemble: Assemble | None = None
    """Combines the rows of a grouped document; None if a document is always one row."""
    aggregation: Aggregation | None = None
    """Result of `assemble` for usual documents, so that many are made at once; None if each is made
    by `assemble`."""
    looks_at: tuple[str, ...] = ()
    """Columns whose values `assemble` reads."""
    items: str = ""
    """Field that holds a grouped document's items."""
    totals: tuple[Total, ...] = ()
    """Fields that `assemble` calculates."""
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
        if self.aggregation is not None and not (
            self.aggregation.looks_at <= {*self.looks_at}
            and self.aggregation.totals == {*self.total_fields}
        ):
            raise ValueError(f"the aggregation of {self.name} needs other columns or makes others")
        if self.refers_to is not None and self.refers_to.column not in self.looks_at:
            raise ValueError(f"{self.name} refers by a column that assemble does not look at")

    @property
    def total_fields(self) -> tuple[str, ...]:
        """Names of the fields that `assemble` calculates."""
        return tuple(total.field for total in self.totals)

    @property
    def consent(self) -> frozenset[str]:
        """Fields of the document that hold consent."""
        return frozenset(column.field for column in self.columns if column.kind is CONSENT)

    @property
    def own_columns(self) -> list[Column]:
        """Columns that have cells of their own."""
        return [column for column in self.columns if column.reads is None]

    @property
    def key(self) -> Column:
        """Column that names the document."""
        return next(column for column in self.columns if column.key)

    @property
    def orphan(self) -> tuple[str, str]:
        """Words for a document and for the one that it refers to, e.g. `order` and `customer`."""
        other = known_type(self.refers_to.type) if self.refers_to is not None else None
        return self.document, other.document if other is not None else "document"

    def source_of(self, column: Column) -> str:
        """Return the source of the knowledge about a column."""
        return column.source or self.source

    def column_of(self, person: Literal["id", "email"]) -> Column | None:
        """Return the column with a person's key or address; None if the type has none."""
        return next((column for column in self.columns if column.person == person), None)

    @property
    def personal(self) -> bool:
        """True if the documents are about a person."""
        return any(column.person for column in self.columns)

    def shows(self, spelling: str) -> bool:
        """Return True if the cells of a column may be shown, by its name in a file.

        Cells of an unknown column may not be shown.
        """
        name = spelling.strip().upper()
        return any(not c.personal and name in (c.name, *c.aliases) for c in self.own_columns)

    def keepable(self, rules: Rules) -> frozenset[str]:
        """Return the paths of the document's fields that a row may leave unchanged."""
        if rules.blank_means == "clear":
            return self.consent
        return frozenset(
            field
            for column in self.own_columns
            if column.part != "item" and not column.needed
            for field in fields_of(column, self.columns)
        )

    def grouped(self, header: Header) -> bool:
        """Return True if several rows make one document."""
        return self.grouped_where(header)

    def layout(self, rules: Rules) -> Layout:
        """Return the layout for a reader of such files.

        Raises:
            SettingsError: an alias names a column that no type has, or is itself the name
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
        """Return the place of the cell that is read for a column; None if the file has none."""
        _, shared = self.spellings(rules)
        name = shared.get(column, column)
        return header.canonical.index(name) if name in header.canonical else None

    def read_key(self, cell: str) -> str:
        """Return the key in a cell, with repaired damage; "" if it is blank."""
        text, _ = self.key.kind.repaired(cell.strip())
        return text

    def spellings(self, rules: Rules) -> tuple[dict[str, str], dict[str, str]]:
        """Return spelling -> canonical name, and column -> the other column whose cells it reads.

        A column reads another column's cells if a setting makes one column of the file the key, the
        e-mail column or both, and the table has that column too.
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
    """Return the name of a column that names a person, in the files of a connection."""
    own = {"id": rules.key_column, "email": rules.email_column, None: None}[column.person]
    return (own or column.name).strip().upper()


_TYPES: dict[str, FileType] = {}


def register(type_: FileType) -> FileType:
    """Make a type known by its name.

    Raises:
        ValueError: there is a type of that name already.
    """
    if type_.name in _TYPES:
        raise ValueError(f"there is a type {type_.name} already")
    _TYPES[type_.name] = type_
    return type_


def file_type(name: str) -> FileType:
    """Return the type of that name. Raises KeyError if there is none."""
    return _TYPES[name]


def all_types() -> tuple[FileType, ...]:
    """Return every type, in the order of registration."""
    return tuple(_TYPES.values())


def known_type(name: str | None) -> FileType | None:
    """Return the type of that name; None if there is none."""
    return _TYPES.get(name or "")


def waiting_for(name: str | None) -> tuple[FileType, ...]:
    """Return the types whose files wait for files of a type."""
    return tuple(type_ for type_ in _TYPES.values() if name and type_.waits_for == name)


def going_after(name: str | None) -> tuple[FileType, ...]:
    """Return the types whose files let files of a type go first."""
    return tuple(type_ for type_ in _TYPES.values() if name and type_.goes_after == name)


def check_types() -> None:
    """Make sure that every type that a type names exists.

    Raises:
        ValueError: a type that is named does not exist.
    """
    for type_ in _TYPES.values():
        refers_to = type_.refers_to.type if type_.refers_to else None
        for other in (type_.waits_for, type_.goes_after, refers_to):
            if other is not None and (other not in _TYPES or other == type_.name):
                raise ValueError(f"{type_.name} depends on {other}, which is no other type")


EXAMPLE_STAMP = "20230424T201230Z"
"""Time in the name of an example file."""


def example_csv(type_: FileType) -> str:
    """Return a small file of a type: its header and its example rows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in type_.own_columns)
    for differences in type_.example_rows:
        writer.writerow(differences.get(c.name, c.example) for c in type_.own_columns)
    return text.getvalue()
