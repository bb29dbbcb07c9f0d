"""Limits of a request to a function, and the answers when an error stops the work.

The queue, the scheduler and the event service repeat a request that is not answered with 2xx. So
5xx is for an error that a later attempt can fix. An unexpected error is 5xx too: a new version may
fix it.
"""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb

import flask
from werkzeug.exceptions import HTTPException

from shared.core import BadRequest, SettingsError, TryAgain, log, log_failure

HttpAnswer = tuple[dict[str, str], int]

BODY_BYTES = 64 * 1024
"""Bytes of the largest body that is read. The pipeline's own tasks have a few hundred bytes."""

_ROOT = Path(__file__).resolve().parents[2]
_OURS = tuple(f"{_ROOT / folder}/" for folder in ("functions", "shared"))


def answer(error: Exception) -> HttpAnswer:
    """Log an error that a function has raised, and return the answer: an error handler for Flask.

    The text of an error that is not the pipeline's own is neither logged nor returned: it may quote
    a cell.
    """
    if isinstance(error, HTTPException):
        status = error.code or 500
        log("WARNING", f"Not a request for this function: {status} {error.name}.")
        return {"error": error.name}, status
    if isinstance(error, TryAgain):
        log("WARNING", f"It must come back: {error}")
        return {"error": str(error)}, 503
    if isinstance(error, BadRequest):
        log("ERROR", f"Not a request for this function: {error}")
        return {"error": str(error)}, 400
    if isinstance(error, SettingsError):
        log("CRITICAL", f"{error.problem.message}", code=error.problem.code)
        return {"error": error.problem.message}, 500
    if not _begun(error):
        kind = type(error).__name__
        log("ERROR", "Not a request for this function: it cannot be read.", error=kind)
        return {"error": "The request cannot be read."}, 400
    log_failure("The function met an unexpected error.", error)
    return {"error": f"{type(error).__name__}, see the log."}, 500


def read_body(request: flask.Request) -> bytes:
    """Return the body of a request.

    Raises:
        BadRequest: the body is too large, or the request does not give its length.
    """
    if request.content_length is None or request.content_length > BODY_BYTES:
        raise BadRequest(f"The body must say its length, of up to {BODY_BYTES:,} bytes.")
    return request.get_data()


def _begun(error: Exception) -> bool:
    """True if the error arose in the pipeline's code; False if the request could not be read."""
    return any(frame.filename.startswith(_OURS) for frame in extract_tb(error.__traceback__))
