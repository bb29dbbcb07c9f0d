"""Findings of the check about one file, before they are put into words."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from shared.core import ConnectionSettings, Deployment, FileRejected, Problem
from shared.files import TYPES, Arrival, ExportFile, Exports, Ignored, Misnamed, read_name
from shared.files.types import file_type
from shared.ledger import RowCounts
from shared.parsing import JUDGED, Examination, Watcher
from shared.reporting import Group, ended, groups_of

GOOD, ROWS, FILE = 0, 1, 2
"""Exit codes: everything can be loaded; some rows cannot; the file cannot."""

OnProgress = Callable[[int], None]
"""Called with the part of the work that is done, in percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The verdict on one file."""

    path: str
    """Path of the file, as given."""
    file: str
    """Base name of the file."""
    size: int
    """Size in bytes."""
    type: str | None
    """Type that the file was checked as; None if its content was not read."""
    name_problem: Problem | None
    """Problem of the name; None if the name is right."""
    suggestion: str | None
    """The right name, if it can be guessed."""
    columns: tuple[str, ...] = ()
    """Columns, as the header names them."""
    unknown: tuple[str, ...] = ()
    """Columns of the header that are not in the format. Their cells are kept under `extra`."""
    delimiter: str | None = None
    encoding: str | None = None
    read: int = 0
    """Rows."""
    rejected: int = 0
    """Rows that would not be loaded."""
    left_out: int = 0
    """Values of good rows that could not be read."""
    documents: int = 0
    """Documents that the file would create or change."""
    error: Problem | None = None
    """Reason why none of the content could be loaded. Problems of the name are in
    `name_problem`."""
    problems: tuple[Problem, ...] = ()
    """Other findings, the first 10,000."""
    counts: Counter[str] = field(default_factory=Counter)
    """Code -> number of findings."""
    summary: tuple[dict[str, Any], ...] = ()
    """One entry per severity, code and column: the first such problem, with its `count`."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """The findings by kind, errors before warnings."""
        return groups_of(self.problems, self.summary)

    @property
    def good(self) -> int:
        """Rows that can be loaded."""
        return 0 if self.error else self.read - self.rejected

    @property
    def exit_code(self) -> int:
        """`GOOD`, `ROWS` or `FILE`."""
        if self.name_problem or self.error:
            return FILE
        return ROWS if self.rejected else GOOD

    @property
    def grade(self) -> int:
        """Grade of the file: the exit code, but `ROWS` also if values would be left out."""
        return max(self.exit_code, ROWS if self.left_out else GOOD)

    @property
    def text(self) -> str:
        """The verdict in a sentence."""
        if self.error:
            return f"This file would be rejected. {self.error.message}"
        if self.name_problem:
            return "The file would not be taken under this name."
        rows = RowCounts(read=self.read, rejected=self.rejected)
        return ended(rows, checked=True, left_out=self.left_out)

    def to_document(self) -> dict[str, Any]:
        """Return the verdict as `--json` prints it."""
        return {
            "path": self.path,
            "file": self.file,
            "size": self.size,
            "type": self.type,
            "verdict": {GOOD: "good", ROWS: "rows", FILE: "file"}[self.exit_code],
            "text": self.text,
            "name": self.name_problem and self.name_problem.to_document(),
            "suggestion": self.suggestion,
            "columns": list(self.columns),
            "unknownColumns": list(self.unknown),
            "delimiter": self.delimiter,
            "encoding": self.encoding,
            "rows": {"read": self.read, "good": self.good, "rejected": self.rejected},
            "valuesLeftOut": self.left_out,
            "documents": self.documents,
            "error": self.error and self.error.to_document(),
            "problemCounts": dict(sorted(self.counts.items())),
            "problems": [problem.to_document() for problem in self.problems],
            "problemsListed": len(self.problems),
            "problemsTotal": sum(self.counts.values()),
        }


def check_file(
    path: Path,
    *,
    settings: ConnectionSettings,
    type: str | None = None,
    progress: OnProgress,
) -> Verdict:
    """Check one file: its name, its header, its rows.

    Args:
        path: the path of the file.
        settings: the settings of its connection.
        type: the type to check it as, for a name that does not tell.
        progress: see `OnProgress`.

    Raises:
        OSError: the file cannot be read.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    named = read_name(path.name, arrival(settings))
    size = path.stat().st_size
    kind, problem, suggestion = _name(named)
    kind = type or kind
    verdict = Verdict(
        path=str(path),
        file=path.name,
        size=size,
        type=kind,
        name_problem=problem,
        suggestion=suggestion,
    )
    if kind is None:
        return verdict
    exports = Exports(kind, latest=named.exported_at if isinstance(named, ExportFile) else None)
    return _content(verdict, path, kind, settings, progress, exports)


def arrival(settings: ConnectionSettings) -> Arrival:
    """Return the limits for the name of a file that would be uploaded now."""
    tolerance = Deployment().future_tolerance
    return Arrival(datetime.now(UTC), tolerance, settings.time_zone)


def _name(named: ExportFile | Ignored | Misnamed) -> tuple[str | None, Problem | None, str | None]:
    match named:
        case ExportFile():
            return named.type, None, None
        case Misnamed():
            return named.type if named.type in TYPES else None, named.problem, named.suggestion
        case Ignored():
            message = f"The file would be ignored. {named.reason}"
            return None, Problem(code="file.ignored_name", message=message), None


class _Watcher(Watcher):
    """Passes the progress on. A check writes no rejected file; the tally has the problems."""

    def __init__(self, progress: OnProgress) -> None:
        self._progress = progress

    def beat(self, bytes_read: int, percent: int) -> None:
        """Pass on the part of the work that is done."""
        self._progress(percent)


def _content(
    verdict: Verdict,
    path: Path,
    kind: str,
    settings: ConnectionSettings,
    progress: OnProgress,
    exports: Exports,
) -> Verdict:
    found = Examination(
        file_type(kind),
        settings,
        open=lambda: path.open("rb"),
        size=verdict.size,
        watcher=_Watcher(progress),
        exports=exports,
    )
    error = None
    documents = 0
    try:
        plan = found.judge()
        documents = sum(map(len, chain.from_iterable(found.layers(plan))))
    except FileRejected as refused:
        error = refused.problem
    judged = error is None or error.code in JUDGED
    return replace(
        verdict,
        columns=found.header.names if found.header else (),
        unknown=found.header.unknown if found.header else (),
        delimiter=found.delimiter,
        encoding=found.encoding,
        # If an error stops the reading, the counts until then say nothing about the file.
        read=found.read if judged else 0,
        rejected=found.rejected if judged else 0,
        left_out=0 if error else found.left_out,
        documents=documents,
        error=error,
        problems=tuple(found.tally.kept),
        counts=found.tally.counts,
        summary=found.tally.summary(),
    )
