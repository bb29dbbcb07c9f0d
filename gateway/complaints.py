"""Complaints of a session: each refusal and fault is explained to the user, and logged.

OpenSSH's `sftp` prints only "Permission denied" or "Failure", not the server's message. So refusals
are also written to the session's standard error, which `sftp` shows.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import asyncssh

from gateway.bucket import BucketError, Changed, Missing
from gateway.paths import BadPath
from gateway.upload import Refused
from shared.core import LogSeverity, log, log_failure, printable

_MOST_COMPLAINTS = 100
"""Refusals that are also written to standard error; some clients never read it."""

P = ParamSpec("P")
T = TypeVar("T")


class Complaints:
    """The words of one session to its user, and to the log."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], who: Mapping[str, str]) -> None:
        """`who` are the fields of the log that name the session."""
        self._channel = channel
        self._who = who
        self._said = 0

    def log(self, severity: LogSeverity, event: str, message: str, **fields: Any) -> None:
        """Log an event of the session."""
        log(severity, message, event=event, **self._who, **fields)

    def explain(self, error: Exception) -> asyncssh.SFTPError:
        """Return the SFTP error that tells the user about an exception."""
        kind: Callable[[str], asyncssh.SFTPError] = asyncssh.SFTPFailure
        text = str(error)
        match error:
            case Missing():
                return asyncssh.SFTPNoSuchFile(text)
            case asyncssh.SFTPError():
                if error.code != asyncssh.FX_NO_SUCH_FILE:  # clients often look for missing files
                    error.reason = self._say(str(error.reason))
                return error
            case Refused() | BadPath():
                kind = asyncssh.SFTPPermissionDenied
            case Changed():
                pass
            case BucketError():
                self.log("ERROR", "bucket", f"The bucket failed: {error}")
            case _:
                log_failure("The gateway failed.", error, event="failure", **self._who)
                text = "The gateway failed. Tell its operator; the log says why."
        return kind(self._say(text))

    def _say(self, text: str) -> str:
        text = printable(text, keep="\n")
        self._said += 1
        if self._said <= _MOST_COMPLAINTS and not self._channel.is_closing():
            self._channel.write_stderr(f"{text}\r\n".encode())
        return text


class Complaining(Protocol):
    """An object whose methods explain their exceptions."""

    complaints: Complaints


C = TypeVar("C", bound=Complaining)


def explained(
    method: Callable[Concatenate[C, P], Awaitable[T]],
) -> Callable[Concatenate[C, P], Awaitable[T]]:
    """Turn every exception of a method into an SFTP error that explains it to the user."""

    @functools.wraps(method)
    async def call(self: C, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(self, *args, **kwargs)
        except Exception as error:
            told = self.complaints.explain(error)
            if told is error:
                raise
            raise told from error

    return call
