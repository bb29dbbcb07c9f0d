"""Reads secrets from Secret Manager with the gateway's own account: the users and the host key.

A secret has Google's name, `projects/PROJECT/secrets/NAME`. The prefix `secret:` marks it where a
file could be meant too. The latest version counts.
"""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections.abc import Callable
from typing import Any

import google.auth
import google.auth.transport.requests
import google_crc32c
from google.auth.exceptions import GoogleAuthError
from requests.exceptions import RequestException

from gateway.users import UsersError

PREFIX = "secret:"
GOOGLE = "https://secretmanager.googleapis.com"

FRESH_SECONDS = 30.0
"""Seconds for which a version counts as the latest before Secret Manager is asked again."""

_TIMEOUT = 5.0
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


class SecretError(OSError):
    """A secret that cannot be read. The message says why."""


class Secret:
    """A secret, read in its latest version."""

    def __init__(
        self,
        name: str,
        *,
        session: Any = None,
        host: str = GOOGLE,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` may begin with `secret:`. Without a session, the machine's account is used.

        Raises:
            GoogleAuthError: the machine has no account.
        """
        self.name = name.removeprefix(PREFIX)
        self._session = session or _own_session()
        self._url = f"{host}/v1/{self.name}/versions/latest:access"
        self._now = now
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._version: str | None = None
        self._content = b""

    def __str__(self) -> str:
        return f"secret {self.name}"

    def content(self) -> bytes:
        """Return the latest version.

        Raises:
            SecretError: it cannot be read.
        """
        with self._lock:
            self._ask()
            return self._content

    # -- as a source of users ----------------------------------------------------------------

    def stamp(self) -> object:
        """Return the latest version's name, or the last known one if Secret Manager fails."""
        with self._lock:
            if self._now() >= self._asked + FRESH_SECONDS:
                try:
                    self._ask()
                except SecretError:
                    # The last version read still counts. Secret Manager is not asked again at every
                    # login.
                    self._asked = self._now()
            return self._version

    def read(self) -> str:
        """Return the version that `stamp` has named, as text."""
        with self._lock:
            if self._version is None:
                try:
                    self._ask()
                except SecretError as error:
                    raise UsersError(str(error)) from None
            try:
                return self._content.decode()
            except UnicodeDecodeError:
                raise UsersError("it is not UTF-8") from None

    def _ask(self) -> None:
        try:
            answer = self._session.get(self._url, timeout=_TIMEOUT)
        except (RequestException, GoogleAuthError) as error:
            raise SecretError(
                f"Secret Manager cannot be reached ({type(error).__name__})"
            ) from None
        if answer.status_code != 200:
            raise SecretError(f"Secret Manager answered {answer.status_code} for {self.name}")
        try:
            found = answer.json()
            content = base64.b64decode(found["payload"].get("data", ""), validate=True)
            version = str(found["name"])
            checksum = found["payload"].get("dataCrc32c")
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            raise SecretError("Secret Manager gave an unusable answer") from None
        if checksum is not None and int(checksum) != google_crc32c.value(content):
            raise SecretError("the secret arrived damaged")
        self._content, self._version, self._asked = content, version, self._now()


def _own_session() -> Any:
    credentials, _ = google.auth.default(scopes=_SCOPES)
    transport: Any = google.auth.transport.requests
    return transport.AuthorizedSession(credentials)
