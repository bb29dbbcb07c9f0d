"""The first rows of a rejected file, for an import's page."""

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
"""Bytes of a rejected file that are read for its first rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """One rejected row."""

    line: str
    """Line of the row in the uploaded file."""
    codes: tuple[str, ...]
    reason: str
    fix: str
    """Fixes of all codes, as sentences."""
    cells: tuple[tuple[str, str, bool], ...]
    """Column, value (masked if needed), and True if the column has an error."""


def first_rows(
    bucket: storage.Bucket, name: str, type_: FileType | None, *, reveal: bool
) -> list[RejectedRow] | None:
    """Return the first rows of a rejected file; None if the file was deleted.

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
    """Return the first rows of a rejected file, at most `ROWS_SHOWN`.

    `data` is the beginning of the file, or all of it (`whole`). A row that is cut off at the end of
    `data` is left out. The type says which cells may be shown.
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
    """Return the delimiter before the last column name of a header; a comma if there is none."""
    before = re.search(r'([,;\t|])"?[a-z]+"?\s*$', header)
    return before[1] if before else ","


def _row(
    header: Sequence[str], cells: Sequence[str], type_: FileType | None, *, reveal: bool
) -> RejectedRow:
    columns = report_columns(header)
    width = len(header) - len(columns)
    report = dict(zip(columns, cells[width:], strict=False))
    at_fault = set(_parts(report.get("column", "")))
    codes = tuple(dict.fromkeys(_parts(report.get("code", ""))))
    return RejectedRow(
        line=report.get("line", ""),
        codes=codes,
        reason=report.get("reason", ""),
        fix=" ".join(CODES[code].fix for code in codes if code in CODES),
        cells=tuple(
            (column, shown(type_, column, unguard(cell), reveal=reveal), column in at_fault)
            for column, cell in zip(map(unguard, header[:width]), cells[:width], strict=False)
        ),
    )


def _parts(text: str) -> Iterable[str]:
    return (part.strip() for part in text.split(";") if part.strip())
