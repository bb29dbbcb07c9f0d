"""Which columns a file may and must have, and what its own header made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

EXPORT = "export"
"""The column of a report of refused rows that names the export of each row."""
REPORT_COLUMNS = ("line", "column", "code", "reason", EXPORT)
"""The columns that a report of refused rows adds behind the file's own."""


def report_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return those of the columns at the end that a report of refused rows has added.

    People may have taken some of them away. Without `export`, only all others together are known
    for what they are: so are the reports of earlier versions.
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
    """The first line of a file, read against a layout. The three never disagree about a column."""

    names: tuple[str, ...]
    """The columns' names as they stand in the file, trimmed."""
    canonical: tuple[str, ...]
    """As long as `names`: the canonical name of a known column, the own name of any other."""
    unknown: tuple[str, ...] = ()
    """Those of `names` that the layout does not know, in file order."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a reader must know of a type of file, in one connection."""

    columns: Mapping[str, str]
    """Every accepted spelling of a column's name, in UPPER CASE -> the column's canonical name.

    A column that has lost its name to another one (see `Rules.key_column`) has a canonical name
    that begins with a blank, which no trimmed name in a file does.
    """
    required: tuple[tuple[str, ...], ...] = ()
    """Canonical names; of each entry at least one column must be there."""
    expected: tuple[str, ...] = ()
    """Canonical names of columns whose absence is worth a warning."""
    key: str | None = None
    """Canonical name of the column beside which columns may not all be unknown."""

    def header(self, names: Iterable[str]) -> Header:
        """Look names up as they stand in a file: blanks around them and their case do not matter.

        A column under its canonical name is that column; one under another accepted spelling
        beside it is an unknown column then. With SKU and BARCODE in one file, BARCODE is not SKU.
        Names that remain the same after all this stay so: it is for the reader to refuse them.
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
