"""The first rows of a rejected file, read from its beginning and no further."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import google.cloud.storage as storage

from shared.core import CODES
from shared.files import report_columns, unguard
from shared.files.types import FileType
from shared.gcp.storage import Gone, read_object
from shared.status.masking import shown

ROWS_SHOWN = 10
BYTES_READ = 256 * 1024
"""How much of a rejected file is read to find the first rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """One row that was not loaded."""

    line: str
    """Where it stands in the file that was uploaded."""
    codes: tuple[str, ...]
    reason: str
    fix: str
    """What to do about it."""
    cells: tuple[tuple[str, str, bool], ...]
    """Column, value as it may be shown, and whether the column is one of those at fault."""


def first_rows(
    bucket: storage.Bucket, name: str, type_: FileType | None, *, reveal: bool
) -> list[RejectedRow] | None:
    """Return the first rows of a rejected file; None where it is no longer kept.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    try:
        data = read_object(bucket, name, end=BYTES_READ - 1)
    except Gone:
        return None
    return read_rows(data, type_, whole=len(data) < BYTES_READ, reveal=reveal)


def read_rows(
    data: bytes, type_: FileType | None, *, whole: bool, reveal: bool
) -> list[RejectedRow]:
    """Read the first rows from the beginning of a rejected file.

    A row that the end of `data` has cut off is left out unless that is the end of the file. The
    type says which cells may be shown.
    """
    text = data.decode("utf-8-sig", "replace")
    first = text.partition("\n")[0].rstrip("\r")
    delimiter = _delimiter(first)
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    try:
        for record in records:
            rows.append(record)
            if len(rows) > ROWS_SHOWN + 1:
                break
    except csv.Error:
        whole = False
    if not whole and len(rows) <= ROWS_SHOWN + 1:
        rows = rows[:-1]
    if not rows:
        return []
    header = rows[0]
    return [_row(header, row, type_, reveal=reveal) for row in rows[1 : ROWS_SHOWN + 1]]


def _delimiter(header: str) -> str:
    """Find what stands between the report's own columns, which are the last ones."""
    before = re.search(r'([,;\t|])"?[a-z]+"?\s*$', header)
    return before[1] if before else ","


def _row(
    header: Sequence[str], cells: Sequence[str], type_: FileType | None, *, reveal: bool
) -> RejectedRow:
    columns = report_columns(header)
    own = len(header) - len(columns)
    report = dict(zip(columns, cells[own:], strict=False))
    at_fault = set(_parts(report.get("column", "")))
    codes = tuple(dict.fromkeys(_parts(report.get("code", ""))))
    return RejectedRow(
        line=report.get("line", ""),
        codes=codes,
        reason=report.get("reason", ""),
        fix=" ".join(CODES[code].fix for code in codes if code in CODES),
        cells=tuple(
            (column, shown(type_, column, unguard(cell), reveal=reveal), column in at_fault)
            for column, cell in zip(map(unguard, header[:own]), cells[:own], strict=False)
        ),
    )


def _parts(text: str) -> Iterable[str]:
    return (part.strip() for part in text.split(";") if part.strip())
