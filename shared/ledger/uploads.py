"""The uploaded object of an import: found, read with a check of every byte, and moved."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, cast

import google.cloud.storage as storage

from shared.core import FileRejected, Problem, TryAgain
from shared.files import ExportFile, read_name
from shared.gcp.storage import (
    Changed,
    Gone,
    ObjectReader,
    find_object,
    move_if_there,
    move_object,
)
from shared.ledger.imports import Import

READ_BYTES = 4 * 1024 * 1024
"""Bytes fetched from Cloud Storage per request."""

ERASED = "crc32c-before-erasure"
"""Metadata key of an object from which a person was erased: its earlier checksums, separated by
blanks."""


class Source:
    """The content of one import. It can be read several times, and is the same each time."""

    def __init__(self, bucket: storage.Bucket, import_: Import) -> None:
        self._bucket = bucket
        self._import = import_

    def open(self) -> BinaryIO:
        """Return a stream of the stored bytes, where the file was uploaded or in `processed/`.

        Reading raises what `find` raises. Reading to the end raises TryAgain if size or checksum
        are not those of the upload.
        """
        import_ = self._import
        blob = self._bucket.blob(import_.object, generation=import_.generation)
        if not import_.size:
            blob = self.find()  # nothing is read of it
        checked = _Checked(ObjectReader(blob, chunk=READ_BYTES), import_, find=self.find)
        return cast("BinaryIO", io.BufferedReader(checked, READ_BYTES))

    def move_to_processed(self, *, present: Callable[[], bool]) -> None:
        """Move the object to `processed/`, unless that was done before.

        A newer upload under the same name is neither moved nor written over. `present` returns
        True while the ledger still has this import.

        Raises:
            FileRejected: the object is in neither place.
            TryAgain: Cloud Storage or the ledger could not be reached.
        """
        named, generation = read_name(self._import.object), self._import.generation
        if not isinstance(named, ExportFile) or not present():
            return
        bucket, to = self._bucket, named.processed
        with suppress(Gone, Changed):
            move_object(bucket, named.object, generation, to=to, replacing=0)
            return
        if self.find().name != named.object:
            return
        moved = find_object(bucket, to)
        if present():
            replacing = 0 if moved is None else int(moved.generation)
            move_if_there(bucket, named.object, generation, to=to, replacing=replacing)

    def find(self) -> storage.Blob:
        """Find the object where it was uploaded, or in `processed/`.

        Raises:
            FileRejected: the object is in neither place.
            TryAgain: Cloud Storage could not be reached, or a person is being erased from the file.
        """
        import_ = self._import
        blob = find_object(self._bucket, import_.object, import_.generation)
        if blob is not None:
            return blob
        named = read_name(import_.object)
        if isinstance(named, ExportFile):
            moved = find_object(self._bucket, named.processed)
            if moved is not None and import_.crc32c in _before_erasures(moved):
                # The erasure writes the new checksum into the ledger a moment later.
                raise TryAgain(f"A person is being erased from {moved.name}.")
            if moved is not None and moved.crc32c == import_.crc32c and moved.size == import_.size:
                return moved
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
    """Move an upload aside that a newer upload of another name has superseded.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    to = file.superseded(generation)
    move_if_there(bucket, file.object, generation, to=to, replacing=None)


class _Checked(io.RawIOBase):
    """A stream that raises TryAgain at its end if the bytes are not those of the upload."""

    def __init__(
        self, raw: ObjectReader, import_: Import, *, find: Callable[[], storage.Blob]
    ) -> None:
        self._raw = raw
        self._import = import_
        self._find = find

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        whole = self._raw.size == self._import.size  # a further read would cost a request
        block = b"" if whole else self._read(len(buffer))
        if not block:
            if (self._raw.size, self._raw.crc32c) != (self._import.size, self._import.crc32c):
                raise TryAgain(f"{self._import.object} could not be read whole.")
            return 0
        buffer[: len(block)] = block
        return len(block)

    def _read(self, size: int) -> bytes:
        try:
            return self._raw.read(size)
        except Gone:
            found = self._find()
            if self._raw.size:  # the object was moved, or a person was erased from it
                raise TryAgain(
                    f"{self._import.object} was moved while it was being read."
                ) from None
        self._raw = ObjectReader(found, chunk=READ_BYTES)
        return self._raw.read(size)
