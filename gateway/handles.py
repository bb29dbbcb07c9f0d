"""Open files of one session: they are opened, kept in the bucket once closed, or lost."""

from __future__ import annotations

import time
from collections import OrderedDict

import asyncssh

from gateway.bucket import Bucket, BucketError
from gateway.complaints import Complaints
from gateway.contents import Contents
from gateway.download import Blocks, Download
from gateway.limits import Limits
from gateway.paths import Place
from gateway.traffic import Traffic
from gateway.upload import Refused, Upload
from gateway.workers import Workers


class Handles:
    """Open files of one session.

    Attributes: closing: True while a handle is being closed at the client's request.
    """

    def __init__(
        self,
        *,
        user: str,
        stops_quietly: bool,
        bucket: Bucket,
        contents: Contents,
        workers: Workers,
        limits: Limits,
        traffic: Traffic,
        complaints: Complaints,
    ) -> None:
        """`stops_quietly`: an interrupted client closes a file as if it were complete."""
        self._user = user
        self._stops_quietly = stops_quietly
        self._bucket = bucket
        self._contents = contents
        self._workers = workers
        self._limits = limits
        self._traffic = traffic
        self._complaints = complaints
        self._open: dict[Upload | Download, tuple[Place, float]] = {}
        self._appending: set[Upload] = set()
        self._blocks: Blocks = OrderedDict()
        self.closing = False

    @property
    def uploading(self) -> bool:
        """True while a file is open for writing."""
        return any(isinstance(handle, Upload) for handle in self._open)

    def all(self) -> list[Upload | Download]:
        """Return the files that are open."""
        return list(self._open)

    def place(self, download: Download) -> Place:
        """Return the place of an open file."""
        return self._open[download][0]

    def check(self) -> None:
        """Refuse another open file at a limit; see `Traffic.check_handles`."""
        self._traffic.check_handles(self._user, len(self._open), self._limits)

    async def read(self, place: Place) -> Download:
        """Open a file for reading."""
        entry = await self._contents.existing(place)
        download = Download(
            entry=entry, bucket=self._bucket, workers=self._workers, blocks=self._blocks
        )
        self._opened(download, place)
        return download

    async def write(self, place: Place, pflags: int) -> Upload:
        """Open a file for writing."""
        upload = await self._begun(place, pflags)
        self._traffic.uploads.add(upload)
        if pflags & asyncssh.FXF_APPEND:
            self._appending.add(upload)
        self._opened(upload, place)
        return upload

    def offset(self, upload: Upload, offset: int) -> int:
        """Return the offset at which data are written: the end of a file opened for appending."""
        return upload.size if upload in self._appending else offset

    async def close(self, handle: object) -> None:
        """Close a file. An upload becomes an object only if the client asked to close it."""
        if handle not in self._open:
            return
        place, began = self._open.pop(handle)
        self._traffic.handles[self._user] -= 1
        if not isinstance(handle, Upload):
            return
        try:
            if not self.closing:
                await self._lose(handle, place)
            elif handle.untouched:
                await handle.abort()
            elif why := await self._traffic.interruptions.suspected(
                handle, place, stops_quietly=self._stops_quietly
            ):
                await handle.abort()
                self._complaints.log("WARNING", "upload_interrupted", why, path=place.shown)
                raise Refused(why)
            else:
                await self._keep(handle, place, began)
        finally:
            self._appending.discard(handle)
            self._traffic.uploads.discard(handle)

    def _opened(self, handle: Upload | Download, place: Place) -> None:
        self._open[handle] = (place, time.monotonic())
        self._traffic.handles[self._user] += 1

    async def _begun(self, place: Place, pflags: int) -> Upload:
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
        log = self._complaints.log
        try:
            entry = await upload.commit()
        except (BucketError, Refused) as error:
            log("ERROR", "upload_failed", str(error), path=place.shown, object=upload.name)
            raise
        self._contents.remember(entry)
        log(
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
            self._complaints.log(
                "WARNING",
                "upload_lost",
                f"The connection ended in the middle of {place.shown}; nothing of it was kept.",
                path=place.shown,
                object=upload.name,
                bytes=size,
            )
