"""Writes the page of columns for the person who sets the export up.

`python -m tools.reference.formats > docs/formats.md` writes the page. With `--check` nothing is
written, and the exit code is 1 if docs/formats.md differs from the tables of columns.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.core import Deployment
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

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
"""The page as it is kept beside the code."""


_INTRODUCTION = """\
# Formats of the export files

What to put into the files, for whoever sets the export up in Apparel21. The tables below are made
from the same definitions that the rows are checked against: `python -m tools.reference.formats`."""

_GENERAL = """\
## What holds for every file

| | |
|---|---|
| Name | `{{type}}_{{time of the export in UTC}}.csv`, such as `customers_{stamp}.csv` or \
`customers_2023-04-24T20:12:30Z.csv`; nothing before or after it, small letters, `T` and `Z` as \
capitals. A time more than 15 minutes later than the upload is refused: local time with a `Z` is \
not UTC. |
| Folder | `pending/` to have it loaded, `test/` to have it checked only, `bulk/` for a first \
load. With several connections, the folder of the connection below that. |
| Encoding | UTF-8, with or without a byte order mark. A cell that is not UTF-8 is read as \
Windows-1252, with a warning; the other cells of its row stay UTF-8. A cell that is neither, or \
holds the sign � for lost characters, is unreadable. In a row with such a cell in an unknown \
column, all of the stored `extra` is unchanged. |
| Delimiter | Comma, semicolon, tab or `\\|`, the same one in the whole file. |
| Quotes | `"` around a cell that holds the delimiter, a line break or a quote; a quote inside is \
written twice. A line break inside quotes belongs to the cell. Blanks before and behind the \
quotes do not count. A quote inside a cell without quotes, as in `5" heel`, is text. |
| First line | The names of the columns, in any order and in capital or small letters; no title, \
and not `sep=;`. Other accepted names are listed below the published one. A file in which only the \
key is a known column, beside unknown columns, is not loaded. |
| Further columns | Are welcome: their values are kept under `extra` by the column's name. |
| Rows | One cell for each column. A row with more or fewer is not loaded. Rows of blanks and \
delimiters alone are blank lines. |
| Blanks around a value | Do not count. |
| Last line | May or may not end in a line break, but has to be complete: a file that breaks \
off is not loaded at all, nor is one that ends in a footer without a line break. A Ctrl-Z at the \
end does not count. |

**Bad quotes.** Only blanks may come between a closing quote and the next delimiter. Anything \
else means that a quote was never closed, or that a quote inside was not doubled; `\\"` is no \
quote. Then the line on which the row begins is not loaded, and the next line is read as a row of \
its own. The same happens where a cell that is closed holds whole rows: where a line inside it has \
as many cells as the header, or where the row's first and last line both have. In a file of one \
column no line is taken for such a row. In a file of 2 to {narrow} columns, a line is taken for \
one only if no blank is beside its delimiters: so `Hobart, TAS` is a line of an address, and \
`11,STD` is a row. A file that ends inside quotes is not loaded at all.

**Blank cells.** A blank cell clears the field in the document. Where the connection's setting \
`blankMeans` is `keep`, the stored value stays instead. Consent is never cleared. What a file has \
cleared stays cleared until a newer file gives a value.

**Unreadable cells.** A cell that holds something else than a value of its kind changes nothing: \
the stored value stays, whatever `blankMeans` says, and there is a warning. In a new document, and \
in a line of an order or a reward, the field is absent.

**Consent.** `PRIVACY` is the wrong way round: `Yes` means that the person must *not* be written \
to. A blank cell, or anything but yes or no, subscribes nobody and leaves the stored consent as it \
is, with a warning. A first load (`bulk/`) takes no consent at all, and its report says so.

**Several rows of one key.** Where each row is a document, such as a customer, the row with the \
latest `LAST_UPDATED` counts, of equals the later one in the file. What it leaves open (a blank \
consent, a cell that cannot be read) is taken from the latest row that says something. Where two \
rows are equally late, or a `LAST_UPDATED` cannot be read, a row that withdraws consent counts \
more than one that gives it.

**Times** are read in the connection's time zone unless they end in `Z` or an offset. Of the hour \
that comes twice when daylight saving ends, the first is meant.

**Keys.** The customer's key is `PERIDX`. A connection whose retailer has another one, or another \
e-mail column, names it in its settings (`keyColumn`, `emailColumn`); that column is then read in \
place of `PERIDX` or `EMAIL`, as text. Names of other columns are mapped in `aliases`.

**What is wrong with a row.** A row without a usable value in a column that is *needed* is not \
loaded. Any other value that cannot be read is left out and the rest of the row is loaded. A text \
that is longer than the table says is loaded unchanged, with a warning. When more than {floor} \
rows and more than {limit:.0%} of them cannot be loaded, or none can, nothing of the file is. \
Nor is it when more than {limit:.0%} of the values of a column cannot be read, and at least {floor}.

**Spreadsheets.** Do not open an export in a spreadsheet and save it: long numbers are shortened \
(`1.2E+12`), leading zeros are lost and dates are turned round. A file whose dates show that is \
refused. In ids, codes, phone numbers, SKUs and postcodes, `1.23E+11`, `12345.0`, `####` and \
`#N/A` cannot be read: the row is not loaded where the column is *needed*, and the value is left \
out elsewhere. `="0800"` and `'0800` are read as `0800`, with a warning.

**Characters that are not shown** (zero-width spaces, byte order marks) are removed from keys, \
ids, codes and e-mail addresses, with a warning. In names and other text they stay.

**Numbers.** In a file whose cells are not separated by commas, `1,500` may be 1500 or 1.5: it \
cannot be read. `1,234.50` can."""


_LIMITS = Deployment()


def page() -> str:
    """Return the whole page, as Markdown."""
    sections = [
        _INTRODUCTION,
        _GENERAL.format(
            stamp=EXAMPLE_STAMP,
            narrow=NARROW,
            limit=_LIMITS.reject_limit,
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
            column.meaning,
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
        f"{type_.about} A file is named `{type_.name}_{EXAMPLE_STAMP}.csv`; its rows become "
        f"documents in `connections/{{connection}}/{type_.collection}`, each with the id that "
        f"stands in `{type_.key.name}`.",
        f"```csv\n{example_csv(type_)}```",
        _table(("column", "what", "format", "needed", "max length", "field"), rows),
    ]
    if defaults := [column for column in type_.columns if column.setting]:
        parts.append(
            "\n".join(
                f"A blank `{column.name}` takes the connection's setting `{column.setting}`, "
                "where there is one."
                for column in defaults
            )
        )
    return "\n\n".join(parts)


def _needed(column: Column, type_: FileType) -> str:
    if column.key:
        return "**yes**, the key"
    if column.required:
        return "**yes**"
    for group in type_.one_of:
        if column.name in group:
            others = ", ".join(f"`{name}`" for name in group if name != column.name)
            return f"**yes**, or {others}"
    if column.expected:
        return "expected"
    if column.falls_back_to:
        return f"no: else `{column.falls_back_to}`"
    return "no"


def _field(column: Column, type_: FileType) -> str:
    return f"{type_.items}[].{column.field}" if column.part == "item" else column.field


def _kinds_section() -> str:
    rows = (
        (
            kind.name,
            kind.form,
            ", ".join(f"`{cell}` → {_shown(value)}" for cell, value in kind.examples),
        )
        for kind in KINDS
    )
    return (
        "## Formats of cells\n\n"
        "A cell on the left becomes the value on the right. Times are shown for a connection in "
        "Australia/Sydney.\n\n" + _table(("format", "what is accepted", "examples"), rows)
    )


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        decimals = f".{value:%f}".rstrip("0") if value.microsecond else ""
        return f"{value:%Y-%m-%d %H:%M:%S}{decimals} UTC"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _sources_section() -> str:
    lines = []
    for source, words in SOURCES.items():
        names = [
            f"{type_.name} ({', '.join(f'`{column.name}`' for column in found)})"
            if len(found) < 3
            else f"{type_.name} ({len(found)} columns)"
            for type_ in all_types()
            if (found := [column for column in type_.own_columns if column.source == source])
        ]
        if names:
            lines.append(f"* {words}: {', '.join(names)}")
    return "## Where the columns are known from\n\n" + "\n".join(lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_line(head), "|" + "---|" * len(head), *(_line(row) for row in rows)]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
