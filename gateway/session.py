"""Serves one session of an SSH connection: SFTP requests, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.constants import FXP_CLOSE, FXP_LINK, FXP_WRITE, MSG_CHANNEL_WINDOW_ADJUST
from asyncssh.packet import SSHPacket, UInt32
from asyncssh.sftp import SFTPLimits, SFTPServerHandler
from asyncssh.stream import SSHServerStreamSession

from gateway.files import Files

_MOST_FOLDERS = 64
"""Folders being listed at once in a session."""
_LONGEST_REQUEST = 256 * 1024
"""Bytes of the longest SFTP request, as in OpenSSH."""
_LONGEST_DATA = 255 * 1024
"""Bytes that a client is told to read or write per request, as in OpenSSH's server."""
WINDOW = _LONGEST_REQUEST + 64 * 1024
"""Bytes that a session may send before its earlier requests have been carried out. With
`Capacity.sessions`, this bounds the memory of the gateway."""
_NOT_SFTP = (
    b"This server takes files by SFTP only: use `sftp`, or an scp that speaks SFTP (not `scp -O`)."
    b"\r\n"
)
# Extensions that are not offered: a bucket has no links and no sparse files.
_UNWANTED = (b"hardlink@openssh.com", b"copy-data", b"ranges@asyncssh.com")


class Connection(Protocol):
    """The connection that a session belongs to."""

    writable: asyncio.Event
    """Set while the client accepts data, and once the client has gone."""

    @property
    def most_handles(self) -> int:
        """Files that a session may have open."""

    def asking(self) -> AbstractContextManager[None]:
        """Return a context that lasts while a request is answered."""

    async def serve(self, handler: SFTPServerHandler, files: Files) -> None:
        """Answer a session's requests until the session ends."""


class Session(SSHServerStreamSession[bytes]):
    """A session that serves SFTP and refuses everything else."""

    def __init__(
        self, connection: Connection, files: Callable[[asyncssh.SSHServerChannel[bytes]], Files]
    ) -> None:
        super().__init__(self._refuse)
        self._connection = connection
        self._files = files
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._taken = 0
        """Bytes read for which no new window has been granted yet."""

    def connection_made(self, chan: SSHChannel[bytes]) -> None:
        assert isinstance(chan, asyncssh.SSHServerChannel)
        self._channel = chan
        # asyncssh grants new window for each piece that it delivers, even if earlier pieces were
        # not processed. With a window of 0 it grants none; `taken` grants it instead.
        chan._init_recv_window = 0
        super().connection_made(chan)

    def taken(self, size: int) -> None:
        """Grant the client new window for `size` bytes that were read. Small grants are sent
        together.
        """
        self._taken += size
        if self._channel and self._taken >= WINDOW // 16:
            self._channel.send_packet(MSG_CHANNEL_WINDOW_ADJUST, UInt32(self._taken))
            self._channel._recv_window += self._taken
            self._taken = 0

    def subsystem_requested(self, subsystem: str) -> bool:
        return True

    def session_started(self) -> None:
        chan = self._channel
        assert chan
        if chan.get_subsystem() != "sftp":
            super().session_started()
            return
        files = self._files(chan)
        handler = RequestHandler(
            self,
            self._connection,
            files,
            asyncssh.SSHReader[bytes](self, chan),
            asyncssh.SSHWriter[bytes](self, chan),
        )
        chan.get_connection().create_task(self._connection.serve(handler, files))

    async def _refuse(
        self,
        stdin: asyncssh.SSHReader[bytes],
        stdout: asyncssh.SSHWriter[bytes],
        stderr: asyncssh.SSHWriter[bytes],
    ) -> None:
        stderr.write(_NOT_SFTP)
        await stderr.drain()
        if self._channel:
            self._channel.exit(1)


class RequestHandler(SFTPServerHandler):
    """asyncssh's reader of SFTP requests, with two additions.

    It tells a file closed by the client from a file closed because the connection was lost.
    asyncssh alone closes both in the same way. It also takes a request only once the client has
    accepted the answers to the earlier ones.
    """

    def __init__(
        self,
        session: Session,
        connection: Connection,
        files: Files,
        reader: asyncssh.SSHReader[bytes],
        writer: asyncssh.SSHWriter[bytes],
    ) -> None:
        super().__init__(files, reader, writer, 3)
        self._session = session
        self._connection = connection
        self._files = files

    async def recv_packet(self) -> SSHPacket:
        if self._reader is None or self._writer is None:
            raise EOFError
        head = await self._reader.readexactly(4)
        size = int.from_bytes(head, "big")
        if size > _LONGEST_REQUEST:
            raise asyncssh.SFTPBadMessage(f"A request has more than {_LONGEST_REQUEST:,} bytes.")
        packet = SSHPacket(await self._reader.readexactly(size))
        await self._writer.drain()
        await self._connection.writable.wait()
        self._session.taken(len(head) + size)
        return packet

    async def _process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        with self._connection.asking():
            self._files.handles.closing = pkttype == FXP_CLOSE
            try:
                await super()._process_packet(pkttype, pktid, packet)
            finally:
                self._files.handles.closing = False

    async def _process_write(self, packet: SSHPacket) -> int:
        # Bytes after the data are ignored, as in OpenSSH and unlike asyncssh: rclone (seen with
        # 1.60) sends its whole buffer even if only part of it is filled.
        handle, offset, data = packet.get_string(), packet.get_uint64(), packet.get_string()
        upload = self._file_handles.get(handle)
        if upload is None:
            raise asyncssh.SFTPInvalidHandle("Invalid file handle")
        return await self._files.write(upload, offset, data)

    async def _process_limits(self, packet: SSHPacket) -> SFTPLimits:
        packet.check_end()
        handles = self._connection.most_handles
        return SFTPLimits(_LONGEST_REQUEST, _LONGEST_DATA, _LONGEST_DATA, handles)

    def _get_next_handle(self) -> bytes:
        if len(self._dir_handles) >= _MOST_FOLDERS:
            raise asyncssh.SFTPFailure("Too many folders are open in this session.")
        return super()._get_next_handle()

    _extensions = [  # noqa: RUF012 - as the base class has it
        pair for pair in SFTPServerHandler._extensions if pair[0] not in _UNWANTED
    ]
    _packet_handlers = {  # noqa: RUF012
        **{
            kind: handler
            for kind, handler in SFTPServerHandler._packet_handlers.items()
            if kind not in (*_UNWANTED, FXP_LINK)
        },
        FXP_WRITE: cast(Any, _process_write),
        b"limits@openssh.com": cast(Any, _process_limits),
    }
