"""Files that hold the bytes of objects, one per content, and their checksums."""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c

_crc32c: Any = google_crc32c.Checksum

PIECE_BYTES = 256 * 1024
"""Bytes of a file that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that are complete. The sums are in base64, as the API has them."""

    id: str
    size: int
    crc32c: str
    md5: str


class Contents:
    """Files of objects. They survive the end of the process; a power cut may lose the last ones."""

    def __init__(self, folder: Path) -> None:
        """Keep the files in `folder`, made where missing."""
        self._folder = folder
        for first in range(256):
            (folder / f"{first:02x}").mkdir(parents=True, exist_ok=True)

    def new(self) -> Draft:
        """Begin a file."""
        draft = self.draft(uuid.uuid4().hex)
        self._path(draft.id).touch(exist_ok=False)
        return draft

    def draft(self, id: str) -> Draft:
        """Continue a file that is not complete."""
        return Draft(id, self._path(id))

    def open(self, id: str) -> BinaryIO:
        """Open a file for reading. It stays readable after it is removed."""
        return self._path(id).open("rb")

    def remove(self, ids: Iterable[str]) -> None:
        """Remove files; missing ones are skipped."""
        for id in ids:
            self._path(id).unlink(missing_ok=True)

    def ids(self) -> Iterator[str]:
        """Yield the id of every file."""
        for folder in self._folder.iterdir():
            for file in folder.iterdir():
                yield file.name

    def _path(self, id: str) -> Path:
        return self._folder / id[:2] / id


class Draft:
    """A file that is being written, by one thread at a time."""

    def __init__(self, id: str, path: Path) -> None:
        self.id = id
        self._path = path

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._path.stat().st_size

    def append(self, pieces: Iterable[bytes]) -> None:
        """Append pieces. Each is handed to the system before the next one is requested."""
        # The file is not created again if the upload was cancelled in the meantime.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            for piece in pieces:
                write_all(descriptor, piece)
        finally:
            os.close(descriptor)

    def cut(self, size: int) -> None:
        """Shorten the file to a size."""
        os.truncate(self._path, size)

    def finish(self) -> Content:
        """Return the complete content with its checksums."""
        crc32c, md5 = _crc32c(), hashlib.md5(usedforsecurity=False)
        size = 0
        with self._path.open("rb") as file:
            for piece in pieces(file):
                crc32c.update(piece)
                md5.update(piece)
                size += len(piece)
        return Content(self.id, size, encode_sum(crc32c.digest()), encode_sum(md5.digest()))


def pieces(file: BinaryIO, *, size: int | None = None) -> Generator[bytes, None, None]:
    """Read from the file's position to its end, or `size` bytes."""
    left = size
    while left is None or left > 0:
        piece = file.read(PIECE_BYTES if left is None else min(PIECE_BYTES, left))
        if not piece:
            return
        if left is not None:
            left -= len(piece)
        yield piece


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it; the system may take less at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def encode_sum(digest: bytes) -> str:
    """Write a sum as the API does."""
    return base64.b64encode(digest).decode("ascii")
