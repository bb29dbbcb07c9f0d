"""Writes the page of columns for the person who sets the export up.

`python -m tools.reference.formats > docs/formats.md` writes the page. With `--check` nothing is
written, and the exit code is 1 if docs/formats.md differs from the tables of columns.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.core import Deployment, length, percent
from shared.files.types import (
    EXAMPLE_STAMP,
    KINDS,
    SOURCES,
    Column,
    FileType,
    all_types,
    example_csv,
)
from shared.parsing import NARROW
from tools.reference.tables import table, unless_said

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
"""The page as it is kept beside the code."""


_INTRODUCTION = """\
# Formats of export files

For whoever sets up the export in Apparel21. A column without an explanation is \
what its name says."""

_GENERAL = """\
## Every file

|part|rule|
|---|---|
|Name|`{{type}}_{{time of the export in UTC}}.csv`, such as `customers_{stamp}.csv` or \
`customers_2023-04-24T20:12:30Z.csv`. Small letters, but `T` and `Z`. The time is at most \
{ahead} later than the upload.|
|Folder|`pending/`, or `test/` to check it only ([how files are sent](for-retailers.md)). `bulk/` \
is for first loads.|
|Encoding|UTF-8, with or without a byte order mark. Other cells are read as Windows-1252, with \
a warning. Cells that are neither, or have a �, are unreadable.|
|Delimiter|Comma, semicolon, tab or `\\|`, the same in the whole file.|
|Quotes|`"` around cells with a delimiter, a line break or a quote. A quote inside is doubled. \
`5" heel` without quotes around it is text.|
|Header|The column names in the first line, in any order and case. Other accepted names are in \
italics below. The connection's [settings](ledger.md#settings-of-a-connection) `keyColumn`, \
`emailColumn` and `aliases` map the retailer's own names.|
|Other columns|Kept under `extra` by name. Besides the key, one column must be known.|
|Rows|As many cells as the header. Rows of only blanks and delimiters are ignored.|
|Values|Blanks around cells and quotes do not count.|
|End|The last line must be complete; its line break may be missing. A footer needs a line break.|

* **Wrong quotes** reject the line; reading continues at the next line. Only blanks may come \
between a closing quote and the delimiter, and `\\"` is not a quote. A line inside a cell must not \
look like a row: not have as many cells as the header. In files of 2 to {narrow} columns, a text \
like `Hobart, TAS` may. A quote that is open at the end rejects the file.
* **Blank cells** clear their field, or keep it with the setting `blankMeans`: `keep`. Consent \
is never cleared. A cleared field stays clear until a newer file has a value.
* **Unreadable cells** change nothing, with a warning. In a new document, a line or a reward, \
the field is absent. In an unknown column, all of the stored `extra` is unchanged.
* **Consent.** `PRIVACY` is the wrong way round: `Yes` means that the person must *not* be \
written to. Anything but yes or no subscribes nobody and leaves the stored consent unchanged. A \
first load (`bulk/`) takes none.
* **Several rows of one customer.** The latest `LAST_UPDATED` counts; if equal, the later row. \
What that row leaves open is taken from the latest row that has it. Where the later row is \
unclear, a withdrawal of consent counts.
* **Times** are in the connection's time zone unless they end in `Z` or an offset. Of an hour \
that comes twice, the first is meant.
* **Errors.** A row without a usable value in a *needed* column is rejected. The file is rejected \
if [too many rows](errors.md#the-row-is-not-loaded) have errors, or more than {limit} of a \
column's values, at least {floor}. [What else gets a warning](errors.md#loaded-but-check-it).
* **Spreadsheets** damage exports that they save. Ids, codes, phones, SKUs and postcodes such as \
`1.23E+11`, `12345.0`, `####` or `#N/A` are unreadable. `="0800"` and `'0800` are read as `0800`.
* **Characters.** Ids, codes and e-mail addresses with control characters are unreadable. In keys, \
ids, codes and addresses, characters that are not shown are removed, and no-break spaces become \
blanks, with a warning.
* **Numbers.** Where the delimiter is not a comma, `1,500` is unreadable: it may be 1500 or 1.5. \
`1,234.50` is not."""


_LIMITS = Deployment()
_EXAMPLES = 3
"""Examples of a kind of cell that the page shows; its first ones."""


def page() -> str:
    """Return the whole page, as Markdown."""
    sections = [
        _INTRODUCTION,
        _GENERAL.format(
            stamp=EXAMPLE_STAMP,
            ahead=length(_LIMITS.future_tolerance),
            narrow=NARROW,
            limit=percent(_LIMITS.reject_limit),
            floor=_LIMITS.reject_floor,
        ),
        *(_type_section(type_) for type_ in all_types()),
        _kinds_section(),
        _sources_section(),
    ]
    return "\n\n".join(sections) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Print the page, or with `--check` compare it with the one that is kept."""
    if list(arguments) == ["--check"]:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page():
            return 0
        print(
            "docs/formats.md is out of date; write it again: "
            "python -m tools.reference.formats > docs/formats.md",
            file=sys.stderr,
        )
        return 1
    if arguments:
        print("usage: python -m tools.reference.formats [--check]", file=sys.stderr)
        return 2
    sys.stdout.buffer.write(page().encode())
    return 0


def _type_section(type_: FileType) -> str:
    rows = (
        (
            "<br>".join([f"`{column.name}`", *(f"*{alias}*" for alias in column.aliases)]),
            unless_said(column.meaning, column.name),
            column.kind.name,
            _needed(column, type_),
            str(column.max_length or ""),
            ", ".join(
                f"`{_field(one, type_)}`"
                for one in type_.columns
                if column.name in (one.name, one.reads)
            ),
        )
        for column in type_.own_columns
    )
    parts = [
        f"## {type_.name}",
        f"{type_.about} [Documents](data-model.md#{type_.name}).",
        f"```csv\n{example_csv(type_)}```",
        table(("column", "what", "format", "needed", "longest", "field"), rows),
    ]
    if defaults := [column for column in type_.columns if column.setting]:
        parts.append(
            "\n".join(
                f"A blank `{column.name}` takes the connection's setting `{column.setting}`."
                for column in defaults
            )
        )
    return "\n\n".join(parts)


def _needed(column: Column, type_: FileType) -> str:
    if column.key:
        return "**key**"
    if column.required:
        return "**yes**"
    for group in type_.one_of:
        if column.name in group:
            others = ", ".join(f"`{name}`" for name in group if name != column.name)
            return f"**yes**, or {others}"
    if column.expected:
        return "expected"
    if column.falls_back_to:
        return f"else `{column.falls_back_to}`"
    return ""


def _field(column: Column, type_: FileType) -> str:
    return f"{type_.items}[].{column.field}" if column.part == "item" else column.field


def _kinds_section() -> str:
    used = {column.kind for type_ in all_types() for column in type_.own_columns}
    rows = (
        (
            kind.name,
            kind.form,
            ", ".join(
                f"`{cell}`" if value == cell else f"`{cell}` → {_shown(value)}"
                for cell, value in kind.examples[:_EXAMPLES]
            ),
        )
        for kind in KINDS
        if kind in used
    )
    return (
        "## Formats of cells\n\n"
        "Examples: cell → stored value, if it differs, in Sydney.\n\n"
        + table(("format", "accepted", "examples"), rows)
    )


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        decimals = f".{value:%f}".rstrip("0") if value.microsecond else ""
        return f"{value:%Y-%m-%dT%H:%M:%S}{decimals}Z"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _sources_section() -> str:
    lines = []
    for source, words in SOURCES.items():
        names = [
            f"{type_.name} ({len(found)})"
            for type_ in all_types()
            if (found := [one for one in type_.own_columns if type_.source_of(one) == source])
        ]
        if names:
            lines.append(f"* {words}: {', '.join(names)}")
    return "## Sources of the columns\n\n" + "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
