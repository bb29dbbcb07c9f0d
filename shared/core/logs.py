"""Log of the functions: one JSON object per line, in the fields that Cloud Logging reads.

Example: `{"severity": "WARNING", "message": "The sweep must come back: …"}`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
import warnings
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Literal

from shared.core.printable import printable

LogSeverity = Literal["DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL"]

MESSAGE_LIMIT = 8_000
"""Characters of a message that are kept; Cloud Logging takes 256 KiB per line."""

_REPORTED = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"
_TRACE = re.compile(r"([0-9a-fA-F]{32})(?:/.*)?", re.DOTALL)
_SERVERS = ("gunicorn.error", "gunicorn.access")
"""Loggers whose handlers are set up after ours, and write plain text."""

_writing = threading.Lock()
_trace: ContextVar[str | None] = ContextVar("trace", default=None)


def follow(trace_header: str | None, *, project: str) -> None:
    """Add a request's trace to every later log line of this context.

    `trace_header` is the request's `X-Cloud-Trace-Context`, e.g. `105445aa…/1;o=1`.
    """
    trace = _TRACE.fullmatch(trace_header or "")
    _trace.set(f"projects/{project}/traces/{trace[1]}" if trace and project else None)


def log(severity: LogSeverity, message: str, **fields: Any) -> None:
    """Write one log line to standard output.

    `fields` are ids, names, counts and codes; never pass the value of a cell.
    """
    if len(message) > MESSAGE_LIMIT:
        message = f"{message[:MESSAGE_LIMIT]}…"
    message = printable(message, keep="\n")
    line: dict[str, Any] = {"severity": severity, "message": message, **fields}
    trace = _trace.get()
    if trace:
        line["logging.googleapis.com/trace"] = trace
    # ASCII alone: any terminal takes it, and names may hold what is no valid Unicode.
    text = json.dumps(line, default=str).replace("\x7f", "\\u007f")
    with _writing:
        sys.stdout.write(text)
        # In a write of its own, because the framework's stream ends every other text it is given.
        sys.stdout.write("\n")
        sys.stdout.flush()


def log_failure(message: str, error: BaseException, **fields: Any) -> None:
    """Log an unexpected error with its stack trace, so that Error Reporting counts it.

    Error Reporting groups errors by the type and the code lines in `stack_trace`
    (https://cloud.google.com/error-reporting/docs/formatting-error-messages). The message of the
    exception is left out: it may quote a cell of the file.
    """
    log("ERROR", message, **{"@type": _REPORTED}, **_trouble(error), **fields)


def _trouble(error: BaseException) -> dict[str, str]:
    """Return the log fields `error` (the type) and `stack_trace` (the last 20 code lines)."""
    kind = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)[-20:]
    stack_trace = (
        "Traceback (most recent call last):\n"
        f"{''.join(traceback.format_list(frames))}{kind}: (its text is left out)"
    )
    return {"error": kind, "stack_trace": stack_trace}


# -- lines of libraries -----------------------------------------------------------------------


def take_over() -> None:
    """Write everything that this process logs with `log`: libraries, warnings, uncaught errors.

    A library's message may quote a cell. So its log line has the logger, the place, the type of
    error, and the message only as far as it is constant text of the program.
    """
    root = logging.getLogger()
    root.handlers[:] = [_Lines()]
    root.setLevel(logging.WARNING)
    for name in _SERVERS:
        logger = logging.getLogger(name)
        logger.filters[:] = [_Instead()]
    warnings.showwarning = _warn
    sys.excepthook = _end
    threading.excepthook = _end_of_thread
    # gRPC's core writes to standard error past all of this.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


class _Lines(logging.Handler):
    """Writes the records of libraries with `log`."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {
            "logger": record.name,
            "place": f"{os.path.basename(record.pathname)}:{record.lineno} {record.funcName}",
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields |= _trouble(error)
        log(_severity(record.levelno), _template(record), **fields)


class _Instead(logging.Filter):
    """Writes each record with `log` and hides the record from the logger's own handlers."""

    _lines = _Lines()

    def filter(self, record: logging.LogRecord) -> bool:
        self._lines.handle(record)
        return False


def _severity(level: int) -> LogSeverity:
    if level >= logging.CRITICAL:
        return "CRITICAL"
    if level >= logging.ERROR:
        return "ERROR"
    if level >= logging.WARNING:
        return "WARNING"
    return "INFO" if level >= logging.INFO else "DEBUG"


def _template(record: logging.LogRecord) -> str:
    # Without arguments nothing tells a constant from a text that values were put into.
    if record.args and isinstance(record.msg, str):
        return f"{record.name}: {record.msg}"
    return f"{record.name} has something to say; its words are left out, they may quote a cell."


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    place = f"{os.path.basename(filename)}:{lineno}"
    log("WARNING", f"{category.__name__} at {place}.", place=place)


def _end(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None = None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log_failure("The process ends because of an error.", error)


def _end_of_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None:
        log_failure("A thread has ended because of an error.", arguments.exc_value)
