"""One column of a type of file: its names, its kind of value, its place in the document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.files.cells import Kind
from shared.files.cells.texts import LOWER_EMAIL

Level = Literal["document", "item"]
"""`document`: the field is in the document itself. `item`: the field is in an entry of its list."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Column:
    """One column of a type of file. All other facts about the column are derived from this."""

    name: str
    """Published name, UPPER_SNAKE."""
    field: str
    """Path of the field in the document, or in the item: camelCase, dots between the levels."""
    kind: Kind
    """Kind of the cells, which reads them."""
    meaning: str
    """Meaning of the column, for the person who sets up the export."""
    example: str
    """Example of a cell."""
    source: str | None = None
    """Source of the knowledge about the column, if it is not that of its type; see `SOURCES`."""
    aliases: tuple[str, ...] = ()
    """Other accepted names of the column, in UPPER CASE."""
    max_length: int | None = None
    """Characters that Apparel21 holds at most. A longer text is kept, with a warning."""
    key: bool = False
    """True if the column names the document."""
    required: bool = False
    """True if a row without a usable value is refused. A key is always required."""
    expected: bool = False
    """True if a file without the column gets a warning."""
    recency: bool = False
    """True if, of two rows with one key, the row with the later time in this column counts."""
    falls_back_to: str | None = None
    """Column whose value replaces a blank one."""
    personal: bool = True
    """True if cells may identify a person. The status page masks cells unless this is False."""
    person: Literal["id", "email"] | None = None
    """Part of a person that the column names: the key or the e-mail address. Erasing looks for
    both. A connection's settings `keyColumn` and `emailColumn` give the column another name."""
    setting: Literal["currency"] | None = None
    """Setting of the connection that replaces a blank value."""
    part: Level = "document"
    """Place of the field."""
    reads: str | None = None
    """Column whose cells are read for a second field. A column with `reads` has no name in a file
    and no cells of its own."""

    @property
    def needed(self) -> bool:
        """True if every row must have a usable value."""
        return self.key or self.required


SOURCES: Mapping[str, str] = {
    "templates": "export templates, "
    "https://docs.dotapparel.com.au/customers/apparel21-export-templates",
    "vendor API": "the vendor's API, https://developers.dotapparel.com.au",
    "API guide": "Apparel21 Retail API Guide 2025.1, with names of columns in the style of the "
    "templates",
}
"""Sources of the knowledge about columns, in words for people."""


EMAIL_LOWER = Column(
    name="EMAIL_LOWER",
    field="emailLower",
    kind=LOWER_EMAIL,
    reads="EMAIL",
    meaning="The address for look-ups: NFKC, lower case, trimmed. Absent above 320 characters.",
    example="",
)
"""Column for the field `emailLower`, which has the cells of `EMAIL`."""


def fields_of(column: Column, columns: Iterable[Column]) -> tuple[str, ...]:
    """Return the paths of all fields that the cells of a column are read for.

    A row sets, clears or leaves open all of them. Example: `email` and `emailLower`.
    """
    return tuple(one.field for one in columns if column.name in (one.name, one.reads))


Paths = Mapping[str, tuple[str, ...]]
"""Column name -> path of its field, split at the dots."""


def paths(columns: Iterable[Column], part: Level) -> Paths:
    """Return the field paths of the columns that belong to a part."""
    return {
        column.name: tuple(column.field.split(".")) for column in columns if column.part == part
    }


def nest(values: Mapping[str, Any], to: Paths) -> dict[str, Any]:
    """Put values, by column name, into their fields; values without a path are left out.

    No map in the result is empty: a map is made only for a value.
    """
    content: dict[str, Any] = {}
    for name, value in values.items():
        path = to.get(name)
        if path is None:
            continue
        target = content
        for level in path[:-1]:
            target = target.setdefault(level, {})
        target[path[-1]] = value
    return content
