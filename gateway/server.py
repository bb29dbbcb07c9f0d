"""The SSH side of the gateway: who gets in, how many, how long, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.constants import FXP_CLOSE, FXP_LINK, FXP_WRITE
from asyncssh.packet import SSHPacket
from asyncssh.sftp import SFTPServerHandler
from asyncssh.stream import SSHServerStreamSession

from gateway.brake import Brake
from gateway.bucket import Bucket
from gateway.files import Files, Limits, Traffic
from gateway.paths import View
from gateway.users import User, Users, verify_password
from gateway.workers import Workers
from shared.logs import log

# What OpenSSH has offered since 2016 and clients in use understand: no SHA-1, no CBC, no group of
# under 4096 bits, no curve of NIST's for the exchange of keys.
_KEX = (
    "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,"
    "diffie-hellman-group16-sha512,diffie-hellman-group18-sha512"
)
_CIPHERS = (
    "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,"
    "aes256-ctr,aes192-ctr,aes128-ctr"
)
# The last two are for libssh2 before 1.11, the one in many a curl and PHP, which knows no others.
_MACS = (
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,umac-128-etm@openssh.com,"
    "hmac-sha2-256,hmac-sha2-512"
)
_SIGNATURES = (
    "ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"
    "ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-256,rsa-sha2-512"
)
_VERSION = "Apparel21Gateway"
_MOST_PASSWORDS = 5
"""Wrong passwords after which a connection is ended."""
_MOST_SESSIONS = 10
"""Sessions in one connection; OpenSSH's own limit."""
_MOST_FOLDERS = 64
"""Folders being listed at once in a session."""
_LONGEST_PACKET = 64 * 1024
"""Bytes; the usual 32 KiB cuts off the end of a client's 32 KiB write, and a client that waits for
each answer then also waits 40 ms for the network to send that end."""
_LOGIN_SECONDS = 30
"""Seconds that somebody has to log in."""
_ALIVE_SECONDS = 30
"""Seconds of silence after which a client is asked whether it is still there; four times."""
_GRACE_SECONDS = 1.0
"""Seconds that a client has, when the gateway ends, to rename what it has just uploaded."""
_NOT_SFTP = (
    b"This server takes files by SFTP only: use `sftp`, or an scp that speaks SFTP (not `scp -O`)."
    b"\r\n"
)
# Extensions that are not offered: a bucket has no links and no sparse files.
_UNWANTED = (b"hardlink@openssh.com", b"copy-data", b"ranges@asyncssh.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What the gateway takes at once."""

    connections: int = 200
    connections_per_address: int = 100
    strangers: int = 100
    """Connections that have not logged in, so that nobody can take every place without a login."""
    idle_seconds: float = 900.0
    """Seconds without a request after which a connection is ended, and its open uploads lost."""
    session: Limits = field(default_factory=Limits)


class Gateway:
    """The listening server and everything that its connections share."""

    def __init__(
        self, *, users: Users, bucket: Bucket, capacity: Capacity, brake: Brake | None = None
    ) -> None:
        self.users = users
        self.bucket = bucket
        self.capacity = capacity
        self.brake = brake or Brake()
        self.workers = Workers()
        self.traffic = Traffic()
        self.doors: set[Door] = set()
        self.strangers: set[Door] = set()
        self.by_address: Counter[str] = Counter()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._warden: asyncio.Task[None] | None = None

    async def listen(self, *, host: str, port: int, host_keys: list[asyncssh.SSHKey]) -> int:
        """Begin to accept connections; returns the port. Raises OSError if it is taken."""
        self._acceptor = await asyncssh.listen(
            host,
            port,
            server_factory=functools.partial(Door, self),
            server_host_keys=host_keys,
            server_version=_VERSION,
            kex_algs=_KEX,
            encryption_algs=_CIPHERS,
            mac_algs=_MACS,
            signature_algs=_SIGNATURES,
            compression_algs="none",
            encoding=None,
            max_pktsize=_LONGEST_PACKET,
            line_editor=False,
            allow_pty=False,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_scp=False,
            gss_host=None,
            login_timeout=_LOGIN_SECONDS,
            keepalive_interval=_ALIVE_SECONDS,
            keepalive_count_max=4,
            reuse_address=True,
            backlog=256,
        )
        self._warden = asyncio.create_task(self._watch())
        return self._acceptor.get_port()

    async def drain(self, seconds: float) -> None:
        """End: take nothing new, let the uploads under way come to their end for so long."""
        log("NOTICE", "The gateway ends.", event="draining", uploads=len(self.traffic.uploads))
        self.traffic.draining = True
        if self._acceptor:
            self._acceptor.close()
        deadline = time.monotonic() + seconds
        while self.doors and time.monotonic() < deadline:
            for door in list(self.doors):
                if not door.busy and door.idle_seconds >= _GRACE_SECONDS:
                    door.end("The gateway is restarting. Try again in a minute.")
            await asyncio.sleep(0.1)
        sessions = [session for door in self.doors for session in door.sessions]
        for door in list(self.doors):
            door.abort()
        if sessions:
            await asyncio.wait(sessions, timeout=5.0)
        if self._warden:
            self._warden.cancel()
        self.workers.close()

    async def _watch(self) -> None:
        """End connections that nothing comes from any more, and those of users taken out."""
        while True:
            await asyncio.sleep(min(self.capacity.idle_seconds / 4, 15.0))
            for door in list(self.doors):
                if door.idle_seconds >= self.capacity.idle_seconds:
                    door.end("Nothing was asked for too long.")
                elif door.account is not None:
                    now = await self.workers.disk(self.users.find, door.account.name)
                    if now is None or now.connection != door.account.connection:
                        door.end("This account has been taken out or changed.")


class Door(asyncssh.SSHServer):
    """One connection, from its first byte to its last."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._address = ""
        self._conn: asyncssh.SSHServerConnection | None = None
        self._user = ""
        self._method = ""
        self._view: View | None = None
        self.account: User | None = None
        """Who has logged in, as known then."""
        self._wrong = 0
        self._asked = time.monotonic()
        self._asking = 0
        self.sessions: set[asyncio.Task[None]] = set()
        self.files: set[Files] = set()

    # -- the connection --------------------------------------------------------------------------

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Count the connection, or turn it away."""
        self._conn = conn
        peer = conn.get_extra_info("peername")
        self._address = str(peer[0]) if peer else "?"
        gateway = self._gateway
        gateway.doors.add(self)
        gateway.strangers.add(self)
        gateway.by_address[self._address] += 1
        if gateway.brake.closed(self._address, time.monotonic()):
            self._turn_away("too many wrong passwords from this address")
        elif len(gateway.doors) > gateway.capacity.connections:
            self._turn_away("too many connections")
        elif gateway.by_address[self._address] > gateway.capacity.connections_per_address:
            self._turn_away("too many connections from this address")
        elif len(gateway.strangers) > gateway.capacity.strangers:
            self._turn_away("too many connections that have not logged in")
        elif gateway.traffic.draining:
            self._turn_away("the gateway is restarting")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; its sessions end by themselves."""
        self._gateway.doors.discard(self)
        self._gateway.strangers.discard(self)
        self._gateway.by_address[self._address] -= 1
        if not self._gateway.by_address[self._address]:
            del self._gateway.by_address[self._address]

    @property
    def idle_seconds(self) -> float:
        """How long ago the last request was answered; 0 while one is being answered."""
        return 0.0 if self._asking else time.monotonic() - self._asked

    @property
    def busy(self) -> bool:
        """Whether an upload is under way."""
        return any(files.uploading for files in self.files)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Stand for the time in which a request is answered."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            self._asked = time.monotonic()

    def end(self, reason: str) -> None:
        """End the connection, telling the client why."""
        if self._conn:
            self._conn.disconnect(asyncssh.DISC_BY_APPLICATION, reason)

    def abort(self) -> None:
        """End the connection at once."""
        if self._conn:
            self._conn.abort()

    def _turn_away(self, reason: str) -> None:
        log("WARNING", "Turned away.", event="turned_away", address=self._address, reason=reason)
        self.abort()

    # -- logging in ------------------------------------------------------------------------------

    def begin_auth(self, username: str) -> bool:
        """Ask everybody for a proof, known or not."""
        self._user = username
        return True

    def password_auth_supported(self) -> bool:
        """Offer passwords."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Offer keys."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Check a password; after a few wrong ones each takes longer than the last."""
        gateway = self._gateway
        await asyncio.sleep(gateway.brake.wait(self._address, username, time.monotonic()))
        workers = gateway.workers
        user = await workers.disk(gateway.users.find, username)
        if await workers.hash(verify_password, user, password):
            gateway.brake.succeeded(self._address, username)
            await self._let_in(user, "password")
            return True
        gateway.brake.failed(self._address, username, time.monotonic())
        self._wrong += 1
        log(
            "WARNING",
            "A login was refused.",
            event="login_refused",
            user=username[:64],
            address=self._address,
            method="password",
        )
        if self._wrong >= _MOST_PASSWORDS:
            raise asyncssh.DisconnectError(
                asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many wrong passwords"
            )
        return False

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Check a key. A wrong one is no failure: clients offer all that they have."""
        user = await self._gateway.workers.disk(self._gateway.users.find, username)
        if user is None or key.public_data not in user.keys:
            return False
        await self._let_in(user, "key")
        return True

    async def _let_in(self, user: User | None, method: str) -> None:
        assert user
        users = self._gateway.users
        self._view = await self._gateway.workers.disk(users.view, user)
        self._method = method
        self.account = user

    def auth_completed(self) -> None:
        """Note who has come in."""
        assert self._conn
        self._gateway.strangers.discard(self)
        log(
            "INFO",
            f"{self._user} has logged in.",
            event="login",
            user=self._user,
            address=self._address,
            method=self._method,
            client=str(self._conn.get_extra_info("client_version", ""))[:100],
        )

    # -- sessions --------------------------------------------------------------------------------

    def session_requested(self) -> SSHServerStreamSession[bytes] | bool:
        """Open a session in the connection."""
        gateway, view = self._gateway, self._view
        if view is None or len(self.sessions) >= _MOST_SESSIONS:
            return False

        def files(chan: asyncssh.SSHServerChannel[bytes]) -> Files:
            return Files(
                chan,
                user=self._user,
                address=self._address,
                view=view,
                bucket=gateway.bucket,
                workers=gateway.workers,
                limits=gateway.capacity.session,
                traffic=gateway.traffic,
            )

        return _Session(self, files)

    async def serve(self, handler: SFTPServerHandler, files: Files) -> None:
        """Answer a session's requests until it ends, however it does."""
        task = asyncio.current_task()
        assert task
        self.sessions.add(task)
        self.files.add(files)
        try:
            await handler.run()
        finally:
            await files.abandon()
            self.files.discard(files)
            self.sessions.discard(task)


class _Session(SSHServerStreamSession[bytes]):
    """A session that speaks SFTP, and to everything else says that it does not."""

    def __init__(
        self, door: Door, files: Callable[[asyncssh.SSHServerChannel[bytes]], Files]
    ) -> None:
        super().__init__(self._refuse)
        self._door = door
        self._files = files
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None

    def connection_made(self, chan: SSHChannel[bytes]) -> None:
        assert isinstance(chan, asyncssh.SSHServerChannel)
        self._channel = chan
        super().connection_made(chan)

    def subsystem_requested(self, subsystem: str) -> bool:
        return True

    def session_started(self) -> None:
        chan = self._channel
        assert chan
        if chan.get_subsystem() != "sftp":
            super().session_started()
            return
        files = self._files(chan)
        handler = _Handler(
            self._door,
            files,
            asyncssh.SSHReader[bytes](self, chan),
            asyncssh.SSHWriter[bytes](self, chan),
        )
        chan.get_connection().create_task(self._door.serve(handler, files))

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


class _Handler(SFTPServerHandler):
    """asyncssh's reader of SFTP requests, which knows whether it is the client that closes a file.

    Left to itself it closes the files of a lost connection just like any others.
    """

    def __init__(
        self,
        door: Door,
        files: Files,
        reader: asyncssh.SSHReader[bytes],
        writer: asyncssh.SSHWriter[bytes],
    ) -> None:
        super().__init__(files, reader, writer, 3)
        self._door = door
        self._files = files

    async def _process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        with self._door.asking():
            self._files.closing = pkttype == FXP_CLOSE
            try:
                await super()._process_packet(pkttype, pktid, packet)
            finally:
                self._files.closing = False

    async def _process_write(self, packet: SSHPacket) -> int:
        # As OpenSSH does, and unlike asyncssh, whatever follows the data is ignored: rclone (seen
        # with 1.60) sends its whole buffer even where it has filled only part of it.
        handle, offset, data = packet.get_string(), packet.get_uint64(), packet.get_string()
        upload = self._file_handles.get(handle)
        if upload is None:
            raise asyncssh.SFTPInvalidHandle("Invalid file handle")
        return await self._files.write(upload, offset, data)

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
    }


def read_host_key(data: bytes, *, where: object) -> asyncssh.SSHKey:
    """Read the server's key. Raises ValueError, saying where it was, for what is no such key."""
    try:
        return asyncssh.import_private_key(data)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise ValueError(f"{where} is not a private key that can be used: {error}") from None


def load_host_key(path: Path) -> asyncssh.SSHKey:
    """Read the server's key; at the very first start it is made.

    Raises OSError, and ValueError for a file that is no private key without a passphrase.
    """
    if not path.exists():
        key = asyncssh.generate_private_key("ssh-ed25519", comment="gateway")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.export_private_key())
        log("NOTICE", f"Made the host key {path}.", event="host_key_made")
    return read_host_key(path.read_bytes(), where=path)
