"""What a retailer gets back: the rows that were not loaded, and a verdict on the file."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import google.cloud.storage as storage

from shared.core import Problem, TryAgain, printable_json
from shared.files import REPORT_COLUMNS, guard, guard_all
from shared.gcp.storage import (
    Gone,
    ObjectWriter,
    copy_object,
    delete_current,
    list_objects,
    write_object,
)
from shared.ledger import ENDED, Import
from shared.reporting.summary import summary_name, summary_text

_CHUNK_BYTES = 1024 * 1024


class RejectedFile:
    """Writes `….rejected.csv`: the bad rows as they were, each with line, column, code, reason and
    the import id of its export.

    The object appears when it is published, and only if a row was added; until then the rows are
    in another one beside it. UTF-8 with a byte order mark, so that spreadsheets read it right; the
    delimiter is that of the file itself. Cells that a spreadsheet would run are guarded
    (`shared.files.spreadsheet`), and read back without the guard.
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
        self._text: io.StringIO = io.StringIO()
        self._csv: Any = None

    def add(self, cells: Sequence[str], problems: Sequence[Problem], *, export: str) -> None:
        """Write one row with what is wrong with it.

        A row with too few cells is filled up with empty ones; the cells that are too many are
        joined to the last one, so that the report's columns stand under their names.
        """
        if self._part is None:
            self._part = self._open()
        width = len(self._header)
        if len(cells) != width:
            cells = self._fitted(cells, width)
        self._csv.writerow([*guard_all(cells), *_said(problems), guard(export)])
        self.rows += 1
        if self._text.tell() >= _CHUNK_BYTES:
            self._flush(self._part)

    def _fitted(self, cells: Sequence[str], width: int) -> Sequence[str]:
        if len(cells) > width:
            return [*cells[: width - 1], self._delimiter.join(cells[width - 1 :])]
        return [*cells, *[""] * (width - len(cells))]

    def close(self) -> None:
        """Finish the rows; nothing can be added any more.

        Raises:
            TryAgain: Cloud Storage could not be reached.
        """
        if self._part is None:
            return
        self._flush(self._part)
        self._generation = int(self._part.finish().generation)

    def publish(self) -> str | None:
        """Put the finished rows where they belong and return that name; None where there are none.

        A worker that closes its own rows, or deletes these, keeps this one from publishing them.

        Raises:
            TryAgain: Cloud Storage could not be reached, or another worker has interfered.
        """
        if self._part is None:
            return None
        copy_object(self._bucket, part_name(self.name), self._generation, to=self.name)
        self._remove_part()
        return self.name

    def abandon(self) -> None:
        """Leave nothing behind, as far as that can be had."""
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
        self._text.write("\ufeff")
        self._csv = csv.writer(self._text, delimiter=self._delimiter, lineterminator="\r\n")
        self._csv.writerow([*guard_all(self._header), *REPORT_COLUMNS])
        return part

    def _flush(self, part: ObjectWriter) -> None:
        part.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()


def _said(problems: Sequence[Problem]) -> tuple[str, str, str, str]:
    """Return what the first of REPORT_COLUMNS hold of a row."""
    if len(problems) == 1:  # as nearly always
        (problem,) = problems
        line = "" if problem.line is None else str(problem.line)
        return line, problem.column or "", problem.code, problem.message
    return (
        "; ".join(sorted({str(problem.line) for problem in problems if problem.line is not None})),
        "; ".join(problem.column for problem in problems if problem.column),
        "; ".join(problem.code for problem in problems),
        " ".join(problem.message for problem in problems),
    )


def write_report(
    bucket: storage.Bucket,
    import_: Import,
    *,
    problems: Sequence[Problem],
    counts: Counter[str] | None = None,
    replacing: Mapping[str, int] | None = None,
    send_as: str | None = None,
) -> None:
    """Write `….report.json`, the verdict on a file, where the import's `reports.report` says.

    docs/report.schema.json describes it. `….summary.txt` beside it says the same in plain words,
    for someone at an SFTP prompt. With `replacing`, what `reports_now` returned, both take the
    places of those generations and of no others. `send_as` is a name for the corrected rows.

    Raises:
        TryAgain: Cloud Storage could not be reached, or another report has come in between.
    """
    name = import_.reports.report
    if name is None or import_.status not in ENDED:
        raise ValueError("a report needs an import that has ended and a name")
    counts = Counter(problem.code for problem in problems) if counts is None else counts
    rows = import_.rows
    report = {
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
        "status": import_.status,
        "statusText": import_.status_text,
        "rows": {
            "read": rows.read,
            "loaded": rows.loaded,
            "unchanged": rows.unchanged,
            "outdated": rows.outdated,
            "rejected": rows.rejected,
            "orphaned": rows.orphaned,
        },
        "error": import_.error.to_document() if import_.error else None,
        "rejectedFile": import_.reports.rejected,
        "problemCounts": dict(sorted(counts.items())),
        "problemsListed": len(problems),
        "problemsTotal": sum(counts.values()),
    }
    summary = summary_text(import_, problems=problems, total=sum(counts.values()), send_as=send_as)
    listed = printable_json([*map(Problem.to_document, problems)])
    head = printable_json(report, indent=2).removesuffix("\n}")
    verdict = f'{head},\n  "problems": {a_line_each(listed)}\n}}\n'
    for place, text, content_type in (
        (summary_name(name), summary, "text/plain"),
        (name, verdict, "application/json"),
    ):
        generation = None if replacing is None else replacing.get(place, 0)
        write_object(
            bucket,
            place,
            text.encode(),
            content_type=f"{content_type}; charset=utf-8",
            replacing=generation,
        )


def a_line_each(problems: str) -> str:
    """Return an array of problems, as JSON on one line, with a line for each.

    That is easier to look through, and the quick encoder knows no indents.
    """
    if problems == "[]":
        return problems
    # No text can look like this: inside it a quote has a backslash before it, and behind the one
    # at its end comes no letter.
    lines = problems[1:-1].replace('}, {"code": ', '},\n    {"code": ')
    return f"[\n    {lines}\n  ]"


def part_name(name: str) -> str:
    """Return the name of the object that holds a rejected file until it is published."""
    return f"{name}.part"


def reports_now(bucket: storage.Bucket, name: str) -> dict[str, int]:
    """Return name -> generation of the reports on a file; `name` is that of its report.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    found = list_objects(bucket, name.removesuffix("report.json"))
    return {blob.name: int(blob.generation) for blob in found}


def delete_report(bucket: storage.Bucket, name: str, *, generation: int) -> None:
    """Remove a report that an earlier upload of the same name may have left.

    Raises:
        TryAgain: Cloud Storage could not be reached, or another report has come in between.
    """
    if generation == 0:
        return
    with suppress(Gone):
        delete_current(bucket, name, generation)
