"""Reports for the retailer: the rejected rows, and the verdict on the file."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import tzinfo
from typing import Any, NamedTuple

import google.cloud.storage as storage

from shared.core import Problem, TryAgain, printable_json, to_fields
from shared.files import REPORT_COLUMNS, guard, guard_all
from shared.gcp.storage import (
    Gone,
    ObjectWriter,
    delete_current,
    list_objects,
    move_object,
    write_object,
)
from shared.ledger import ENDED, Import
from shared.reporting.groups import Group
from shared.reporting.summary import summary_name, summary_text

_CHUNK_BYTES = 1024 * 1024


class RejectedFile:
    """Writes `….rejected.csv`: the bad rows, each with line, column, code, reason and export.

    The object appears when it is published, and only if a row was added. Until then the rows are in
    `….rejected.csv.part`. The file is UTF-8 with a byte order mark, so that spreadsheets read it
    right. Its delimiter is that of the export file. Cells that a spreadsheet would run as a formula
    are guarded (`shared.files.spreadsheet`); the guard is removed when the file is loaded.

    Example of the added cells: `4;DOB;row.bad_date;"…";customers_20230424T201230Z`.
    """

    def __init__(
        self, bucket: storage.Bucket, name: str, *, header: Sequence[str], delimiter: str
    ) -> None:
        self.name = name
        self.rows = 0
        self._bucket = bucket
        self._generation = 0
        self._header = list(header)
        self._delimiter = delimiter
        self._part: ObjectWriter | None = None
        self._lines: list[str] = []
        self._characters = 0

    def add(self, cells: Sequence[str], problems: Sequence[Problem], *, export: str) -> None:
        """Write one row with its problems and the import id of its export.

        Missing cells are added as empty ones. Surplus cells are joined to the last cell, so that
        the report's columns are below their names.
        """
        if self._part is None:
            self._part = self._open()
        width = len(self._header)
        if len(cells) != width:
            cells = self._fitted(cells, width)
        self._write(guard_all(cells), (*_said(problems), guard(export)))
        self.rows += 1
        if self._characters >= _CHUNK_BYTES:
            self._flush(self._part)

    def _fitted(self, cells: Sequence[str], width: int) -> Sequence[str]:
        if len(cells) > width:
            return [*cells[: width - 1], self._delimiter.join(cells[width - 1 :])]
        return [*cells, *[""] * (width - len(cells))]

    def close(self) -> None:
        """Finish the upload of the rows; no row can be added afterwards.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        if self._part is None:
            return
        self._flush(self._part)
        self._generation = int(self._part.finish().generation)

    def publish(self) -> str | None:
        """Move the finished rows to the report's name and return it; None if there are no rows.

        Raises:
            TryAgain: Cloud Storage could not be reached, or another worker has closed its rows or
                deleted these.
        """
        if self._part is None:
            return None
        part = part_name(self.name)
        move_object(self._bucket, part, self._generation, to=self.name, replacing=None)
        self._generation = 0
        return self.name

    def abandon(self) -> None:
        """Delete the unpublished rows, if Cloud Storage can be reached."""
        if self._part is not None:
            self._part.abandon()
        with suppress(TryAgain):
            self._remove_part()

    def _remove_part(self) -> None:
        generation, self._generation = self._generation, 0
        delete_report(self._bucket, part_name(self.name), generation=generation)

    def _open(self) -> ObjectWriter:
        part = ObjectWriter(
            self._bucket,
            part_name(self.name),
            chunk=_CHUNK_BYTES,
            content_type="text/csv; charset=utf-8",
        )
        part.write(codecs.BOM_UTF8)
        self._write(guard_all(self._header), REPORT_COLUMNS)
        return part

    def _write(self, cells: Sequence[str], added: Sequence[str]) -> None:
        """Add a line with the cells of a row and those that the report adds."""
        delimiter = self._delimiter
        line = f"{csv_line(cells, delimiter)}{delimiter}{csv_line(added, delimiter)}\r\n"
        self._lines.append(line)
        self._characters += len(line)

    def _flush(self, part: ObjectWriter) -> None:
        part.write("".join(self._lines).encode())
        self._lines.clear()
        self._characters = 0


def csv_line(cells: Sequence[str], delimiter: str) -> str:
    """Return cells as a line of a CSV file, without its end; quotes are where they must be.

    The csv module looks at each character, while most cells need no quotes.
    """
    line = delimiter.join(cells)
    if line.count(delimiter) == len(cells) - 1 and not _has_quoted(line):
        return line
    return delimiter.join(
        [
            '"' + cell.replace('"', '""') + '"' if delimiter in cell or _has_quoted(cell) else cell
            for cell in cells
        ]
    )


def _has_quoted(text: str) -> bool:
    """Return True if a text has a character, besides the delimiter, that is written in quotes."""
    return '"' in text or "\r" in text or "\n" in text


def _said(problems: Sequence[Problem]) -> tuple[str, str, str, str]:
    """Return the cells line, column, code and reason of a row."""
    if len(problems) == 1:  # the usual case
        (problem,) = problems
        line = "" if problem.line is None else str(problem.line)
        return line, problem.column or "", problem.code, problem.message
    return (
        "; ".join(sorted({str(problem.line) for problem in problems if problem.line is not None})),
        "; ".join(problem.column for problem in problems if problem.column),
        "; ".join(problem.code for problem in problems),
        " ".join(problem.message for problem in problems),
    )


class ReportObject(NamedTuple):
    """An object of a report."""

    name: str
    content: bytes
    content_type: str


def report_of(
    import_: Import,
    *,
    problems: Sequence[Problem],
    zone: tzinfo,
    groups: Sequence[Group],
    send_as: str | None = None,
) -> tuple[ReportObject, ReportObject]:
    """Return `….summary.txt`, the verdict on a file for people, and `….report.json`, all of it.

    docs/report.schema.json describes the report. Its name is the import's `reports.report`.

    Args:
        import_: the import, which has ended.
        problems: the problems to list.
        zone: the time zone of the connection.
        groups: all problems by kind.
        send_as: a name for the file of corrected rows.

    Raises:
        ValueError: the import has not ended, or has no name for the report.
    """
    name = import_.reports.report
    if name is None or import_.status not in ENDED:
        raise ValueError("a report needs an import that has ended and a name")
    report = _document(import_, problems, groups, zone)
    summary = summary_text(import_, groups=groups, zone=zone, send_as=send_as)
    head = printable_json(report, indent=2).removesuffix("\n}")
    verdict = f'{head},\n  "problems": {a_line_each(problems)}\n}}\n'
    return (
        ReportObject(summary_name(name), summary.encode(), "text/plain; charset=utf-8"),
        ReportObject(name, verdict.encode(), "application/json; charset=utf-8"),
    )


def write_report(
    bucket: storage.Bucket,
    report: Iterable[ReportObject],
    *,
    replacing: Mapping[str, int] | None = None,
) -> None:
    """Write the objects of a report.

    Args:
        bucket: the bucket.
        report: the objects, as `report_of` returns them.
        replacing: the generations to replace, as `reports_now` returned them; None: any.

    Raises:
        TryAgain: Cloud Storage could not be reached, or another report was written in between.
    """
    for name, content, content_type in report:
        generation = None if replacing is None else replacing.get(name, 0)
        write_object(bucket, name, content, content_type=content_type, replacing=generation)


def _document(
    import_: Import, problems: Sequence[Problem], groups: Sequence[Group], zone: tzinfo
) -> dict[str, Any]:
    """Return the report without its list of problems."""
    counts: Counter[str] = Counter()
    for group in groups:
        counts[group.code] += group.count
    return {
        "file": import_.file,
        "object": import_.object,
        "connection": import_.connection,
        "import": import_.import_id,
        "generation": str(import_.generation),
        "type": import_.type,
        "mode": import_.mode,
        "exportedAt": import_.exported_at and import_.exported_at.isoformat(),
        "uploadedAt": import_.uploaded_at.isoformat(),
        "finishedAt": import_.finished_at and import_.finished_at.isoformat(),
        "timeZone": str(zone),
        "status": import_.status,
        "statusText": import_.status_text,
        "rows": to_fields(import_.rows),
        "error": import_.error.to_document() if import_.error else None,
        "rejectedFile": import_.reports.rejected,
        "problemCounts": dict(sorted(counts.items())),
        "problemsListed": len(problems),
        "problemsTotal": sum(counts.values()),
        "groups": [group.to_document() for group in groups],
    }


def a_line_each(problems: Iterable[Problem]) -> str:
    """Return a JSON array of problems with one line per problem, as people like to read it."""
    known: dict[tuple[object, ...], str] = {}  # most problems differ in their rows only
    lines = []
    for one in problems:
        kind = (one.code, one.message, one.severity, one.column)
        begin = known.get(kind)
        if begin is None:
            begin = known[kind] = printable_json(replace(one, line=None, row=None).to_document())
        line = "" if one.line is None else f', "line": {one.line}'
        row = "" if one.row is None else f', "row": {one.row}'
        lines.append(f"    {begin[:-1]}{line}{row}}}")
    return "[\n" + ",\n".join(lines) + "\n  ]" if lines else "[]"


def part_name(name: str) -> str:
    """Return the object name of a rejected file before it is published: `….rejected.csv.part`."""
    return f"{name}.part"


def reports_now(bucket: storage.Bucket, name: str, *, rejected: bool = False) -> dict[str, int]:
    """Return name -> generation of the reports on a file; `name` is that of its `….report.json`.

    With `rejected`, return the objects of its rejected rows.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    prefix = name.removesuffix("report.json")
    if rejected:
        prefix = f"rejected/{prefix.removeprefix('reports/')}"
    return {blob.name: int(blob.generation) for blob in list_objects(bucket, prefix)}


def delete_report(bucket: storage.Bucket, name: str, *, generation: int) -> None:
    """Delete one generation of a report, if it exists; 0 means that there is none.

    Raises:
        TryAgain: Cloud Storage could not be reached, or another report was written in between.
    """
    if generation == 0:
        return
    with suppress(Gone):
        delete_current(bucket, name, generation)
