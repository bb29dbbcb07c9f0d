"""Shapes of the documents, as data: what data_model.py writes as tables and app_kit.py as types.

Everything comes from the tables of columns of each type of file, except for the fields that every
document has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from shared.files.cells.flags import CONSENT, YES_NO
from shared.files.cells.numbers import DECIMAL, MONEY, PERCENT, WHOLE
from shared.files.cells.times import BIRTH_DATE, DATE, DAY, TIME, TIME_OF_DAY
from shared.files.types import Column, FileType, Kind, Total


class Scalar(Enum):
    """A type of value in Firestore, in the words of docs/data-model.md."""

    STRING = "string"
    DAY = "string `YYYY-MM-DD`"
    TIMESTAMP = "timestamp"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    CENTS = "integer, cents"
    DOUBLE = "double"


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map of any names to values of one type."""

    value: Scalar

    @property
    def words(self) -> str:
        """Words of docs/data-model.md, e.g. `map of strings`."""
        return f"map of {self.value.value}s"


@dataclass(frozen=True, slots=True)
class Shape:
    """A document, or a map inside it, with known fields."""

    name: str
    """Name of its type in the app kit, e.g. `OrderLine`."""
    about: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """An array of strings or of maps."""

    item: Scalar | Shape

    @property
    def words(self) -> str:
        """Words of docs/data-model.md, e.g. `array of strings`."""
        return f"array of {self.item.value if isinstance(self.item, Scalar) else 'map'}s"


Value: TypeAlias = Scalar | MapOf | ArrayOf | Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a document or of a map inside it."""

    name: str
    value: Value
    meaning: str
    always: bool = False
    """True if no document is without the field."""
    internal: bool = False
    """True if only the pipeline needs the field."""


_STORED: dict[Kind, Scalar] = {
    YES_NO: Scalar.BOOLEAN,
    CONSENT: Scalar.BOOLEAN,
    DATE: Scalar.DAY,
    BIRTH_DATE: Scalar.DAY,
    TIME: Scalar.TIMESTAMP,
    DAY: Scalar.DAY,
    TIME_OF_DAY: Scalar.TIMESTAMP,
    MONEY: Scalar.CENTS,
    DECIMAL: Scalar.DOUBLE,
    PERCENT: Scalar.DOUBLE,
    WHOLE: Scalar.INTEGER,
}
"""Kind of cell -> its type in Firestore; a string if it is not named here."""

_CONSENT = "True if the person has agreed to be written to."

_INCOMPLETE = Total(
    field="incomplete",
    stored="boolean",
    meaning="`true` if a row was rejected and is still missing; else absent.",
)
"""The field that marks a document of several rows that lacks some."""

SOURCE = Shape(
    "DocumentSource",
    "The export file that changed a document last.",
    (
        Field(
            name="import",
            value=Scalar.STRING,
            meaning="Import that changed the document last.",
            always=True,
        ),
        Field(
            name="row",
            value=Scalar.INTEGER,
            meaning="First line of the document's last row.",
            always=True,
        ),
        Field(
            name="exportedAt",
            value=Scalar.TIMESTAMP,
            meaning="Time of the export; of a fixed row, of its first export. 1970 if an undone "
            "file was the only one.",
            always=True,
        ),
        Field(
            name="generation",
            value=Scalar.INTEGER,
            meaning="Upload of that file.",
            always=True,
            internal=True,
        ),
        Field(
            name="kept",
            value=MapOf(Scalar.TIMESTAMP),
            meaning="Path of a field that a later file left open -> export time of its value.",
            internal=True,
        ),
        Field(
            name="keptGenerations",
            value=MapOf(Scalar.INTEGER),
            meaning="The same paths -> upload of that file.",
            internal=True,
        ),
        Field(
            name="open",
            value=ArrayOf(Scalar.STRING),
            meaning="Paths of fields without a value from any file: unreadable, or blank and kept.",
            internal=True,
        ),
    ),
)

COMMON = (
    Field(
        name="extra",
        value=MapOf(Scalar.STRING),
        meaning="Unknown columns, by their own names.",
    ),
    Field(name="source", value=SOURCE, meaning=SOURCE.about, always=True),
)
"""The fields of every document."""


def stored(column: Column) -> Scalar:
    """Return the type of a column's field in Firestore."""
    return _STORED.get(column.kind, Scalar.STRING)


def meaning(column: Column) -> str:
    """Return the meaning of a column's field, for a developer of an app."""
    return _CONSENT if column.kind is CONSENT else column.meaning


def totals(type_: FileType) -> tuple[Total, ...]:
    """Return the fields that are calculated from a document's items, or mark that some lack."""
    return (*type_.totals, _INCOMPLETE) if type_.assemble is not None else ()


def shape(type_: FileType) -> Shape:
    """Return the shape of the documents of a type."""
    name = "".join(word.capitalize() for word in type_.document.split())
    whole = [column for column in type_.columns if column.part == "document"]
    items = [column for column in type_.columns if column.part == "item"]
    fields = [*_nested(whole, name)]
    fields += [
        Field(name=total.field, value=Scalar(total.stored), meaning=total.meaning)
        for total in totals(type_)
    ]
    if items:
        about = f"One entry of `{type_.items}`."
        item_name = f"{name}{_capital(type_.items.removesuffix('s'))}"
        item = Shape(item_name, about, (*_nested(items, item_name), COMMON[0]))
        fields.append(Field(name=type_.items, value=ArrayOf(item), meaning=f"Its {type_.items}."))
    path = f"connections/{{connection}}/{type_.collection}/{{{type_.key.name}}}"
    return Shape(name, f"A document `{path}`.", (*fields, *COMMON))


def _nested(columns: Sequence[Column], name: str) -> Iterable[Field]:
    """Yield the fields of columns, those with a dot inside the shape of their map."""
    tops = dict.fromkeys(column.field.partition(".")[0] for column in columns)
    for top in tops:
        of = [column for column in columns if column.field.partition(".")[0] == top]
        if of[0].field == top:
            (column,) = of
            yield Field(
                name=top, value=stored(column), meaning=meaning(column), always=column.needed
            )
            continue
        inner = tuple(
            Field(
                name=column.field.partition(".")[2],
                value=stored(column),
                meaning=meaning(column),
                always=column.needed,
            )
            for column in of
        )
        map_ = Shape(f"{name}{_capital(top)}", f"The map `{top}`; absent where it is empty.", inner)
        yield Field(name=top, value=map_, meaning=map_.about)


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


def shapes(of: Shape) -> Iterable[Shape]:
    """Yield the shapes inside a shape, then the shape itself; each once."""
    seen: dict[str, Shape] = {}

    def visit(one: Shape) -> None:
        for field in one.fields:
            inner = field.value.item if isinstance(field.value, ArrayOf) else field.value
            if isinstance(inner, Shape):
                visit(inner)
        seen.setdefault(one.name, one)

    visit(of)
    return seen.values()
