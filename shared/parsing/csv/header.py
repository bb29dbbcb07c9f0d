"""Search for the header of a file, its cells, and its comparison with the known columns."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.core import FileRejected, Problem, column_name, looks_like_data
from shared.files import EXPORT, REPORT_COLUMNS, Header, Layout, report_columns, unguard
from shared.parsing.csv.dialect import INVISIBLE, Record, dialect_of
from shared.parsing.csv.text import UNREADABLE, UTF_8, WINDOWS_1252, text_of

HEADER_BYTES = 64 * 1024
"""Bytes of the file within which the header must end."""
COLUMNS = 1_000
"""Columns of a file at most."""
DELIMITERS = ",;\t|"
"""Delimiters that a file may have, the usual one first."""

_NOTHING = re.compile(rb"(?:[ ,;|\t\x1a]*+[\r\n])*+")
"""Lines of blanks and delimiters before the header."""
_SHOWN = 30
"""Columns that are named if one is missing."""
_TITLE_LINES = 20
"""Lines at the beginning of a file in which the header is searched for, to name its line."""
_DATA = re.compile(r"(?=[^0-9]*[0-9])[0-9 .,+:/TZ-]++|[^@\s]++@[^@\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderLine:
    """The header of a file, and the form of the rows below it."""

    header: Header
    """Columns that are read, without columns at the end that have no name or belong to a report."""
    delimiter: str
    encoding: str
    line: int
    """Line in the file; more than 1 only if there are blank lines before it."""
    end: int
    """Place after the header, its line end included, in the bytes it was read from."""
    next_line: int
    """Line after the header."""
    unnamed: int
    """Number of columns after the others, without a name or of a report of rejected rows."""
    report: tuple[str, ...]
    """Columns of a report of rejected rows, the first columns after the others. They may hold any
    text."""
    warnings: tuple[Problem, ...]

    @property
    def reported(self) -> bool:
        """True for a report of rejected rows that was sent again."""
        return bool(self.report)

    @property
    def export(self) -> int | None:
        """Place of the cell that names the export of a row, from 0; None if there is none."""
        return len(self.header.names) + self.report.index(EXPORT) if EXPORT in self.report else None

    @property
    def width(self) -> int:
        """Number of cells that each row of the file must have."""
        return len(self.header.names) + self.unnamed


def read_header(head: bytes, layout: Layout, *, final: bool) -> HeaderLine:
    """Read the header in the first bytes of a file, without byte order marks.

    The delimiter with the most known columns is chosen. `head` should be `HEADER_BYTES` long;
    `final` is True if it is the whole file. Raises FileRejected with a code `header.…`, or
    `file.empty` if there are only blank lines, or `file.truncated`.
    """
    skipped = _NOTHING.match(head)
    start = skipped.end() if skipped else 0
    line = 1 + len(head[:start].splitlines())
    if start == len(head) and final:
        raise FileRejected(
            Problem(code="file.empty", message="The file holds nothing but blank lines.")
        )

    best = _best(head, start, layout, line, final=final)
    record, names = best.record, best.names
    if best.known < _least(layout):
        _refuse_title_lines(head, record.end, layout, best, final=final)
    _refuse_damaged(head, start, best, line, final=final)
    if not best.known:
        _refuse_unknown(names, layout, line)

    named = len(names)
    while named and not names[named - 1]:
        named -= 1
    unnamed = len(names) - named
    report = report_columns(names[:named])
    if report:
        named, unnamed = named - len(report), unnamed + len(report)
        names = [unguard(name) for name in names]
    if EXPORT in names[:named]:
        raise _refusal(
            "header.report_moved",
            f"The column {EXPORT} of a report of rejected rows is not where it was: "
            f"{', '.join(REPORT_COLUMNS)} come last, in this order.",
            line,
            column=EXPORT,
        )
    header = layout.header(names[:named])
    missing = _check(header, layout, line)
    warnings = [replace(problem, line=line) for problem in missing]
    if unnamed and not report:
        warnings.append(
            Problem(
                code="header.trailing_delimiter",
                message=f"Columns without a name end the header, and are left out: {unnamed}.",
                line=line,
            )
        )
    return HeaderLine(
        header=header,
        delimiter=best.delimiter,
        encoding=best.encoding,
        line=line,
        end=record.end,
        next_line=line + _line_ends(head[start : record.end]),
        unnamed=unnamed,
        report=report,
        warnings=tuple(warnings),
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """One line, read as a header with one delimiter."""

    known: int
    """Number of known names."""
    delimiter: str
    record: Record
    names: list[str]
    encoding: str


def _best(head: bytes, start: int, layout: Layout, line: int, *, final: bool) -> _Reading:
    """Read the header with each delimiter; return the reading with the most known columns.

    Raises:
        FileRejected: `file.truncated` or `header.too_long`.
    """
    readings = _readings(head, start, layout, final=final)
    # A quote that is never closed hides the columns after it, unless the delimiter is another.
    endless = not any(one.known for one in readings) and len(readings) < len(DELIMITERS)
    if endless and final:
        raise _refusal("file.truncated", "The file ends inside a quoted cell of its header.", line)
    if endless:
        raise _refusal(
            "header.too_long", f"The header does not end within {HEADER_BYTES:,} bytes.", line
        )
    # max takes the first of equals: the usual delimiter.
    return max(readings, key=lambda one: (one.known, len(one.names)))


def _readings(head: bytes, start: int, layout: Layout, *, final: bool) -> list[_Reading]:
    """Read the line that begins at `start` with each delimiter with which it ends."""
    readings: list[_Reading] = []
    for delimiter in DELIMITERS:
        record = dialect_of(delimiter).cut(head, start, final=final)
        if record is None or record.end - start > HEADER_BYTES:
            continue
        texts = [text_of(cell) for cell in record.cells or (b"",)]
        names = [_trimmed(text) for text, _ in texts]
        known = sum(name.upper() in layout.columns for name in names)
        encoding = UTF_8 if all(one == UTF_8 for _, one in texts) else WINDOWS_1252
        readings.append(_Reading(known, delimiter, record, names, encoding))
    return readings


def _refusal(code: str, message: str, line: int, *, column: str | None = None) -> FileRejected:
    """Return the error about a header that cannot be used."""
    return FileRejected(Problem(code=code, message=message, line=line, column=column))


def _trimmed(name: str) -> str:
    # The last is a byte order mark that was read as Windows-1252 and written as UTF-8.
    return name.strip().strip(INVISIBLE).removeprefix("ï»¿").strip()


def _refuse_damaged(head: bytes, start: int, best: _Reading, line: int, *, final: bool) -> None:
    """Refuse a header with unreadable bytes, bad quotes, or too many columns.

    Raises:
        FileRejected: `header.unreadable`, `header.bad_quotes` or `header.too_many_columns`.
    """
    names = best.names
    if any(UNREADABLE in name or "\0" in name for name in names):
        raise _refusal(
            "header.unreadable",
            "The header holds bytes that are neither UTF-8 nor Windows-1252 text.",
            line,
        )
    again = dialect_of(best.delimiter, len(names)).cut(head, start, final=final)
    if again is None or again.broken:
        raise _refusal(
            "header.bad_quotes",
            "A quote in the header is not closed, or a quote inside a name is not doubled.",
            line,
        )
    if len(names) > COLUMNS:
        raise _refusal(
            "header.too_many_columns",
            f"The header has {len(names):,} columns; {COLUMNS:,} are the most.",
            line,
        )


def _line_ends(data: bytes) -> int:
    return len(data.splitlines())


def _least(layout: Layout) -> int:
    """Return the least number of known names in a header."""
    return max(1, len(layout.required))


def _refuse_title_lines(
    head: bytes, end: int, layout: Layout, first: _Reading, *, final: bool
) -> None:
    """Refuse a first line that is no header if a line below it looks like one.

    Raises:
        FileRejected: `header.not_first`.
    """
    for _ in range(_TITLE_LINES):
        readings = _readings(head, end, layout, final=final) if end < len(head) else []
        if not readings:
            return
        line = 1 + _line_ends(head[:end])
        best = max(readings, key=lambda one: (one.known, len(one.names)))
        end = best.record.end
        if best.known > max(1, first.known) and best.known >= _least(layout):
            raise _refusal(
                "header.not_first",
                f"Line {line} looks like the header: it names {best.known} known "
                f"columns, but {_above(first.names[0])} before it.",
                line,
            )


def _above(name: str) -> str:
    """Return words for the lines before a header."""
    return "the line sep= is" if name.lower().startswith("sep=") else "other lines are"


def _refuse_unknown(names: Sequence[str], layout: Layout, line: int) -> None:
    """Refuse a header without a known column, if the cause can be named.

    Raises:
        FileRejected: `header.wrong_delimiter` or `header.missing`.
    """
    text = " ".join(names).upper()
    if len(names) == 1 and sum(spelling in text for spelling in layout.columns) > 1:
        raise _refusal(
            "header.wrong_delimiter",
            "The whole header is one cell: columns must be separated by a comma, a "
            "semicolon, a tab or a |, and not be quoted together.",
            line,
        )
    if any(_DATA.fullmatch(name) for name in names):
        raise _refusal(
            "header.missing",
            "The first line looks like a row of data; it must name the columns.",
            line,
        )


def _check(header: Header, layout: Layout, line: int) -> list[Problem]:
    """Refuse a header that cannot be used; return warnings for missing recommended columns."""
    present = set(header.canonical)
    lacking = [group for group in layout.required if not present.intersection(group)]
    if lacking or not len(header.names) > len(header.unknown):
        wanted = [" or ".join(_spelling(name, layout) for name in group) for group in lacking]
        near = [hint for group in lacking for name in group for hint in _near(name, header, layout)]
        what = f"No column is known: {len(header.names)} were found."
        if wanted:
            plural = len(wanted) > 1
            what = f"The column{'s' if plural else ''} {', '.join(wanted)} "
            what += f"{'are' if plural else 'is'} missing."
        if len(header.names) > len(header.unknown):  # else this may be a row of data
            near.append(_found(header))
        raise _refusal(
            "header.missing_column",
            " ".join([what, *near]),
            line,
            column=wanted[0] if len(wanted) == 1 else None,
        )

    known = present.difference(header.unknown)
    if layout.key is not None and known == {layout.key} and header.unknown:
        raise _refusal(
            "header.only_key",
            f"Only the key {_spelling(layout.key, layout)} is known of the columns. "
            + _found(header),
            line,
        )

    for place, name in enumerate(header.names, 1):
        if not name:
            raise _refusal(
                "header.blank_column", f"Column {place} of {len(header.names)} has no name.", line
            )
    for canonical, count in Counter(header.canonical).items():
        if count > 1:
            same = [
                f"{column_name(own)} (column {place})"
                for place, own in enumerate(header.names, 1)
                if header.canonical[place - 1] == canonical
            ]
            raise _refusal(
                "header.duplicate_column",
                f"{' and '.join(same)} are the same column.",
                line,
                column=column_name(header.names[header.canonical.index(canonical)]),
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
    """Return the name that a file of this connection should use for a column."""
    if layout.columns.get(canonical) == canonical:
        return canonical
    spellings = (own for own, name in layout.columns.items() if name == canonical)
    return next(spellings, canonical)


def _near(canonical: str, header: Header, layout: Layout) -> list[str]:
    """Return a hint with the unknown column that may be the missing one; empty if there is none."""
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
    return [f"Is {column_name(unknown[found])} meant to be {_spelling(canonical, layout)}?"]


def _found(header: Header) -> str:
    """Return the names of a header's columns; of a possible row of data, only the known names."""
    names = [name for name in header.names if name]
    if any(map(looks_like_data, header.unknown)):
        names = [name for name in names if name not in header.unknown]
    shown = [column_name(name) for name in names[:_SHOWN]]
    left = sum(map(bool, header.names)) - len(shown)
    more = f" and {left:,} more" if left else ""
    return f"Found: {', '.join(shown)}{more}."
