"""The errors of the pipeline, split by what the caller should do about them.

IngestError
├── TryAgain          a later attempt can succeed: answer 5xx, let the task be retried
│   └── SplitLost     the data that the shards of a file depend on is gone or has changed: split the
│                     file again
├── LeaseLost         another worker or a newer upload has taken over: stop, answer 2xx
├── FileRejected      the file is unusable: record it, answer 2xx, wait for a corrected upload
├── Undecidable       the index is lost, so the rows that newer files confirmed are unknown: record
│                     it, answer 2xx, wait for a person
├── SettingsError     a setting is wrong: record it by name, answer 2xx, wait for a person
├── NotPossible       the command does not apply to this import: tell the operator
├── BadRequest        the request is malformed: answer 4xx
└── NotAdmitted       the caller is unknown or not allowed: answer 401 or 403, do nothing
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.core.codes import CODES, Severity
from shared.core.printable import column_name, printable


class IngestError(Exception):
    """Base of every error that the pipeline raises on purpose."""


class TryAgain(IngestError):
    """A fault outside the file that may be gone at the next attempt, e.g. a lost connection."""


class SplitLost(TryAgain):
    """The shards of a file cannot continue. A new splitting of the file can load it."""


class LeaseLost(IngestError):
    """This worker no longer owns the import it was working on."""


class BadRequest(IngestError):
    """The request is malformed, e.g. its body is not JSON."""


class NotPossible(IngestError):
    """The command does not apply to this import; the message says which one does."""


class NotAdmitted(IngestError):
    """The caller is unknown, or not allowed to call this function."""

    def __init__(self, reason: str, *, status: int) -> None:
        """Take the HTTP `status`: 401 without valid credentials, 403 for a caller not allowed."""
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One error or warning about a file, or about one of its rows.

    Example: `Problem(code="row.bad_date", message="…", line=4, column="DOB")`.
    """

    code: str
    """Stable code, a key of `shared.core.codes.CODES`, e.g. `row.bad_date`."""
    message: str
    """One sentence that says what was found. Never holds the value of a cell of personal data."""
    line: int | None = None
    """Line of the file as an editor numbers it (the first is 1), where the row begins."""
    column: str | None = None
    """The column by the name it has in the file's own header."""
    severity: Severity | None = None
    """Consequence of the problem. None becomes the usual consequence of the code; a bad date, say,
    is a `warning` in most columns, and `row` in a row that is rejected."""
    row: int | None = None
    """Row number that a spreadsheet shows; None if it is the line, or not known. It is smaller than
    the line if cells of earlier rows hold line ends."""

    def __post_init__(self) -> None:
        if self.severity is None:
            known = CODES.get(self.code)
            object.__setattr__(self, "severity", known.severity if known else "warning")
        # Every text about a file passes here before it reaches reports, ledger and logs.
        if not self.message.isprintable():
            object.__setattr__(self, "message", printable(self.message))
        if self.column is not None:
            object.__setattr__(self, "column", column_name(self.column))

    @property
    def hint(self) -> str:
        """The fix, as `shared.core.codes.CODES` has it."""
        return CODES[self.code].fix

    def to_document(self) -> dict[str, Any]:
        """Return the document that the ledger and the reports write, without absent parts.

        Example: `{"code": "row.bad_date", "message": "…", "hint": "Use YYYY-MM-DD. …",
        "severity": "row", "line": 4}`.
        """
        document: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "severity": self.severity,
        }
        if self.column is not None:
            document["column"] = self.column
        if self.line is not None:
            document["line"] = self.line
        if self.row is not None:
            document["row"] = self.row
        return document

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Problem:
        """Return the problem of such a document."""
        return cls(
            code=data["code"],
            message=data["message"],
            line=data.get("line"),
            column=data.get("column"),
            severity=data.get("severity"),
            row=data.get("row"),
        )

    def __str__(self) -> str:
        row = "" if self.row is None else f" (row {self.row} in a spreadsheet)"
        place = "".join(
            (
                f"line {self.line}{row}: " if self.line is not None else "",
                f"{self.column}: " if self.column else "",
            )
        )
        return f"{place}{self.message} [{self.code}]"


class FileRejected(IngestError):
    """The file is unusable; nothing was loaded from it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Undecidable(IngestError):
    """The file may be older than what is stored, and the index that would tell is lost.

    Nothing was loaded from the file.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class SettingsError(IngestError):
    """The setting `name` has a value that cannot be used."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.problem = Problem(code="settings.invalid", message=f"Setting {name}: {message}")


def fault_of(error: Exception) -> str:
    """Return a text that names an error without quoting the file.

    A TryAgain gives its own message. Any other error gives its type, e.g. `KeyError`, because its
    message may quote a cell.
    """
    return str(error).rstrip(".") if isinstance(error, TryAgain) else type(error).__name__
