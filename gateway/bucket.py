"""Reads and writes objects in the bucket, and translates its errors into messages for users.

All functions block. The gateway calls them from worker threads.
"""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import google_crc32c
import requests
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.adapters import HTTPAdapter


class BucketError(Exception):
    """A request that the bucket refused. The message can be shown to the user."""


class Missing(BucketError):
    """An object or bucket that does not exist."""


class Changed(BucketError):
    """An object that is not, or no longer, in the expected version."""


class Unreachable(BucketError):
    """A bucket that gives no usable answer."""


class SessionLost(BucketError):
    """An upload session that the bucket has lost. The file must be sent again from the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An object at the time of the request."""

    name: str
    size: int
    generation: int
    updated: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Part of a listing: the objects and the folders directly below a prefix."""

    entries: tuple[Entry, ...]
    folders: tuple[str, ...]
    """Full prefixes with a trailing slash, such as `pending/au/`."""


class Sending(Protocol):
    """An object that is being uploaded. It is invisible until `finish`."""

    def send(self, data: bytes) -> None:
        """Send the next bytes, a multiple of 256 KiB. Raises BucketError."""

    def finish(self, data: bytes) -> Entry:
        """Send the last bytes, possibly none, and create the object."""

    def cancel(self) -> None:
        """Discard the upload. A call under way in another thread stops retrying. Never raises."""


class Bucket(Protocol):
    """Operations that the gateway needs from a bucket."""

    def find(self, name: str) -> Entry | None:
        """Look up an object; None if there is none."""

    def pages(self, prefix: str) -> Iterator[Page]:
        """List the objects and folders directly below a prefix ("" or ending in a slash)."""

    def any_below(self, prefix: str) -> bool:
        """Return True if any object's name begins with a prefix."""

    def read(self, name: str, generation: int, start: int, end: int) -> bytes:
        """Return the bytes of one generation from `start` up to, not including, `end`."""

    def begin(self, name: str, *, generation: int | None) -> Sending:
        """Begin an upload. It must replace `generation`: 0 for no object, None for any or none."""

    def copy(self, source: Entry, name: str, *, generation: int | None) -> Entry:
        """Copy an object within the bucket. Others see the whole copy or none of it."""

    def delete(self, name: str, generation: int) -> None:
        """Delete one generation of an object. Raises Missing and Changed."""

    def mark(self, folder: str) -> None:
        """Make an empty folder visible by an empty object `folder` (ending in a slash)."""


class CloudBucket:
    """A bucket of Cloud Storage, or of a server that speaks its JSON API."""

    def __init__(self, client: storage.Client, name: str, *, patience: float = 60.0) -> None:
        """`patience`: seconds for which an operation is retried before it fails."""
        self._client: Any = client
        self._bucket: Any = client.bucket(name)
        self._patience = patience
        self._retry: Any = DEFAULT_RETRY.with_timeout(patience)
        self._timeout = (min(10.0, patience), 60.0)
        # Room for every worker thread; the default of ten would open and drop connections.
        for scheme in ("https://", "http://"):
            self._client._http.mount(scheme, HTTPAdapter(pool_maxsize=64))

    def check(self) -> None:
        """Check that the bucket can be read. Raises Missing if it does not exist."""
        with _told():
            list(self._client.list_blobs(self._bucket, max_results=1, **self._patient))

    def find(self, name: str) -> Entry | None:
        with _told():
            blob = self._bucket.get_blob(name, **self._patient)
        return _entry(blob) if blob else None

    def pages(self, prefix: str) -> Iterator[Page]:
        with _told():
            listing = self._client.list_blobs(
                self._bucket, prefix=prefix, delimiter="/", **self._patient
            )
            for page in listing.pages:
                yield Page(
                    entries=tuple(_entry(blob) for blob in page),
                    folders=tuple(page.prefixes),
                )

    def any_below(self, prefix: str) -> bool:
        with _told():
            found = self._client.list_blobs(
                self._bucket, prefix=prefix, max_results=1, **self._patient
            )
            return any(True for _ in found)

    def read(self, name: str, generation: int, start: int, end: int) -> bytes:
        with _told():
            blob = self._bucket.blob(name, generation=generation)
            data: bytes = blob.download_as_bytes(
                start=start, end=end - 1, raw_download=True, checksum=None, **self._patient
            )
            return data

    def begin(self, name: str, *, generation: int | None) -> Sending:
        with _told():
            blob = self._bucket.blob(name)
            url = blob.create_resumable_upload_session(
                content_type="text/csv" if name.endswith(".csv") else "application/octet-stream",
                if_generation_match=generation,
                checksum=None,
                **self._patient,
            )
        return _Resumable(
            http=self._client._http, url=url, name=name, patience=self._patience, bucket=self
        )

    def copy(self, source: Entry, name: str, *, generation: int | None) -> Entry:
        with _told():
            target = self._bucket.blob(name)
            token = None
            while True:
                token, _, _ = target.rewrite(
                    self._bucket.blob(source.name),
                    token=token,
                    if_generation_match=generation,
                    if_source_generation_match=source.generation,
                    **self._patient,
                )
                if token is None:
                    return _entry(target)

    def delete(self, name: str, generation: int) -> None:
        with _told():
            self._bucket.blob(name).delete(if_generation_match=generation, **self._patient)

    def mark(self, folder: str) -> None:
        with _told(), contextlib.suppress(exceptions.PreconditionFailed):
            self._bucket.blob(folder).upload_from_string(
                b"",
                content_type="application/x-directory",
                if_generation_match=0,
                **self._patient,
            )

    @property
    def _patient(self) -> dict[str, Any]:
        return {"timeout": self._timeout, "retry": self._retry}


class _Resumable:
    """One resumable upload session.

    The client library's own writer is not used, for two reasons. A dropped writer finishes the
    upload, so a lost file would become an object. And its `terminate` does not end the session.
    """

    def __init__(
        self, *, http: Any, url: str, name: str, patience: float, bucket: CloudBucket
    ) -> None:
        self._http = http
        self._url = url
        self._name = name
        self._patience = patience
        self._bucket = bucket
        self._sent = 0
        self._sum: Any = _checksum()
        self._cancelled = threading.Event()

    def send(self, data: bytes) -> None:
        self._sum.update(data)
        if self._put(data, last=False) is not None:
            raise BucketError("The bucket ended the upload before its time.")

    def finish(self, data: bytes) -> Entry:
        self._sum.update(data)
        answer = self._put(data, last=True)
        if answer is None:
            raise Unreachable("The bucket did not finish the upload.")
        entry = Entry(
            name=self._name,
            size=int(answer["size"]),
            generation=int(answer["generation"]),
            updated=datetime.now(UTC),
        )
        if answer.get("crc32c", self._crc32c) != self._crc32c or entry.size != self._sent:
            with contextlib.suppress(BucketError):
                self._bucket.delete(entry.name, entry.generation)
            raise BucketError("The file was damaged on its way into the bucket. Upload it again.")
        return entry

    def cancel(self) -> None:
        self._cancelled.set()
        with contextlib.suppress(requests.RequestException, GoogleAuthError):
            self._http.delete(self._url, timeout=(5.0, 10.0))

    @property
    def _crc32c(self) -> str:
        return base64.b64encode(self._sum.digest()).decode()

    def _put(self, data: bytes, *, last: bool) -> dict[str, Any] | None:
        """Send bytes that begin at `self._sent`; return the object's resource once it is complete.

        After any failure the bucket is asked how much has arrived before more is sent:
        https://cloud.google.com/storage/docs/performing-resumable-uploads#status-check
        """
        start, end = self._sent, self._sent + len(data)
        deadline = time.monotonic() + self._patience
        pause, doubtful = 0.25, False
        while True:
            try:
                resource = self._exchange(data[self._sent - start :], end, last, ask=doubtful)
            except Unreachable:
                if time.monotonic() + pause > deadline or self._cancelled.wait(pause):
                    raise
                pause, doubtful = min(pause * 2, 8.0), True
                continue
            if resource is not None or (self._sent == end and not last):
                return resource
            doubtful = False

    def _exchange(self, data: bytes, end: int, last: bool, *, ask: bool) -> dict[str, Any] | None:
        """Send one request, or only ask for the progress (`ask`).

        Return the resource of a finished object. Otherwise update `self._sent` and return None.
        """
        if ask:
            data, headers = b"", {"Content-Range": "bytes */*"}
        else:
            headers = {"Content-Range": _range(self._sent, end, last=last)}
            if last:
                headers["x-goog-hash"] = f"crc32c={self._crc32c}"
        try:
            response = self._http.put(
                self._url, data=data, headers=headers, timeout=(10.0, 60.0), allow_redirects=False
            )
        except (requests.RequestException, GoogleAuthError) as error:
            raise Unreachable(f"The bucket cannot be reached ({type(error).__name__}).") from error
        status = response.status_code
        if status in (200, 201):
            self._sent = end
            resource: dict[str, Any] = response.json()
            return resource
        if status == 308:
            arrived = _arrived(response.headers.get("Range"))
            if not self._sent <= arrived <= end:
                raise SessionLost("The bucket lost part of the upload. Upload the file again.")
            if arrived == self._sent and not ask:
                raise Unreachable("The bucket makes no progress with the upload.")
            self._sent = arrived
            return None
        if status in (404, 410, 499):
            raise SessionLost("The bucket has forgotten the upload. Upload the file again.")
        if status == 412:
            raise Changed("The file was changed by another upload in the meantime.")
        if status in (408, 429) or status >= 500:
            raise Unreachable(f"The bucket answers {status}.")
        raise BucketError(f"The bucket refuses the upload (status {status}).")


_checksum: Any = google_crc32c.Checksum


def _range(start: int, end: int, *, last: bool) -> str:
    total = str(end) if last else "*"
    return f"bytes {start}-{end - 1}/{total}" if end > start else f"bytes */{total}"


def _arrived(header: str | None) -> int:
    """Return the bytes that a 308 answer acknowledges: `bytes=0-262143` → 262144, none → 0."""
    return int(header.rpartition("-")[2]) + 1 if header else 0


def _entry(blob: Any) -> Entry:
    return Entry(
        name=blob.name,
        size=int(blob.size or 0),
        generation=int(blob.generation),
        updated=blob.updated or datetime.now(UTC),
    )


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Translate exceptions of the client library."""
    try:
        yield
    except exceptions.NotFound as error:
        raise Missing("There is no such file.") from error
    except exceptions.PreconditionFailed as error:
        raise Changed("The file was changed by another upload in the meantime.") from error
    except (exceptions.Unauthorized, exceptions.Forbidden) as error:
        raise BucketError(
            "The gateway is not allowed to do this in the bucket. Tell its operator."
        ) from error
    except (exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError) as error:
        raise Unreachable(f"The bucket gives no answer ({type(error).__name__}).") from error
    except exceptions.GoogleAPICallError as error:
        raise BucketError(f"The bucket refuses this (status {error.code}).") from error
    except (requests.RequestException, GoogleAuthError, ConnectionError) as error:
        raise Unreachable(f"The bucket cannot be reached ({type(error).__name__}).") from error
