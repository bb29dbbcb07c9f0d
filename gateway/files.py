"""Serves the SFTP operations of one session on the bucket, and explains each refusal to the user.

OpenSSH's `sftp` prints only "Permission denied" or "Failure", not the server's message. So refusals
are also written to the session's standard error, which `sftp` shows.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

import asyncssh
from asyncssh import SFTPAttrs, SFTPName, SFTPVFSAttrs

from gateway.bucket import Bucket, BucketError, Changed, Entry, Missing, Page
from gateway.contents import Contents, file_attrs, folder_attrs
from gateway.download import Blocks, Download
from gateway.limits import Limits
from gateway.paths import BadPath, Place, View
from gateway.refusals import Refusals
from gateway.traffic import Traffic
from gateway.upload import Refused, Upload
from gateway.workers import Workers
from shared.core import LogSeverity, log, log_failure, printable

_MOST_COMPLAINTS = 100
"""Refusals that are also written to standard error; some clients never read it."""
_BLOCKS = 1 << 38
"""Free blocks of 4 KiB that `df` reports. A bucket has no size limit, but clients need a number."""
_MOST_READ = 255 * 1024
"""Bytes of one answer to a read, as in OpenSSH's server. A client asks again for the rest."""

P = ParamSpec("P")
T = TypeVar("T")


def _explained(
    method: Callable[Concatenate[Files, P], Awaitable[T]],
) -> Callable[Concatenate[Files, P], Awaitable[T]]:
    """Turn every exception of a method into an SFTP error that explains it to the user."""

    @functools.wraps(method)
    async def explained(self: Files, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(self, *args, **kwargs)
        except Missing as error:
            raise asyncssh.SFTPNoSuchFile(str(error)) from error
        except (Refused, BadPath) as error:
            raise self._complaint(asyncssh.SFTPPermissionDenied, str(error)) from error
        except Changed as error:
            raise self._complaint(asyncssh.SFTPFailure, str(error)) from error
        except BucketError as error:
            self._log("ERROR", "bucket", f"The bucket failed: {error}")
            raise self._complaint(asyncssh.SFTPFailure, str(error)) from error
        except asyncssh.SFTPError as error:
            if error.code != asyncssh.FX_NO_SUCH_FILE:  # clients often look for missing files
                error.reason = printable(str(error.reason), keep="\n")
                self._complain(error.reason)
            raise
        except Exception as error:
            log_failure("The gateway failed.", error, event="failure", **self._who)
            raise self._complaint(
                asyncssh.SFTPFailure, "The gateway failed. Tell its operator; the log says why."
            ) from error

    return explained


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
        self._stops_quietly = stops_quietly
        self._who = {"user": user, "connection": view.connection or "*", "address": address}
        self._view = view
        self._bucket = bucket
        self._contents = Contents(view, bucket, workers)
        self._workers = workers
        self._limits = limits
        self._traffic = traffic
        self._refusals = refusals
        self._open: dict[Upload | Download, tuple[Place, float]] = {}
        self._appending: set[Upload] = set()
        self._blocks: Blocks = OrderedDict()
        self._complaints = 0
        self.closing = False
        """True while a handle is being closed at the client's request."""

    @property
    def uploading(self) -> bool:
        """True while a file is open for writing."""
        return any(isinstance(handle, Upload) for handle in self._open)

    # -- files -----------------------------------------------------------------------------------

    @_explained
    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> object:
        """Open a file for reading, or for writing if its name is allowed."""
        place = self._view.place(path)
        self._traffic.check_handles(self._user, len(self._open), self._limits)
        if not pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_APPEND):
            return self._opened(await self._reading(place), place)
        if self._traffic.draining:
            raise asyncssh.SFTPFailure("The gateway is restarting. Try again in a minute.")
        self._check_name(place)
        upload = await self._writing(place, pflags)
        self._traffic.uploads.add(upload)
        if pflags & asyncssh.FXF_APPEND:
            self._appending.add(upload)
        return self._opened(upload, place)

    @_explained
    async def close(self, file_obj: object) -> None:
        """Close a file. An upload becomes an object only if the client asked to close it."""
        if file_obj not in self._open:
            return
        place, began = self._open.pop(file_obj)
        self._traffic.handles[self._user] -= 1
        if not isinstance(file_obj, Upload):
            return
        try:
            if not self.closing:
                await self._lose(file_obj, place)
            elif file_obj.untouched:
                await file_obj.abort()
            elif why := await self._traffic.interruptions.suspected(
                file_obj, place, stops_quietly=self._stops_quietly
            ):
                await file_obj.abort()
                self._log("WARNING", "upload_interrupted", why, path=place.shown)
                raise Refused(why)
            else:
                await self._keep(file_obj, place, began)
        finally:
            self._appending.discard(file_obj)
            self._traffic.uploads.discard(file_obj)

    @_explained
    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        """Read from an open file."""
        assert isinstance(file_obj, Upload | Download)
        return await file_obj.read(offset, min(size, _MOST_READ))

    @_explained
    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write to an open file."""
        if not isinstance(file_obj, Upload):
            raise asyncssh.SFTPPermissionDenied("The file is open for reading only.")
        if file_obj in self._appending:
            offset = file_obj.size
        await file_obj.write(offset, data)
        return len(data)

    @_explained
    async def fsync(self, file_obj: object) -> None:
        """Do nothing: a file is safe once it is closed."""

    @_explained
    async def remove(self, path: bytes) -> None:
        """Remove a file."""
        place = self._view.place(path)
        entry = await self._removable(place)
        await self._workers.bucket(self._bucket.delete, entry.name, entry.generation)
        self._contents.forget(entry.name)
        self._log("INFO", "removed", f"Removed {place.shown}.", object=entry.name)

    @_explained
    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename a file to a name that is free."""
        await self._rename(oldpath, newpath, replace=False)

    @_explained
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

    @_explained
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
        self._log("INFO", "folder_made", f"Made the folder {place.shown}.")

    @_explained
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
        self._log("INFO", "folder_removed", f"Removed the folder {place.shown}.")

    # -- attributes ------------------------------------------------------------------------------

    @_explained
    async def stat(self, path: bytes) -> SFTPAttrs:
        """Return the attributes of a file or folder."""
        return await self._contents.attrs(self._view.place(path))

    @_explained
    async def lstat(self, path: bytes) -> SFTPAttrs:
        """Return the same as `stat`: there are no links."""
        return await self._contents.attrs(self._view.place(path))

    @_explained
    async def fstat(self, file_obj: object) -> SFTPAttrs:
        """Return the attributes of an open file."""
        if isinstance(file_obj, Upload):
            return file_attrs(size=file_obj.size, at=datetime.now(UTC), writable=True)
        assert isinstance(file_obj, Download)
        place, _ = self._open[file_obj]
        return self._contents.file_attrs(place, file_obj.entry)

    @_explained
    async def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """Accept and ignore modes, owners and times, because clients set them. Refuse a size."""
        known = await self._contents.attrs(self._view.place(path))
        if attrs.size is not None and attrs.size != known.size:
            raise Refused("A file cannot be cut or stretched in place; upload it again.")

    @_explained
    async def lsetstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """Do as `setstat` does: there are no links."""
        await self.setstat(path, attrs)

    @_explained
    async def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        """Accept the same for an open file, and a new size for a file being written."""
        if attrs.size is None:
            return
        if not isinstance(file_obj, Upload):
            raise asyncssh.SFTPPermissionDenied("The file is open for reading only.")
        await file_obj.truncate(attrs.size)

    @_explained
    async def realpath(self, path: bytes) -> bytes:
        """Resolve a path, which need not exist."""
        return self._view.place(path).shown.encode()

    @_explained
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

    @_explained
    async def fstatvfs(self, file_obj: object) -> SFTPVFSAttrs:
        """Report the same for an open file."""
        return await self.statvfs(b"/")

    @_explained
    async def readlink(self, path: bytes) -> bytes:
        """Refuse: there are no links."""
        raise asyncssh.SFTPFailure("There are no links here.")

    @_explained
    async def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        """Refuse: a bucket has no links."""
        raise Refused("Links cannot be made here.")

    @_explained
    async def link(self, oldpath: bytes, newpath: bytes) -> None:
        """Refuse: a bucket has no links."""
        raise Refused("Links cannot be made here.")

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
        self.closing = False
        for handle in list(self._open):
            with contextlib.suppress(asyncssh.SFTPError):  # logged; no client is left to tell
                await self.close(handle)

    # -- reading and writing ---------------------------------------------------------------------

    def _opened(self, handle: Upload | Download, place: Place) -> Upload | Download:
        self._open[handle] = (place, time.monotonic())
        self._traffic.handles[self._user] += 1
        return handle

    async def _reading(self, place: Place) -> Download:
        entry = await self._contents.existing(place)
        return Download(
            entry=entry, bucket=self._bucket, workers=self._workers, blocks=self._blocks
        )

    async def _writing(self, place: Place, pflags: int) -> Upload:
        entry, generation = None, None
        if not pflags & asyncssh.FXF_TRUNC or pflags & asyncssh.FXF_EXCL:
            entry = await self._contents.find(place)
        if pflags & asyncssh.FXF_EXCL:
            if entry:
                raise asyncssh.SFTPFileAlreadyExists("The file exists.")
            generation = 0
        elif not pflags & asyncssh.FXF_TRUNC:
            if entry is None and not pflags & asyncssh.FXF_CREAT:
                raise asyncssh.SFTPNoSuchFile("There is no such file.")
            # Data meant for one version of a file must not be added to another.
            generation = entry.generation if entry else None
        assert place.object is not None
        upload = Upload(
            name=place.object,
            bucket=self._bucket,
            workers=self._workers,
            limit=self._limits.file_size,
            generation=generation,
            spool_directory=self._limits.spool_directory,
        )
        if entry:
            try:
                await upload.load(entry)
            except BaseException:
                await upload.abort()
                raise
        return upload

    async def _keep(self, upload: Upload, place: Place, began: float) -> None:
        try:
            entry = await upload.commit()
        except (BucketError, Refused) as error:
            self._log("ERROR", "upload_failed", str(error), path=place.shown, object=upload.name)
            raise
        self._contents.remember(entry)
        self._log(
            "INFO",
            "upload",
            f"{place.shown} is in the bucket.",
            path=place.shown,
            object=entry.name,
            generation=str(entry.generation),
            bytes=entry.size,
            seconds=round(time.monotonic() - began, 3),
        )

    async def _lose(self, upload: Upload, place: Place) -> None:
        size = upload.size
        await upload.abort()
        if not upload.untouched:
            self._log(
                "WARNING",
                "upload_lost",
                f"The connection ended in the middle of {place.shown}; nothing of it was kept.",
                path=place.shown,
                object=upload.name,
                bytes=size,
            )

    def _check_name(self, place: Place) -> None:
        """Refuse a name under which nothing may be uploaded, and leave a note about it."""
        arrival = self._limits.arrival()
        reason = self._view.why_not_upload(place, arrival)
        if reason is None:
            return
        self._log("NOTICE", "refused", reason, path=place.shown)
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
            self._log("WARNING", "rename_left_source", str(error), object=entry.name)
        self._contents.forget(entry.name)
        self._log(
            "INFO",
            "renamed",
            f"{source.shown} is now {target.shown}.",
            path=target.shown,
            object=new.name,
            generation=str(new.generation),
            bytes=new.size,
        )

    @_explained
    async def _listing(self, path: bytes) -> tuple[Place, Iterator[Page]]:
        place = self._view.place(path)
        return place, await self._contents.pages(place)

    @_explained
    async def _page(self, pages: Iterator[Page]) -> Page | None:
        return await self._contents.next_page(pages)

    # -- small parts -----------------------------------------------------------------------------

    def _complaint(
        self, kind: Callable[[str], asyncssh.SFTPError], text: str
    ) -> asyncssh.SFTPError:
        text = printable(text, keep="\n")
        self._complain(text)
        return kind(text)

    def _complain(self, text: str) -> None:
        self._complaints += 1
        if self._complaints <= _MOST_COMPLAINTS and not self.channel.is_closing():
            self.channel.write_stderr(f"{text}\r\n".encode())

    def _log(self, severity: LogSeverity, event: str, message: str, **fields: Any) -> None:
        log(severity, message, event=event, **self._who, **fields)


def _showable(name: str) -> bool:
    """Return True if an object's name can be one part of a path."""
    return name not in ("", ".", "..") and "/" not in name and name.isprintable()
