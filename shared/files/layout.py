"""Layout of a type of file: the accepted and the required columns, and a file's own header."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

EXPORT = "export"
"""Column in a report of rejected rows that names the export of each row."""
REPORT_COLUMNS = ("line", "column", "code", "reason", EXPORT)
"""Columns that a report of rejected rows adds after the file's own columns."""


def report_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns at the end that a report of rejected rows has added.

    People may have removed some of them. Without `export`, the other columns are recognized only if
    all of them are there, as in the reports of earlier versions.
    """
    start = len(names)
    while start and names[start - 1] in REPORT_COLUMNS:
        start -= 1
    found = tuple(names[start:])
    for first in range(len(found)):
        some = found[first:]
        in_order = tuple(name for name in REPORT_COLUMNS if name in some) == some
        if in_order and (EXPORT in some or some == REPORT_COLUMNS[:-1]):
            return some
    return ()


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a file, read with a layout. The fields agree about every column."""

    names: tuple[str, ...]
    """Names of the columns as in the file, trimmed."""
    canonical: tuple[str, ...]
    """Canonical name of each known column, the file's name of every other. As long as `names`."""
    unknown: tuple[str, ...] = ()
    """Names that the layout does not have, in file order."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of a type of file in one connection, for a reader."""

    columns: Mapping[str, str]
    """Every accepted spelling of a column's name, in UPPER CASE -> the column's canonical name.

    If another column has taken a column's name (see `Rules.key_column`), its canonical name begins
    with a blank. No trimmed name in a file does.
    """
    required: tuple[tuple[str, ...], ...] = ()
    """Groups of canonical names; at least one column of each group is required."""
    expected: tuple[str, ...] = ()
    """Canonical names of columns whose absence is worth a warning."""
    key: str | None = None
    """Canonical name of the key column. A header whose other columns are all unknown is refused."""

    def header(self, names: Iterable[str]) -> Header:
        """Look up names as in a file; blanks around them and upper or lower case are ignored.

        A column under its canonical name is that column. Beside it, a column under another accepted
        spelling is unknown: with SKU and BARCODE in one file, BARCODE is not SKU. Names that are
        still the same after this are not changed: the reader refuses them.
        """
        trimmed = tuple(name.strip() for name in names)
        upper = [name.upper() for name in trimmed]
        present = {name for name in upper if self.columns.get(name) == name}
        canonical: list[str] = []
        unknown: list[str] = []
        for own, name in zip(trimmed, upper, strict=True):
            known = self.columns.get(name)
            if known is None or (known != name and known in present):
                unknown.append(own)
                canonical.append(own)
            else:
                canonical.append(known)
        return Header(names=trimmed, canonical=tuple(canonical), unknown=tuple(unknown))
