"""How the functions log: one JSON object a line, in the fields Cloud Logging understands."""

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
"""Characters of a message that are kept; Cloud Logging takes 256 KiB a line."""

_REPORTED = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"
_TRACE = re.compile(r"([0-9a-fA-F]{32})(?:/.*)?", re.DOTALL)
_SERVERS = ("gunicorn.error", "gunicorn.access")
"""Loggers whose handlers are set up after ours, and write in a form of their own."""

_writing = threading.Lock()
_trace: ContextVar[str | None] = ContextVar("trace", default=None)


def follow(trace_header: str | None, *, project: str) -> None:
    """Tie the lines that follow to the request with this `X-Cloud-Trace-Context` header."""
    trace = _TRACE.fullmatch(trace_header or "")
    _trace.set(f"projects/{project}/traces/{trace[1]}" if trace and project else None)


def log(severity: LogSeverity, message: str, **fields: Any) -> None:
    """Write one line to standard output.

    `fields` are ids, names, counts and codes. The value of a cell never goes in here.
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
        # By itself, because the framework's own stream ends every other text it is given.
        sys.stdout.write("\n")
        sys.stdout.flush()


def log_failure(message: str, error: BaseException, **fields: Any) -> None:
    """Write an error that nobody foresaw, with where it happened, for Error Reporting to count.

    Error Reporting groups by the type and the places that it finds in `stack_trace`
    (https://cloud.google.com/error-reporting/docs/formatting-error-messages). The text of the
    exception is left out: it may quote a cell of the file.
    """
    log("ERROR", message, **{"@type": _REPORTED}, **_trouble(error), **fields)


def _trouble(error: BaseException) -> dict[str, str]:
    """Return of which kind an exception is, and the lines of the program that it came by."""
    kind = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)[-20:]
    stack_trace = (
        "Traceback (most recent call last):\n"
        f"{''.join(traceback.format_list(frames))}{kind}: (its text is left out)"
    )
    return {"error": kind, "stack_trace": stack_trace}


# -- what others write ------------------------------------------------------------------------


def take_over() -> None:
    """Make whatever this process has to say one of our lines: libraries, warnings, its own end.

    What others say may quote a cell, and they do not know what it is. So their lines tell who
    spoke, where and of which kind of error, and only that part of the message that stood in the
    program.
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
    """Writes the records of others as lines of ours."""

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
    """Lets none of a logger's own handlers have a record, because ours has written it."""

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
