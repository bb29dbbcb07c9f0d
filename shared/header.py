"""How the first line of a file is found, cut and held against the columns that are known."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.decoding import decode
from shared.errors import FileRejected, Problem
from shared.layout import REPORT_COLUMNS, Header, Layout
from shared.records import Dialect, Record
from shared.spreadsheet import unguard

HEADER_BYTES = 64 * 1024
"""Within how many bytes of the file the header must end."""
COLUMNS = 1_000
"""How many columns a file may have."""
DELIMITERS = ",;\t|"
"""The delimiters a file may have, the usual one first."""

_INVISIBLE = "\ufeff\u200b\u2060"
_DATA = re.compile(r"(?=[^0-9]*[0-9])[0-9 .,+:/TZ-]++|[^@\s]++@[^@\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderLine:
    """The header of a file, and what it says of the rows below it."""

    header: Header
    """The columns that are read: neither those without a name at its end nor a report's own."""
    delimiter: str
    encoding: str
    line: int
    """Its line in the file; more than 1 only where blank lines stand before it."""
    end: int
    """Where it ends in the bytes it was read from, its line end included."""
    unnamed: int
    """How many columns without a name, or of a report of refused rows, follow the others."""
    reported: bool
    """Whether these are the columns of a report of refused rows, which may hold anything."""
    warnings: tuple[Problem, ...]

    @property
    def width(self) -> int:
        """How many cells each row of the file must have."""
        return len(self.header.names) + self.unnamed


def read_header(head: bytes, layout: Layout, *, final: bool) -> HeaderLine:
    """Read the header in the first bytes of a file, byte order marks taken off.

    The delimiter is the one that makes the most columns known. `head` should be `HEADER_BYTES`
    long; `final` says that it is the whole file. Raises FileRejected with a code `header.…`, or
    `file.empty` when there are only blank lines, or `file.truncated`.
    """
    start = len(head) - len(head.lstrip(b"\r\n"))
    line = 1 + len(head[:start].splitlines())
    if start == len(head) and final:
        raise FileRejected(
            Problem(code="file.empty", message="The file holds nothing but blank lines.")
        )

    readings: list[tuple[int, int, str, Record, list[str], str]] = []
    for delimiter in DELIMITERS:
        record = Dialect(delimiter).cut(head, start, final=final)
        if record is None or record.end - start > HEADER_BYTES:
            continue
        names, encoding = _names(record, line)
        known = sum(name.upper() in layout.columns for name in names)
        readings.append((known, len(names), delimiter, record, names, encoding))
    # A quote that is never closed hides the columns behind it, unless the delimiter is another.
    endless = not any(known for known, *_ in readings) and len(readings) < len(DELIMITERS)
    if endless and final:
        raise FileRejected(
            Problem(
                code="file.truncated",
                message="The file ends inside a quoted cell of its header.",
                line=line,
            )
        )
    if endless:
        raise FileRejected(
            Problem(
                code="header.too_long",
                message=f"The header does not end within {HEADER_BYTES:,} bytes.",
                line=line,
            )
        )
    # max takes the first of equals: the usual delimiter.
    known, _, delimiter, record, names, encoding = max(readings, key=lambda r: r[:2])
    if len(names) > COLUMNS:
        raise FileRejected(
            Problem(
                code="header.too_many_columns",
                message=f"The header has {len(names):,} columns; {COLUMNS:,} are the most.",
                line=line,
            )
        )
    if not known:
        _refuse_unknown(names, layout, line)

    named = len(names)
    while named and not names[named - 1]:
        named -= 1
    unnamed = len(names) - named
    reported = not unnamed and tuple(names[-4:]) == REPORT_COLUMNS
    if reported:
        named, unnamed = named - 4, 4
        names = [unguard(name) for name in names]
    header = layout.header(names[:named])
    missing = _check(header, layout, line)
    warnings = [replace(problem, line=line) for problem in missing]
    if unnamed and not reported:
        warnings.append(
            Problem(
                code="header.trailing_delimiter",
                message=f"Columns without a name end the header, and are left out: {unnamed}.",
                line=line,
            )
        )
    return HeaderLine(
        header=header,
        delimiter=delimiter,
        encoding=encoding,
        line=line,
        end=record.end,
        unnamed=unnamed,
        reported=reported,
        warnings=tuple(warnings),
    )


def _names(record: Record, line: int) -> tuple[list[str], str]:
    """Decode and trim the cells of a header; also returns the encoding."""
    whole = b"\n".join(record.cells)
    decoded = None if b"\0" in whole else decode(whole)
    if decoded is None:
        raise FileRejected(
            Problem(
                code="header.unreadable",
                message="The header holds bytes that are neither UTF-8 nor Windows-1252 text.",
                line=line,
            )
        )
    encoding = decoded[1]
    names = (cell.decode(encoding) for cell in record.cells)
    # The last is a byte order mark that was read as Windows-1252 and written as UTF-8.
    return [name.strip().strip(_INVISIBLE).removeprefix("ï»¿").strip() for name in names], encoding


def _refuse_unknown(names: Sequence[str], layout: Layout, line: int) -> None:
    """Say what is wrong with a header without a single known column."""
    text = " ".join(names).upper()
    if len(names) == 1 and sum(spelling in text for spelling in layout.columns) > 1:
        raise FileRejected(
            Problem(
                code="header.wrong_delimiter",
                message=(
                    "The whole header is one cell: columns must be separated by a comma, a "
                    "semicolon, a tab or a |, and not be quoted together."
                ),
                line=line,
            )
        )
    if any(_DATA.fullmatch(name) for name in names):
        raise FileRejected(
            Problem(
                code="header.missing",
                message="The first line looks like a row of data; it must name the columns.",
                line=line,
            )
        )


def _check(header: Header, layout: Layout, line: int) -> list[Problem]:
    """Refuse a header that cannot be used; returns warnings for columns that should be there."""
    present = set(header.canonical)
    lacking = [group for group in layout.required if not present.intersection(group)]
    if lacking or not len(header.names) > len(header.unknown):
        wanted = [" or ".join(_spelling(name, layout) for name in group) for group in lacking]
        near = [hint for group in lacking for name in group for hint in _near(name, header, layout)]
        what = "No column is known."
        if wanted:
            plural = len(wanted) > 1
            what = f"The column{'s' if plural else ''} {', '.join(wanted)} "
            what += f"{'are' if plural else 'is'} missing."
        raise FileRejected(
            Problem(
                code="header.missing_column",
                message=" ".join([what, *near]),
                line=line,
                column=wanted[0] if len(wanted) == 1 else None,
            )
        )

    for place, name in enumerate(header.names, 1):
        if not name:
            raise FileRejected(
                Problem(
                    code="header.blank_column",
                    message=f"Column {place} of {len(header.names)} has no name.",
                    line=line,
                )
            )
    for canonical, count in Counter(header.canonical).items():
        if count > 1:
            same = [
                f"{_shown(own)} (column {place})"
                for place, own in enumerate(header.names, 1)
                if header.canonical[place - 1] == canonical
            ]
            raise FileRejected(
                Problem(
                    code="header.duplicate_column",
                    message=f"{' and '.join(same)} are the same column.",
                    line=line,
                    column=_shown(header.names[header.canonical.index(canonical)]),
                )
            )

    return [
        Problem(
            code="header.missing_recommended",
            message=" ".join(
                [f"The column {_spelling(name, layout)} is missing.", *_near(name, header, layout)]
            ),
            column=_spelling(name, layout),
        )
        for name in layout.expected
        if name not in present
    ]


def _spelling(canonical: str, layout: Layout) -> str:
    """The name by which a file of this connection should call a column."""
    if layout.columns.get(canonical) == canonical:
        return canonical
    spellings = (own for own, name in layout.columns.items() if name == canonical)
    return next(spellings, canonical)


def _near(canonical: str, header: Header, layout: Layout) -> list[str]:
    """Say which of the unknown columns may be the one that is missing."""
    unknown = {name.upper(): name for name in header.unknown if name}
    spellings = [own for own, name in layout.columns.items() if name == canonical]
    hints = (
        match
        for own in spellings
        for match in difflib.get_close_matches(own, unknown, n=1, cutoff=0.75)
    )
    found = next(hints, None)
    if found is None:
        return []
    return [f"Is {_shown(unknown[found])} meant to be {_spelling(canonical, layout)}?"]


def _shown(name: str) -> str:
    """A column's name as it may stand in a sentence."""
    plain = "".join(c if c.isprintable() else " " for c in name)
    return plain if len(plain) <= 60 else f"{plain[:59]}…"
