"""How the functions log: one JSON object a line, in the fields Cloud Logging understands."""

from __future__ import annotations

import json
import os
import sys
import traceback
from contextvars import ContextVar
from typing import Any, Literal

Severity = Literal["DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL"]

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
    """Write an error that nobody foresaw, with where it happened.

    The text of the exception is left out: it may quote a cell of the file.
    """
    places = [
        f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    log("ERROR", message, error=type(error).__name__, places=places[-12:], **fields)
