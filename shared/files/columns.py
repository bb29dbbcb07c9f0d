"""What is known of one column: its names, its kind of value, its place in the document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.files.kinds import Kind

Level = Literal["document", "item"]
"""`document`: the field is the document's own. `item`: it is a field of one entry of its list."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Column:
    """One column of a type of file. Everything else about the column is derived from this."""

    name: str
    """The published name, UPPER_SNAKE."""
    field: str
    """Path of the field in the document, or in the item: camelCase, dots between the levels."""
    kind: Kind
    """How its cells are read."""
    meaning: str
    """What it says, for whoever sets the export up."""
    example: str
    """A cell of it."""
    source: str
    """Where the column is known from; names an entry of `shared.files.columns.SOURCES`."""
    aliases: tuple[str, ...] = ()
    """Other names under which it is accepted, in UPPER CASE."""
    max_length: int | None = None
    """Characters that Apparel21 holds at most. A longer text is kept, with a warning."""
    key: bool = False
    """Whether it names the document."""
    required: bool = False
    """Whether a row without a usable value is refused. A key is required without saying so."""
    expected: bool = False
    """Whether a file without the column is worth a warning."""
    recency: bool = False
    """Whether, of two rows with one key, the one with the later time here counts."""
    falls_back_to: str | None = None
    """The column whose value stands in for a blank one."""
    personal: bool = True
    """Whether its cells may say who somebody is. The status page masks those of every column that
    does not say False."""
    person: Literal["id", "email"] | None = None
    """What it names of a person: their key or their e-mail address. Erasing looks for both, and a
    connection's settings `keyColumn` and `emailColumn` give the column another name."""
    setting: Literal["currency"] | None = None
    """The setting of the connection that stands in for a blank value."""
    part: Level = "document"
    """Where the field is."""
    reads: str | None = None
    """The column whose cells it reads, for a second field of their meaning. Such a column has no
    name in a file and no cells of its own."""

    @property
    def needed(self) -> bool:
        """Whether a row cannot do without a usable value."""
        return self.key or self.required


SOURCES: Mapping[str, str] = {
    "templates": "the vendor's export templates, "
    "https://docs.dotapparel.com.au/customers/apparel21-export-templates",
    "vendor API": "the same record in the vendor's API, https://developers.dotapparel.com.au",
    "API guide": "the same record in the Apparel21 Retail API Guide 2025.1; the name of the column "
    "is this system's, in the style of the published ones",
}
"""Where columns are known from, in words for people."""

Paths = Mapping[str, tuple[str, ...]]
"""Column name -> path of its field, split at the dots."""


def paths(columns: Iterable[Column], part: Level) -> Paths:
    """Return the field paths of those columns that belong to a part."""
    return {
        column.name: tuple(column.field.split(".")) for column in columns if column.part == part
    }


def nest(values: Mapping[str, Any], to: Paths) -> dict[str, Any]:
    """Put values, by column name, where their fields belong; those without a path are left out.

    No map comes out empty, because every value that is there is a value.
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
