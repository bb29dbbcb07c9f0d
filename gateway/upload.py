"""One file on its way from a client's writes to an object in the bucket.

What arrives is spooled to disk and, as far as it has arrived without a gap, sent on in chunks
while the client is still writing, so that closing a large file takes no longer than closing a
small one. The object comes into being in `commit` and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from gateway.bucket import Bucket, Entry, Sending, SessionLost
from gateway.spool import Spool, TooScattered
from gateway.workers import Workers

CHUNK = 512 * 1024
"""Bytes sent to the bucket in one request; a multiple of 256 KiB."""
_BACKLOG = 32 * CHUNK
"""Bytes by which a client may be ahead of the bucket before its writes have to wait."""
_OPENSSH_BLOCKS = (32 * 1024, 255 * 1024)
"""Bytes of OpenSSH's writes: its default, and the most that a server may announce to it."""
_SMALLEST_BLOCK = 16 * 1024
"""Bytes of the smallest block that an option of its `sftp` is likely to ask for."""


class Refused(Exception):
    """What the client asked for cannot be done; the text is fit for the user's eyes."""


class Upload:
    """An open handle for writing. Its methods are called one at a time."""

    def __init__(
        self,
        *,
        name: str,
        bucket: Bucket,
        workers: Workers,
        limit: int,
        generation: int | None,
        spool_directory: Path | None = None,
    ) -> None:
        """`generation`: the one the object must replace (0: none at all); None: any or none."""
        self.name = name
        self._bucket = bucket
        self._workers = workers
        self._limit = limit
        self._generation = generation
        self._spool = Spool(spool_directory)
        self._sending: Sending | None = None
        self._handed = 0
        """Bytes from the first on that the bucket has, or that are being handed to it."""
        self._rewritten = False
        """Whether some of those were changed afterwards: then all has to be sent again."""
        self._pump: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._over = False
        self._block: int | None = None
        """The size of every write so far; 0 once they differ."""
        self._several = False
        """Whether there was more than one write."""
        self.untouched = False
        """Whether this is an existing object that nothing has been written to."""

    @property
    def size(self) -> int:
        """Bytes of the file as it now is."""
        return self._spool.size

    async def load(self, entry: Entry) -> None:
        """Begin with the content of an existing object, to be changed or continued."""

        def fetch(start: int) -> None:
            end = min(start + CHUNK, entry.size)
            self._spool.write(start, self._bucket.read(entry.name, entry.generation, start, end))

        for start in range(0, entry.size, CHUNK):
            with self._taking():
                await self._workers.bucket(fetch, start)
        self.untouched = True

    async def read(self, offset: int, size: int) -> bytes:
        """Return what was written."""
        return await self._workers.disk(self._spool.read, offset, size)

    async def write(self, offset: int, data: bytes) -> None:
        """Take bytes. Raises Refused and BucketError, also for what befell earlier ones."""
        self._raise_failure()
        self._check_size(offset + len(data))
        self.untouched = False
        self._several = self._block is not None
        self._block = len(data) if self._block in (None, len(data)) else 0
        again = offset < self._spool.prefix
        await self._store(offset, data)
        if again and offset < self._handed:
            self._rewritten = True
        self._pump_on()
        while self._pump and self._ahead > _BACKLOG:
            await asyncio.wait((self._pump,))
            self._raise_failure()
            self._pump_on()

    async def truncate(self, size: int) -> None:
        """Cut the file or announce its size; what is announced has still to be written."""
        self._raise_failure()
        self._check_size(size)
        if size == self._spool.size:
            return
        self.untouched = False
        await self._workers.disk(self._spool.truncate, size)
        if size < self._handed:
            self._rewritten = True

    @property
    def full_blocks_only(self) -> bool:
        """Whether the file may end as OpenSSH's `sftp` leaves it after Ctrl-C.

        It stops reading, and then closes the remote file as if that had been all of it. So the
        last block is as full as all the others; of whole files one in 32,768 looks like that.
        """
        block = self._block or 0
        usual = block >= _SMALLEST_BLOCK and not block % 1024
        return usual if self._several else block in _OPENSSH_BLOCKS

    async def ends_a_line(self) -> bool:
        """Whether the last byte so far is a line end."""
        return await self.read(self.size - 1, 1) == b"\n"

    async def digest(self) -> bytes:
        """Return the SHA-256 of what has been written."""

        def reckon() -> bytes:
            sha = hashlib.sha256()
            for start in range(0, self._spool.size, CHUNK):
                sha.update(self._spool.read(start, CHUNK))
            return sha.digest()

        return await self._workers.disk(reckon)

    async def commit(self) -> Entry:
        """Make it an object, whole. Raises Refused and BucketError; then nothing is left."""
        try:
            if self._pump:
                await asyncio.wait((self._pump,))
            self._raise_failure()
            if gap := self._spool.gap:
                raise Refused(
                    f"Bytes {gap[0]:,} to {gap[1]:,} of the file never arrived. Upload it again, "
                    "in one piece."
                )
            return await self._finish()
        finally:
            await self.abort()

    async def abort(self) -> None:
        """Leave nothing behind. Can be called twice, and does no harm after `commit`."""
        self._over = True
        await self._cancel_sending()
        if self._pump:
            await asyncio.wait((self._pump,))
            await self._cancel_sending()  # if it was just being begun
        await self._workers.disk(self._spool.close)

    # -- the way to the bucket -----------------------------------------------------------------

    @property
    def _ahead(self) -> int:
        """Bytes that could be handed over and have not been."""
        return 0 if self._rewritten else self._spool.prefix - self._handed

    def _pump_on(self) -> None:
        if self._ahead >= CHUNK and not self._over and (self._pump is None or self._pump.done()):
            self._pump = asyncio.create_task(self._send_chunks())

    async def _send_chunks(self) -> None:
        """Send whole chunks for as long as there are any; a failure waits for the next call."""
        try:
            while self._ahead >= CHUNK and not self._over:
                await self._send_chunk()
        except SessionLost:
            self._rewritten = True
        except Exception as error:
            self._failure = error

    async def _send_chunk(self) -> None:
        start, self._handed = self._handed, self._handed + CHUNK
        sending = await self._begun()

        def send() -> bool:
            # Read only now that a thread is free: many waiting uploads hold no chunk each.
            data = self._spool.read(start, CHUNK)
            if len(data) < CHUNK:  # the client has just cut the file back
                return False
            sending.send(data)
            return True

        if not await self._workers.bucket(send):
            self._rewritten = True

    async def _begun(self) -> Sending:
        if self._sending is None:
            self._sending = await self._workers.bucket(
                self._bucket.begin, self.name, generation=self._generation
            )
        return self._sending

    async def _finish(self) -> Entry:
        if not self._rewritten:
            with contextlib.suppress(SessionLost):  # the spool still has it all
                return await self._send_rest()
        await self._cancel_sending()
        self._handed = 0
        return await self._send_rest()

    async def _send_rest(self) -> Entry:
        while self._spool.size - self._handed > CHUNK:
            await self._send_chunk()
        sending = await self._begun()
        entry = await self._workers.bucket(
            lambda: sending.finish(self._spool.read(self._handed, CHUNK))
        )
        self._sending = None
        return entry

    async def _cancel_sending(self) -> None:
        sending, self._sending = self._sending, None
        if sending:
            await self._workers.bucket(sending.cancel)

    # -- small parts ---------------------------------------------------------------------------

    async def _store(self, offset: int, data: bytes) -> None:
        with self._taking():
            await self._workers.disk(self._spool.write, offset, data)

    @contextlib.contextmanager
    def _taking(self) -> Iterator[None]:
        """Tell the client, now and at every later call, what the disk did not take."""
        try:
            yield
        except TooScattered:
            self._fail(Refused("The file arrives in too many pieces. Upload it in one stream."))
        except OSError as error:
            self._fail(Refused(f"The gateway's disk does not take the file ({errno_name(error)})."))

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            self._fail(Refused(f"The file is larger than the {self._limit:,} bytes allowed here."))

    def _fail(self, failure: Refused) -> NoReturn:
        self._failure = failure
        raise failure

    def _raise_failure(self) -> None:
        if self._failure:
            raise self._failure


def errno_name(error: OSError) -> str:
    """Return the system's short name of an error, e.g. ENOSPC."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
