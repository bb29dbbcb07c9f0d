"""The errors of the pipeline, split by what the caller should do about them.

IngestError
├── TryAgain          a later attempt can succeed: answer 5xx, let the task be retried
│   └── SplitLost     what the shards of a file go by is gone or has changed: split it anew
├── LeaseLost         another worker or a newer upload has taken over: stop, answer 2xx
├── FileRejected      the file is unusable: record it, answer 2xx, wait for a corrected upload
├── Undecidable       what newer files confirmed is not known: record it, answer 2xx, wait for a
│                     person
├── SettingsError     a setting is wrong: record it by name, answer 2xx, wait for a person
├── BadRequest        the caller sent something that is not a request of ours: answer 4xx
└── NotAdmitted       the caller has not proved to be one of ours: answer 401 or 403, do nothing
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.core.codes import CODES
from shared.core.printable import column_name, printable


class IngestError(Exception):
    """Base of every error that the pipeline raises on purpose."""


class TryAgain(IngestError):
    """Something outside the file went wrong and may be right a moment later."""


class SplitLost(TryAgain):
    """The shards of a file cannot go on; loaded anew, with another splitting, the file can be."""


class LeaseLost(IngestError):
    """This worker no longer owns the import it was working on."""


class BadRequest(IngestError):
    """The request is not one that this function takes."""


class NotAdmitted(IngestError):
    """The caller is not one that this function works for."""

    def __init__(self, reason: str, *, status: int) -> None:
        """`status` is 401 where nothing was proved, 403 where it was somebody else."""
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a file, or with one of its rows."""

    code: str
    """Stable code, a key of `shared.core.codes.CODES`, e.g. `row.bad_date`."""
    message: str
    """One sentence that says what was found. Never holds the value of a cell of personal data."""
    line: int | None = None
    """Line of the file as an editor numbers it (the first is 1), where the row begins."""
    column: str | None = None
    """The column by the name it has in the file's own header."""

    def __post_init__(self) -> None:
        # The one place that every text about a file passes on its way to reports, ledger and logs.
        if not self.message.isprintable():
            object.__setattr__(self, "message", printable(self.message))
        if self.column is not None:
            object.__setattr__(self, "column", column_name(self.column))

    @property
    def hint(self) -> str:
        """What to do about it."""
        return CODES[self.code].mend

    def __str__(self) -> str:
        place = "".join(
            (
                f"line {self.line}: " if self.line is not None else "",
                f"{self.column}: " if self.column else "",
            )
        )
        return f"{place}{self.message} [{self.code}]"


class FileRejected(IngestError):
    """The file cannot be loaded as it is; nothing has been loaded from it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Undecidable(IngestError):
    """Nobody can tell whether the file is the newest word on its documents; nothing was loaded."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class SettingsError(IngestError):
    """A setting has a value that cannot be used; `name` says which one."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.problem = Problem(code="settings.invalid", message=f"Setting {name}: {message}")


def fault_of(error: Exception) -> str:
    """Name a fault; only the texts of our own errors are free of what stands in the file."""
    return str(error).rstrip(".") if isinstance(error, TryAgain) else type(error).__name__
