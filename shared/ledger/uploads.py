"""Where the bytes of an import are, and whether all of them have been read."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, TypeVar, cast

import google.cloud.storage as storage
import google_crc32c
from google.api_core import exceptions
from google.resumable_media import DataCorruption
from requests.exceptions import RequestException

from shared.core import FileRejected, Problem, TryAgain
from shared.files import ExportFile, read_name
from shared.ledger.imports import Import

_T = TypeVar("_T")

READ_BYTES = 4 * 1024 * 1024
"""Bytes fetched from Cloud Storage at a time."""

ERASED = "crc32c-before-erasure"
"""Metadata of an object from which a person was erased: the checksums that it had before."""

_PASSING = (exceptions.GoogleAPICallError, exceptions.RetryError, RequestException, DataCorruption)


class Source:
    """The content of one import, which can be read several times and is the same each time."""

    def __init__(self, bucket: storage.Bucket, import_: Import) -> None:
        """Find the object, where it was uploaded or where an earlier run has moved it.

        Raises:
            FileRejected: it is in neither place.
            TryAgain: Cloud Storage could not be reached, or somebody is being erased from it.
        """
        self._bucket = bucket
        self._import = import_
        self._blob = self._find()

    def open(self) -> BinaryIO:
        """Return a stream of the stored bytes, checked against the checksum at its end."""
        raw = self._blob.open("rb", chunk_size=READ_BYTES, raw_download=True)
        checked = _Checked(raw, self._import, find_again=self._find)
        return cast("BinaryIO", io.BufferedReader(checked, READ_BYTES))

    def move_to_processed(self, *, present: Callable[[], bool]) -> None:
        """Move the object to `processed/`; does nothing if that has been done before.

        A newer upload that has taken the name meanwhile stays where it is, and one that has been
        moved already is not written over. `present` says whether the import is still the ledger's.

        Raises:
            TryAgain: Cloud Storage or the ledger could not be reached.
        """
        named = read_name(self._import.object)
        if not isinstance(named, ExportFile) or self._blob.name != named.object:
            return
        there = _try(lambda: self._bucket.get_blob(named.processed))
        if present():
            _move(
                self._bucket,
                named.object,
                self._import.generation,
                to=named.processed,
                replacing=0 if there is None else int(there.generation),
            )

    def _find(self) -> storage.Blob:
        import_ = self._import
        blob = self._bucket.blob(import_.object, generation=import_.generation)
        if _try(blob.exists):
            return blob
        named = read_name(import_.object)
        if isinstance(named, ExportFile):
            moved = _try(lambda: self._bucket.get_blob(named.processed))
            if moved is not None and import_.crc32c in _before_erasures(moved):
                # The erasure tells the ledger of the new checksum a moment later.
                raise TryAgain(f"Somebody is being erased from {moved.name}.")
            if moved is not None and moved.crc32c == import_.crc32c and moved.size == import_.size:
                return self._bucket.blob(named.processed, generation=moved.generation)
        raise FileRejected(
            Problem(
                code="file.gone",
                message=f"{import_.object} is no longer in the bucket as it was uploaded.",
            )
        )


def _before_erasures(blob: storage.Blob) -> list[str]:
    metadata: dict[str, str] = blob.metadata or {}
    return metadata.get(ERASED, "").split()


def put_aside(bucket: storage.Bucket, file: ExportFile, generation: int) -> None:
    """Move an upload away that a newer one of another name has superseded.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    _move(bucket, file.object, generation, to=file.superseded(generation), replacing=None)


def _move(
    bucket: storage.Bucket, name: str, generation: int, *, to: str, replacing: int | None
) -> None:
    """Move one generation of an object; does nothing where that is not, or no longer, possible."""
    gone = (exceptions.NotFound, exceptions.PreconditionFailed)
    blob = bucket.blob(name, generation=generation)
    with suppress(*gone):
        _try(
            lambda: bucket.copy_blob(
                blob,
                bucket,
                to,
                source_generation=generation,
                if_source_generation_match=generation,
                if_generation_match=replacing,
            ),
            but=gone,
        )
        _try(lambda: blob.delete(if_generation_match=generation), but=gone)


class _Checked(io.RawIOBase):
    """Passes a stream on, and fails at its end unless it was the content that was uploaded."""

    def __init__(self, raw: Any, import_: Import, *, find_again: Callable[[], object]) -> None:
        self._raw = raw
        self._import = import_
        self._find_again = find_again
        self._size = 0
        self._crc = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        whole = self._size == self._import.size  # to ask for more would cost a request
        block = b"" if whole else self._read(len(buffer))
        if not block:
            crc32c = base64.b64encode(self._crc.to_bytes(4, "big")).decode()
            if self._size != self._import.size or crc32c != self._import.crc32c:
                raise TryAgain(f"{self._import.object} could not be read whole.")
            return 0
        self._size += len(block)
        self._crc = google_crc32c.extend(self._crc, block)
        buffer[: len(block)] = block
        return len(block)

    def _read(self, size: int) -> bytes:
        try:
            block: bytes = _try(lambda: self._raw.read(size), but=(exceptions.NotFound,))
        except exceptions.NotFound:
            self._find_again()
            # It was put away, or somebody was erased from it.
            raise TryAgain(f"{self._import.object} was moved while it was being read.") from None
        return block


def _try(call: Callable[[], _T], *, but: tuple[type[Exception], ...] = ()) -> _T:
    try:
        return call()
    except but:
        raise
    except _PASSING as error:
        raise TryAgain(f"Cloud Storage cannot be reached: {type(error).__name__}") from error
