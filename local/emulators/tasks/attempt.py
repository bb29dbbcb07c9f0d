"""One attempt of a task: an HTTP request that is sent once, and its outcome."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from google.rpc import code_pb2

_Code: Any = code_pb2.Code

_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """HTTP request of an attempt."""

    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    """Headers except `Host` and `Content-Length`, which follow from the rest."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of an attempt."""

    http_status: int | None
    """Status of the response; None where there was none."""
    code: int
    """Result as a `google.rpc.Code`."""
    message: str
    """Message for people, e.g. `INTERNAL(13): HTTP status code 500`."""
    retry_after: float = 0.0
    """Seconds that the handler asked to wait, with 429 and 503 only."""

    @property
    def succeeded(self) -> bool:
        """True if the task is done."""
        return self.http_status is not None and 200 <= self.http_status < 300


class Attempt:
    """A request under way. `run` is for one thread, `cut` for any other."""

    def __init__(self, *, deadline: float) -> None:
        """Prepare to send a request and to wait `deadline` seconds for the whole response."""
        self._deadline = deadline
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    def cut(self) -> None:
        """Stop waiting: `run` returns at once, and the handler's response is ignored."""
        with self._lock:
            self._is_cut = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def run(self, request: Request) -> Outcome:
        """Send `request` and wait for the response. Redirects are not followed.

        Every failure is an outcome too. The caller of `cut` enforces the deadline; here it only
        limits each single wait.
        """
        try:
            return self._exchange(request)
        except (OSError, ValueError, http.client.HTTPException) as error:
            if self._is_cut or isinstance(error, TimeoutError):
                return no_response("DEADLINE_EXCEEDED", "no response within the deadline")
            return no_response("UNAVAILABLE", f"no response ({type(error).__name__})")

    def _exchange(self, request: Request) -> Outcome:
        # Some characters are encoded for safety, as documented; existing escapes are unchanged.
        parts = urlsplit(quote(request.url, safe="%/:=&?~#+!$,;'@()*[]"))
        if parts.hostname is None:
            raise ValueError("The URL names no host.")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(parts.hostname, parts.port, timeout=self._deadline)
        try:
            connection.connect()
            with self._lock:
                self._socket = connection.sock
                if self._is_cut:
                    raise TimeoutError
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.putrequest(request.method, target, skip_accept_encoding=True)
            for name, value in request.headers:
                connection.putheader(name, value)
            if request.body or request.method in ("POST", "PUT", "PATCH"):
                connection.putheader("Content-Length", str(len(request.body)))
            # A handler may answer without having read all of the body.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.endheaders(request.body or None)
            response = connection.getresponse()
            while response.read(65536):
                pass
            if self._is_cut or response.length:
                raise http.client.IncompleteRead(b"")
            return _response(response.status, response.getheader("Retry-After", ""))
        finally:
            connection.close()


def _response(status: int, retry_after: str) -> Outcome:
    if 200 <= status < 300:
        name = "OK"
    else:
        name = _CODES.get(status, "INTERNAL" if status >= 500 else "UNKNOWN")
    asked = status in (429, 503) and retry_after.isascii() and retry_after.isdigit()
    return Outcome(
        http_status=status,
        code=_Code.Value(name),
        message=f"{name}({_Code.Value(name)}): HTTP status code {status}",
        retry_after=float(retry_after) if asked else 0.0,
    )


def no_response(name: str, why: str) -> Outcome:
    """Return the outcome of an attempt without a response. `name` is a `google.rpc.Code`."""
    code = _Code.Value(name)
    return Outcome(http_status=None, code=code, message=f"{name}({code}): {why}")
