"""Shows the bucket to one user as files and folders, and remembers what was just uploaded."""

from __future__ import annotations

import stat
import time
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime

import asyncssh
from asyncssh import SFTPAttrs

from gateway.bucket import Bucket, Entry, Page
from gateway.paths import Place, View
from gateway.workers import Workers

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Time reported for folders; the bucket stores none."""
_REMEMBERED = 64
_REMEMBERED_SECONDS = 60.0


class Contents:
    """The files and folders that one session can see."""

    def __init__(self, view: View, bucket: Bucket, workers: Workers) -> None:
        self._view = view
        self._bucket = bucket
        self._workers = workers
        self._uploaded: OrderedDict[str, tuple[Entry, float]] = OrderedDict()

    async def find(self, place: Place) -> Entry | None:
        """Look up a file; None if there is none or the path is not a file."""
        if place.object is None or self._view.always_there(place):
            return None
        return await self._workers.bucket(self._bucket.find, place.object)

    async def existing(self, place: Place) -> Entry:
        """Look up a file that has to exist.

        Raises:
            SFTPNoSuchFile: there is nothing.
            SFTPFailure: it is a folder.
        """
        if entry := await self.find(place):
            return entry
        if await self.is_folder(place):
            raise asyncssh.SFTPFailure(f"{place.shown} is a folder.")
        raise asyncssh.SFTPNoSuchFile("There is no such file.")

    async def is_folder(self, place: Place) -> bool:
        """Return True if the path is a folder."""
        if self._view.always_there(place):
            return True
        below = self._view.below(place)
        return below is not None and await self._workers.bucket(self._bucket.any_below, below)

    async def pages(self, place: Place) -> Iterator[Page]:
        """Begin to list a folder.

        Raises:
            SFTPNoSuchFile: there is no such folder.
        """
        if not await self.is_folder(place):
            raise asyncssh.SFTPNoSuchFile("There is no such folder.")
        below = self._view.below(place)
        if below is None:
            return iter(())
        return await self._workers.bucket(self._bucket.pages, below)

    async def next_page(self, pages: Iterator[Page]) -> Page | None:
        """Return the next page of a listing; None after the last one."""
        return await self._workers.bucket(next, pages, None)

    async def attrs(self, place: Place) -> SFTPAttrs:
        """Return the attributes of a file, a folder, or a file that was just uploaded.

        Raises:
            SFTPNoSuchFile: there is nothing.
        """
        if entry := await self.find(place):
            return self.file_attrs(place, entry)
        if await self.is_folder(place):
            return self.folder_attrs(place)
        if entry := self._just_uploaded(place):
            return self.file_attrs(place, entry)
        raise asyncssh.SFTPNoSuchFile("There is no such file.")

    def file_attrs(self, place: Place, entry: Entry) -> SFTPAttrs:
        """Return the attributes of a file in the bucket."""
        writable = self._view.why_not_remove(place) is None
        return file_attrs(size=entry.size, at=entry.updated, writable=writable)

    def folder_attrs(self, place: Place) -> SFTPAttrs:
        """Return the attributes of a folder."""
        return folder_attrs(writable=self._view.why_not_remove(place) is None)

    def remember(self, entry: Entry) -> None:
        """Remember an upload for a short time.

        Many clients check after every upload that the file exists, and fail the upload if it does
        not. By then, the pipeline may have loaded the file and moved it to processed/.
        """
        self._uploaded[entry.name] = (entry, time.monotonic())
        self._uploaded.move_to_end(entry.name)
        while len(self._uploaded) > _REMEMBERED:
            self._uploaded.popitem(last=False)

    def forget(self, name: str) -> None:
        """Forget an upload that was removed or renamed."""
        self._uploaded.pop(name, None)

    def _just_uploaded(self, place: Place) -> Entry | None:
        entry, at = self._uploaded.get(place.object or "", (None, 0.0))
        return entry if entry and time.monotonic() - at < _REMEMBERED_SECONDS else None


def file_attrs(*, size: int, at: datetime, writable: bool) -> SFTPAttrs:
    """Return the attributes of a file."""
    return _attrs(stat.S_IFREG | (0o644 if writable else 0o444), at, size=size)


def folder_attrs(*, writable: bool) -> SFTPAttrs:
    """Return the attributes of a folder."""
    return _attrs(stat.S_IFDIR | (0o755 if writable else 0o555), _EPOCH, size=0)


def _attrs(permissions: int, at: datetime, *, size: int) -> SFTPAttrs:
    seconds = int(at.timestamp())
    return SFTPAttrs(
        size=size, uid=0, gid=0, permissions=permissions, atime=seconds, mtime=seconds, nlink=1
    )
