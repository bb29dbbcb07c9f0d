"""How the functions log: one JSON object a line, in the fields Cloud Logging understands."""

from __future__ import annotations

import json
import sys
import traceback
from contextvars import ContextVar
from typing import Any, Literal

Severity = Literal["DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL"]

_REPORTED = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"

_trace: ContextVar[str | None] = ContextVar("trace", default=None)


def follow(trace_header: str | None, *, project: str) -> None:
    """Tie the lines that follow to the request with this `X-Cloud-Trace-Context` header."""
    trace = (trace_header or "").split("/", 1)[0]
    _trace.set(f"projects/{project}/traces/{trace}" if trace and project else None)


def log(severity: Severity, message: str, **fields: Any) -> None:
    """Write one line to standard output.

    `fields` are ids, names, counts and codes. The value of a cell never goes in here.
    """
    line: dict[str, Any] = {"severity": severity, "message": message, **fields}
    trace = _trace.get()
    if trace:
        line["logging.googleapis.com/trace"] = trace
    sys.stdout.write(json.dumps(line, default=str, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def log_failure(message: str, error: BaseException, **fields: Any) -> None:
    """Write an error that nobody foresaw, with where it happened, for Error Reporting to count.

    Error Reporting groups by the type and the places that it finds in `stack_trace`
    (https://cloud.google.com/error-reporting/docs/formatting-error-messages). The text of the
    exception is left out: it may quote a cell of the file.
    """
    frames = traceback.extract_tb(error.__traceback__)[-20:]
    stack_trace = (
        "Traceback (most recent call last):\n"
        f"{''.join(traceback.format_list(frames))}{type(error).__name__}: (its text is left out)"
    )
    log("ERROR", message, **{"@type": _REPORTED}, stack_trace=stack_trace, **fields)
