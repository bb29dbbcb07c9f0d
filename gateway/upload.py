"""Turns a client's writes into an object in the bucket.

Arriving bytes are spooled to disk. Bytes without a gap before them are sent to the bucket in chunks
while the client is still writing. So closing a large file takes no longer than closing a small one.
Only `commit` creates the object.
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
"""Bytes of OpenSSH's writes: its default, and the largest that a server may announce to it."""
_SMALLEST_BLOCK = 16 * 1024
"""Bytes of the smallest block that an option of OpenSSH's `sftp` is likely to request."""


class Refused(Exception):
    """A request that cannot be carried out. The message can be shown to the user."""


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
        """`generation`: the one to replace; 0 if no object may exist; None for any or none."""
        self.name = name
        self._bucket = bucket
        self._workers = workers
        self._limit = limit
        self._generation = generation
        self._spool = Spool(spool_directory)
        self._sending: Sending | None = None
        self._handed = 0
        """Bytes from the start that the bucket has, or that are being sent to it."""
        self._rewritten = False
        """True if all bytes must be sent again, because sent ones changed or the session was lost.
        """
        self._pump: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._over = False
        self._block: int | None = None
        """Size of every write so far; 0 once the sizes differ, None before the first write."""
        self._several = False
        """True after more than one write."""
        self.untouched = False
        """True while the upload is an existing object without any new write."""

    @property
    def size(self) -> int:
        """Bytes of the file so far."""
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
        """Return bytes that were written."""
        return await self._workers.disk(self._spool.read, offset, size)

    async def write(self, offset: int, data: bytes) -> None:
        """Write bytes. Raises Refused and BucketError, also for failures of earlier writes."""
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
        """Shorten the file, or announce a larger size whose bytes must still be written."""
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
        """True if the file may end where OpenSSH's `sftp` stopped after Ctrl-C.

        After Ctrl-C, `sftp` stops reading and closes the remote file as if it were complete. So the
        last block is as full as all the others. Only one complete file in 32,768 looks like that.
        """
        block = self._block or 0
        usual = block >= _SMALLEST_BLOCK and not block % 1024
        return usual if self._several else block in _OPENSSH_BLOCKS

    async def ends_a_line(self) -> bool:
        """Return True if the last byte so far is a line break."""
        return await self.read(self.size - 1, 1) == b"\n"

    async def digest(self) -> bytes:
        """Return the SHA-256 of the bytes written so far."""

        def reckon() -> bytes:
            sha = hashlib.sha256()
            for start in range(0, self._spool.size, CHUNK):
                sha.update(self._spool.read(start, CHUNK))
            return sha.digest()

        return await self._workers.disk(reckon)

    async def commit(self) -> Entry:
        """Create the complete object. Raises Refused and BucketError, and then leaves nothing
        behind.
        """
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
        """Discard the upload. Can be called twice, and has no effect after `commit`."""
        self._over = True
        await self._cancel_sending()
        if self._pump:
            await asyncio.wait((self._pump,))
            await self._cancel_sending()  # if it was just being begun
        await self._workers.disk(self._spool.close)

    # -- the way to the bucket -----------------------------------------------------------------

    @property
    def _ahead(self) -> int:
        """Bytes that could be sent to the bucket and have not been."""
        return 0 if self._rewritten else self._spool.prefix - self._handed

    def _pump_on(self) -> None:
        if self._ahead >= CHUNK and not self._over and (self._pump is None or self._pump.done()):
            self._pump = asyncio.create_task(self._send_chunks())

    async def _send_chunks(self) -> None:
        """Send whole chunks while there are any. The next call reports a failure."""
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
            # Read only once a thread is free, so that waiting uploads hold no chunk in memory.
            data = self._spool.read(start, CHUNK)
            if len(data) < CHUNK:  # the client has just shortened the file
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
        """Report a failure of the disk to the client, now and at every later call."""
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
