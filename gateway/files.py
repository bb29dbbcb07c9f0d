"""SFTP operations of one session, served on the bucket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import asyncssh
from asyncssh import SFTPAttrs, SFTPName, SFTPVFSAttrs

from gateway.bucket import Bucket, BucketError, Changed, Entry, Page
from gateway.complaints import Complaints, explained
from gateway.contents import Contents, file_attrs, folder_attrs
from gateway.download import Download
from gateway.handles import Handles
from gateway.limits import Limits
from gateway.paths import Place, View
from gateway.refusals import Refusals
from gateway.traffic import Traffic
from gateway.upload import Refused, Upload
from gateway.workers import Workers

_BLOCKS = 1 << 38
"""Free blocks of 4 KiB that `df` reports. A bucket has no size limit, but clients need a number."""
_MOST_READ = 255 * 1024
"""Bytes of one answer to a read, as in OpenSSH's server. A client asks again for the rest."""


class Files(asyncssh.SFTPServer):
    """Open files and operations of one session. asyncssh calls one method at a time."""

    def __init__(
        self,
        chan: asyncssh.SSHServerChannel[bytes],
        *,
        user: str,
        address: str,
        stops_quietly: bool,
        view: View,
        bucket: Bucket,
        workers: Workers,
        limits: Limits,
        traffic: Traffic,
        refusals: Refusals,
    ) -> None:
        """`stops_quietly`: an interrupted client closes a file as if it were complete."""
        super().__init__(chan)
        self._user = user
        self._view = view
        self._bucket = bucket
        self._contents = Contents(view, bucket, workers)
        self._workers = workers
        self._limits = limits
        self._traffic = traffic
        self._refusals = refusals
        self.complaints = Complaints(
            chan, {"user": user, "connection": view.connection or "*", "address": address}
        )
        self.handles = Handles(
            user=user,
            stops_quietly=stops_quietly,
            bucket=bucket,
            contents=self._contents,
            workers=workers,
            limits=limits,
            traffic=traffic,
            complaints=self.complaints,
        )

    # -- files -----------------------------------------------------------------------------------

    @explained
    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> object:
        """Open a file for reading, or for writing if its name is allowed."""
        place = self._view.place(path)
        self.handles.check()
        if not pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_APPEND):
            return await self.handles.read(place)
        if self._traffic.draining:
            raise asyncssh.SFTPFailure("The gateway is restarting. Try again in a minute.")
        self._check_name(place)
        return await self.handles.write(place, pflags)

    @explained
    async def close(self, file_obj: object) -> None:
        """Close a file. An upload becomes an object only if the client asked to close it."""
        await self.handles.close(file_obj)

    @explained
    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        """Read from an open file."""
        assert isinstance(file_obj, Upload | Download)
        return await file_obj.read(offset, min(size, _MOST_READ))

    @explained
    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write to an open file."""
        if not isinstance(file_obj, Upload):
            raise asyncssh.SFTPPermissionDenied("The file is open for reading only.")
        await file_obj.write(self.handles.offset(file_obj, offset), data)
        return len(data)

    @explained
    async def fsync(self, file_obj: object) -> None:
        """Do nothing: a file is safe once it is closed."""

    @explained
    async def remove(self, path: bytes) -> None:
        """Remove a file."""
        place = self._view.place(path)
        entry = await self._removable(place)
        await self._workers.bucket(self._bucket.delete, entry.name, entry.generation)
        self._contents.forget(entry.name)
        self.complaints.log("INFO", "removed", f"Removed {place.shown}.", object=entry.name)

    @explained
    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename a file to a name that is free."""
        await self._rename(oldpath, newpath, replace=False)

    @explained
    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename a file and replace any file that has the new name."""
        await self._rename(oldpath, newpath, replace=True)

    # -- folders ---------------------------------------------------------------------------------

    async def scandir(self, path: bytes) -> AsyncIterator[SFTPName]:
        """List a folder, page by page."""
        place, pages = await self._listing(path)
        for dots in (b".", b".."):
            yield SFTPName(dots, attrs=self._contents.folder_attrs(place))
        listed = set(self._view.always_in(place))
        for name in sorted(listed):
            yield SFTPName(name.encode(), attrs=folder_attrs(writable=name != "processed"))
        below = self._view.below(place) or ""
        while (page := await self._page(pages)) is not None:
            for folder in page.folders:
                name = folder[len(below) : -1]
                if _showable(name) and name not in listed:
                    listed.add(name)
                    yield SFTPName(name.encode(), attrs=self._contents.folder_attrs(place))
            for entry in page.entries:
                name = entry.name[len(below) :]
                if _showable(name) and name not in listed:
                    yield SFTPName(name.encode(), attrs=self._contents.file_attrs(place, entry))

    @explained
    async def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:
        """Make a connection's folder. An existing folder counts as made."""
        place = self._view.place(path)
        if await self._contents.is_folder(place):
            return
        if reason := self._view.why_not_make(place):
            raise Refused(reason)
        if await self._contents.find(place):
            raise Refused(f"{place.shown} is a file.")
        await self._workers.bucket(self._bucket.mark, f"{place.object}/")
        self.complaints.log("INFO", "folder_made", f"Made the folder {place.shown}.")

    @explained
    async def rmdir(self, path: bytes) -> None:
        """Remove an empty folder that was made with `mkdir`."""
        place = self._view.place(path)
        below = self._view.below(place)
        if self._view.always_there(place):
            raise Refused(f"{place.shown} is always there.")
        if below is None or not await self._contents.is_folder(place):
            raise asyncssh.SFTPNoSuchFile("There is no such folder.")
        page = await self._page(await self._workers.bucket(self._bucket.pages, below))
        entries = page.entries if page else ()
        if not page or page.folders or [entry.name for entry in entries] != [below]:
            raise asyncssh.SFTPFailure("The folder is not empty.")
        await self._workers.bucket(self._bucket.delete, below, entries[0].generation)
        self.complaints.log("INFO", "folder_removed", f"Removed the folder {place.shown}.")

    # -- attributes ------------------------------------------------------------------------------

    @explained
    async def stat(self, path: bytes) -> SFTPAttrs:
        """Return the attributes of a file or folder."""
        return await self._contents.attrs(self._view.place(path))

    lstat = stat  # there are no links

    @explained
    async def fstat(self, file_obj: object) -> SFTPAttrs:
        """Return the attributes of an open file."""
        if isinstance(file_obj, Upload):
            return file_attrs(size=file_obj.size, at=datetime.now(UTC), writable=True)
        assert isinstance(file_obj, Download)
        return self._contents.file_attrs(self.handles.place(file_obj), file_obj.entry)

    @explained
    async def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """Accept and ignore modes, owners and times, because clients set them. Refuse a size."""
        known = await self._contents.attrs(self._view.place(path))
        if attrs.size is not None and attrs.size != known.size:
            raise Refused("A file cannot be cut or stretched in place; upload it again.")

    lsetstat = setstat

    @explained
    async def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        """Accept the same for an open file, and a new size for a file being written."""
        if attrs.size is None:
            return
        if not isinstance(file_obj, Upload):
            raise asyncssh.SFTPPermissionDenied("The file is open for reading only.")
        await file_obj.truncate(attrs.size)

    @explained
    async def realpath(self, path: bytes) -> bytes:
        """Resolve a path, which need not exist."""
        return self._view.place(path).shown.encode()

    @explained
    async def statvfs(self, path: bytes) -> SFTPVFSAttrs:
        """Report free space to `df`."""
        return SFTPVFSAttrs(
            bsize=4096,
            frsize=4096,
            blocks=_BLOCKS,
            bfree=_BLOCKS,
            bavail=_BLOCKS,
            files=_BLOCKS,
            ffree=_BLOCKS,
            favail=_BLOCKS,
            fsid=0,
            flags=0,
            namemax=255,
        )

    @explained
    async def fstatvfs(self, file_obj: object) -> SFTPVFSAttrs:
        """Report the same for an open file."""
        return await self.statvfs(b"/")

    @explained
    async def readlink(self, path: bytes) -> bytes:
        """Refuse: there are no links."""
        raise asyncssh.SFTPFailure("There are no links here.")

    @explained
    async def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        """Refuse: a bucket has no links."""
        raise Refused("Links cannot be made here.")

    link = symlink

    def format_user(self, uid: int | None) -> str:
        """Name the owner in listings."""
        return self._user[:8]

    def format_group(self, gid: int | None) -> str:
        """Name the group in listings."""
        return "sftp"

    def exit(self) -> None:
        """End the session with exit status 0, which scp checks."""
        if not self.channel.is_closing():
            self.channel.exit(0)

    async def abandon(self) -> None:
        """Close every handle that is still open, and discard its upload."""
        self.handles.closing = False
        for handle in self.handles.all():
            with contextlib.suppress(asyncssh.SFTPError):  # logged; no client is left to tell
                await self.close(handle)

    # -- parts -----------------------------------------------------------------------------------

    def _check_name(self, place: Place) -> None:
        """Refuse a name under which nothing may be uploaded, and leave a note about it."""
        arrival = self._limits.arrival()
        reason = self._view.why_not_upload(place, arrival)
        if reason is None:
            return
        self.complaints.log("NOTICE", "refused", reason, path=place.shown)
        if place.object is not None and not self._view.always_there(place):
            self._refusals.note(self._user, place.object, arrival)
        raise Refused(reason)

    async def _removable(self, place: Place) -> Entry:
        if reason := self._view.why_not_remove(place):
            raise Refused(reason)
        return await self._contents.existing(place)

    async def _rename(self, oldpath: bytes, newpath: bytes, *, replace: bool) -> None:
        source, target = self._view.place(oldpath), self._view.place(newpath)
        entry = await self._removable(source)
        self._check_name(target)
        assert target.object is not None
        if target.object == source.object:
            return
        try:
            new = await self._workers.bucket(
                self._bucket.copy, entry, target.object, generation=None if replace else 0
            )
        except Changed:
            if not replace and await self._contents.find(target):
                raise asyncssh.SFTPFileAlreadyExists(f"{target.shown} exists.") from None
            raise
        # The new name now has the whole file, so a source that cannot be deleted is no failure.
        self._contents.remember(new)
        try:
            await self._workers.bucket(self._bucket.delete, entry.name, entry.generation)
        except BucketError as error:
            self.complaints.log("WARNING", "rename_left_source", str(error), object=entry.name)
        self._contents.forget(entry.name)
        self.complaints.log(
            "INFO",
            "renamed",
            f"{source.shown} is now {target.shown}.",
            path=target.shown,
            object=new.name,
            generation=str(new.generation),
            bytes=new.size,
        )

    @explained
    async def _listing(self, path: bytes) -> tuple[Place, Iterator[Page]]:
        place = self._view.place(path)
        return place, await self._contents.pages(place)

    @explained
    async def _page(self, pages: Iterator[Page]) -> Page | None:
        return await self._contents.next_page(pages)


def _showable(name: str) -> bool:
    """Return True if an object's name can be one part of a path."""
    return name not in ("", ".", "..") and "/" not in name and name.isprintable()
