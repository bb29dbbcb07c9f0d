"""Port to Cloud Storage: the calls that are made, with one translation of their errors."""

from __future__ import annotations

import base64
import os
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any
from urllib.request import getproxies

import google.cloud.storage as storage
import google_crc32c
from google.api_core import exceptions
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY
from requests import Response, Session
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from shared.core import TryAgain

FAULTS = (
    exceptions.GoogleAPICallError,
    exceptions.RetryError,
    RequestException,
    HTTPError,
    DataCorruption,
    InvalidResponse,
)
"""All errors that the client raises when a call fails."""

_TIMEOUT = 60.0
"""Seconds that Cloud Storage may take to send the next bytes."""


class Gone(TryAgain):
    """The object, or the generation that was asked for, does not exist."""


class Changed(TryAgain):
    """The object has another generation than the expected one."""


class Unusable(Exception):
    """The object is gone, or is not the one that was written."""


def bucket_of(client: storage.Client, name: str) -> storage.Bucket:
    """Return a bucket. Its requests use no proxy if the environment names none right now.

    The HTTP library would look for proxies, certificates and a `.netrc` at every request.
    """
    session: Session = client._http
    session.trust_env = bool(getproxies().keys() - {"no"})
    for variable in ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        session.verify = os.environ.get(variable) or session.verify
    return client.bucket(name)


@contextmanager
def reach(what: str) -> Iterator[None]:
    """Translate the errors of the calls inside. `what` names the calls, e.g. `read state/x.index`.

    Raises:
        Gone: the object does not exist.
        Changed: a precondition about its generation failed.
        TryAgain: Cloud Storage could not be reached.
    """
    try:
        yield
    except FAULTS as error:
        # The client translates the answers to a streamed upload into no error of its own.
        response = error.response if isinstance(error, InvalidResponse) else None
        status = response.status_code if response is not None else getattr(error, "code", None)
        if status == 404:
            raise Gone(f"Cloud Storage could not {what}: it is gone.") from error
        if status == 412:
            raise Changed(f"Cloud Storage could not {what}: it has changed.") from error
        raise TryAgain(f"Cloud Storage could not {what}: {type(error).__name__}") from error


def list_objects(
    bucket: storage.Bucket, prefix: str = "", *, versions: bool = False
) -> Iterator[storage.Blob]:
    """Yield the objects whose names begin with `prefix`; with `versions`, also old generations."""
    with reach(f"list {prefix or 'the bucket'}"):
        yield from bucket.list_blobs(prefix=prefix, versions=versions)


def list_outside(bucket: storage.Bucket, folders: Container[str]) -> Iterator[storage.Blob]:
    """Yield the objects that are in none of these folders."""
    with reach("list the bucket"):
        top = bucket.list_blobs(delimiter="/")
        yield from top
        for folder in sorted(top.prefixes):
            if folder not in folders:
                yield from bucket.list_blobs(prefix=folder)


def find_object(
    bucket: storage.Bucket, name: str, generation: int | None = None
) -> storage.Blob | None:
    """Return the current object, or the given generation of it; None if it does not exist."""
    with reach(f"look for {name}"):
        return bucket.get_blob(name, generation=generation)


def find_exact(
    bucket: storage.Bucket, name: str, generation: int, *, size: int, crc32c: str
) -> storage.Blob:
    """Return a generation of an object that was written with that size and checksum.

    Raises:
        Unusable: the generation is gone, or is not what was written.
    """
    found = find_object(bucket, name, generation)
    if found is None or (found.size, found.crc32c) != (size, crc32c):
        raise Unusable(name)
    return found


def read_object(
    bucket: storage.Bucket,
    name: str,
    generation: int | None = None,
    *,
    start: int | None = None,
    end: int | None = None,
) -> bytes:
    """Return the stored bytes of an object, or those from `start` to `end`, both included."""
    with reach(f"read {name}"):
        blob = bucket.blob(name, generation=generation)
        data: bytes = blob.download_as_bytes(start=start, end=end, raw_download=True)
        return data


class ObjectReader:
    """A stream of the stored bytes of an object, with size and checksum of the bytes read."""

    def __init__(self, blob: storage.Blob, *, chunk: int) -> None:
        """Open the generation that `blob` names; `chunk` bytes are fetched at a time."""
        self._name = blob.name
        # Otherwise the client takes each answer in pieces of 8 KiB.
        self._stream: Any = blob.open(
            "rb", chunk_size=chunk, raw_download=True, single_shot_download=True
        )
        self._crc = self.size = 0

    @property
    def crc32c(self) -> str:
        """Checksum of the bytes read so far, as Cloud Storage writes it."""
        return encoded(self._crc)

    def seek(self, start: int) -> None:
        """Continue at the byte `start`."""
        with reach(f"read {self._name}"):
            self._stream.seek(start)

    def read(self, count: int = -1) -> bytes:
        """Return `count` bytes; fewer only at the end of the object."""
        with reach(f"read {self._name}"):
            data: bytes = self._stream.read(count)
        self.size += len(data)
        self._crc = google_crc32c.extend(self._crc, data)
        return data


class ObjectStream:
    """Some bytes of an object, all in one request, with size and checksum of the bytes read.

    The bytes must be read without a pause, because Cloud Storage ends an idle request. A stream
    that breaks is continued at the byte where it broke.
    """

    def __init__(self, blob: storage.Blob, *, start: int, end: int) -> None:
        """Read the generation that `blob` names, from the byte `start` up to `end`, exclusive."""
        self._blob = blob
        self._start = start
        self._end = end
        self._answer: Response | None = None
        self._crc = self.size = 0

    @property
    def crc32c(self) -> str:
        """Checksum of the bytes read so far, as Cloud Storage writes it."""
        return encoded(self._crc)

    def read(self, count: int) -> bytes:
        """Return `count` bytes; fewer only at the end.

        Raises:
            Gone: the generation does not exist.
            TryAgain: Cloud Storage could not be reached.
        """
        parts: list[bytes] = []
        missing = count
        with reach(f"read {self._blob.name}"):
            # An answer that breaks first gives what has arrived.
            while missing:
                try:
                    part = self._take(missing)
                except HTTPError:
                    self.close()
                    part = self._take(missing)
                if not part:
                    break
                self.size += len(part)
                missing -= len(part)
                parts.append(part)
        data = b"".join(parts)
        self._crc = google_crc32c.extend(self._crc, data)
        return data

    def close(self) -> None:
        """End the request."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _take(self, count: int) -> bytes:
        if self._answer is None:
            self._answer = DEFAULT_RETRY(self._ask)()
        data: bytes = self._answer.raw.read(count)
        return data

    def _ask(self) -> Response:
        client = self._blob.client
        answer: Response = client._http.get(
            f"{client.api_endpoint}/download/storage/v1{self._blob.path}",
            params={"alt": "media", "generation": self._blob.generation},
            headers={
                "Accept-Encoding": "identity",
                "Range": f"bytes={self._start + self.size}-{self._end - 1}",
            },
            timeout=_TIMEOUT,
            stream=True,
        )
        if not answer.ok:
            raise exceptions.from_http_response(answer)  # type: ignore[no-untyped-call]
        if answer.status_code != HTTPStatus.PARTIAL_CONTENT:
            answer.close()
            raise InvalidResponse(answer, "The answer is not the range that was asked for.")
        return answer


class ObjectWriter:
    """An upload of an object, which appears in the bucket when the writer is closed.

    An object of at most `chunk` bytes takes one request.
    """

    def __init__(
        self,
        bucket: storage.Bucket,
        name: str,
        *,
        chunk: int,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        replacing: int | None = None,
    ) -> None:
        """Send `chunk` bytes at a time; `replacing` is the generation that may be replaced."""
        self._blob = bucket.blob(name)
        if metadata is not None:
            self._blob.metadata = metadata
        self._chunk = chunk
        self._conditions = {"content_type": content_type, "if_generation_match": replacing}
        self._first: list[bytes] = []
        """Bytes of an object that may still be sent in one request."""
        self._stream: Any = None
        self._crc = self._size = 0

    def write(self, data: bytes) -> None:
        """Write these bytes after those before."""
        self._size += len(data)
        self._crc = google_crc32c.extend(self._crc, data)
        if self._stream is None:
            self._first.append(data)
            if self._size <= self._chunk:
                return
            data, self._first = b"".join(self._first), []
            self._stream = self._blob.open("wb", chunk_size=self._chunk, **self._conditions)
        with reach(f"write {self._blob.name}"):
            self._stream.write(data)

    def close(self) -> None:
        """Finish the upload, so that the object appears."""
        with reach(f"write {self._blob.name}"):
            if self._stream is not None:
                self._stream.close()
            else:
                self._blob.upload_from_string(
                    b"".join(self._first), checksum="crc32c", **self._conditions
                )

    def finish(self) -> storage.Blob:
        """Finish the upload and return the object, once its size and checksum are confirmed.

        Raises:
            TryAgain: Cloud Storage could not be reached, or does not hold what was written.
        """
        self.close()
        if self._stream is not None:  # the answer to a stream does not describe the object
            with reach(f"look for {self._blob.name}"):
                self._blob.reload()
        if (self._blob.size, self._blob.crc32c) != (self._size, encoded(self._crc)):
            raise TryAgain(f"{self._blob.name} could not be written whole.")
        return self._blob

    def abandon(self) -> None:
        """Cancel the upload if it has not been closed, so that nothing is left."""
        if self._stream is not None and not self._stream.closed:
            with suppress(*FAULTS):
                self._stream.terminate()


def write_object(
    bucket: storage.Bucket,
    name: str,
    data: bytes,
    *,
    content_type: str,
    replacing: int | None = None,
) -> None:
    """Write an object in one call; `replacing` is the generation to replace, 0 for none."""
    with reach(f"write {name}"):
        bucket.blob(name).upload_from_string(
            data, content_type=content_type, checksum="crc32c", if_generation_match=replacing
        )


def copy_object(
    bucket: storage.Bucket, name: str, generation: int, *, to: str, replacing: int | None = None
) -> None:
    """Copy one generation of an object; `replacing` is the generation that may be replaced."""
    with reach(f"copy {name} to {to}"):
        bucket.copy_blob(
            bucket.blob(name, generation=generation),
            bucket,
            to,
            source_generation=generation,
            if_source_generation_match=generation,
            if_generation_match=replacing,
        )


def move_object(
    bucket: storage.Bucket, name: str, generation: int, *, to: str, replacing: int | None
) -> None:
    """Move the current generation of an object; `replacing` is the generation to replace, 0: none.

    Raises:
        Gone, Changed: the object has another generation or is gone, or `replacing` is old.
        TryAgain: Cloud Storage could not be reached.
    """
    with reach(f"move {name} to {to}"):
        try:
            bucket.move_blob(
                bucket.blob(name),
                to,
                if_source_generation_match=generation,
                if_generation_match=replacing,
            )
        except (exceptions.NotFound, exceptions.PreconditionFailed, exceptions.TooManyRequests):
            raise
        except exceptions.ClientError:  # not every kind of bucket can move
            copy_object(bucket, name, generation, to=to, replacing=replacing)
            delete_object(bucket, name, generation)


def move_if_there(
    bucket: storage.Bucket, name: str, generation: int, *, to: str, replacing: int | None
) -> None:
    """Move one generation of an object, unless the generation is gone or `replacing` is old."""
    with suppress(Gone, Changed):
        copy_object(bucket, name, generation, to=to, replacing=replacing)
        delete_object(bucket, name, generation)


def delete_object(bucket: storage.Bucket, name: str, generation: int) -> None:
    """Delete one generation of an object permanently, whether it is current or not."""
    with reach(f"delete {name}"):
        bucket.blob(name, generation=generation).delete()


def delete_if_there(bucket: storage.Bucket, name: str, generation: int) -> bool:
    """Delete one generation of an object permanently; return False if it was gone already."""
    try:
        delete_object(bucket, name, generation)
    except Gone:
        return False
    return True


def delete_current(bucket: storage.Bucket, name: str, generation: int) -> None:
    """Delete an object if this is its current generation."""
    with reach(f"delete {name}"):
        bucket.blob(name).delete(if_generation_match=generation)


def encoded(crc: int) -> str:
    """Return a checksum as Cloud Storage writes it."""
    return base64.b64encode(crc.to_bytes(4, "big")).decode()
