"""The SSH side of the gateway: who gets in, how many, how long, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import math
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.constants import FXP_CLOSE, FXP_LINK, FXP_WRITE, MSG_CHANNEL_WINDOW_ADJUST
from asyncssh.packet import SSHPacket, UInt32
from asyncssh.sftp import SFTPLimits, SFTPServerHandler
from asyncssh.stream import SSHServerStreamSession

from gateway.admission import Strangers, network
from gateway.brake import Brake
from gateway.bucket import Bucket
from gateway.files import Files, Limits, Traffic
from gateway.paths import View
from gateway.repeats import Repeats
from gateway.users import User, Users, verify_password
from gateway.workers import Turns, Workers
from shared.core import LogSeverity, log, log_failure

# What OpenSSH has offered since 2016 and clients in use understand: no SHA-1, no CBC, no group of
# under 4096 bits, no curve of NIST's for the exchange of keys.
_KEX = (
    "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,"
    "diffie-hellman-group16-sha512,diffie-hellman-group18-sha512"
)
_OLD_KEX = "diffie-hellman-group-exchange-sha256"
"""For clients that know neither Curve25519 nor group 16; offered only where it is asked for."""
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
_LONGEST_REQUEST = 256 * 1024
"""Bytes of one SFTP request; OpenSSH's own limit."""
_LONGEST_DATA = 255 * 1024
"""Bytes that a client is told to read or write at once; what OpenSSH's server says."""
_WINDOW = _LONGEST_REQUEST + 64 * 1024
"""Bytes that a session may send before its earlier requests have been carried out. With
`Capacity.sessions`, this bounds the memory of the gateway."""
_FIRST_LINE_SECONDS = 10
"""Seconds that a client has for its first line, which every one sends at once."""
_LOGIN_SECONDS = 120
"""Seconds that somebody has to log in; passwords of many at once are checked one by one."""
_RETRY_SECONDS = 1.0
"""Seconds for which no connection is accepted when the system has run out of something."""
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
    """Connections that have logged in."""
    connections_per_address: int = 100
    strangers: int = 300
    """Connections that have not logged in. They take no place of those that have."""
    strangers_per_address: int = 100
    sessions: int = 300
    """SFTP sessions in all connections."""
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
        self.guesses = Turns()
        self.traffic = Traffic()
        self._ends_at = math.inf
        self.repeats = Repeats()
        self.doors: set[Door] = set()
        self.strangers = Strangers[Door](
            limit=capacity.strangers, limit_per_network=capacity.strangers_per_address
        )
        self.members: Counter[str] = Counter()
        """Connections that have logged in, by network."""
        self.sessions = 0
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(
        self,
        *,
        host: str,
        port: int,
        host_keys: list[asyncssh.SSHKey],
        old_clients: bool = False,
    ) -> int:
        """Begin to accept connections; returns the port. Raises OSError if it is taken.

        `old_clients` also offers the key exchange of clients that know no newer one.
        """
        options = asyncssh.SSHServerConnectionOptions(
            server_factory=functools.partial(Door, self),
            server_host_keys=host_keys,
            server_version=_VERSION,
            kex_algs=f"{_KEX},{_OLD_KEX}" if old_clients else _KEX,
            encryption_algs=_CIPHERS,
            mac_algs=_MACS,
            signature_algs=_SIGNATURES,
            compression_algs="none",
            encoding=None,
            window=_WINDOW,
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
        )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=256)
        self._listener.setblocking(False)
        self._start(self._accept(self._listener, options))
        self._start(self._watch())
        return int(self._listener.getsockname()[1])

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(
        self, listener: socket.socket, options: asyncssh.SSHServerConnectionOptions
    ) -> None:
        """Accept connections; wait a little where the system has no descriptor left for one."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                self.tell(
                    "ERROR", "No connection can be accepted.", event="no_resources",
                    error=errno.errorcode.get(error.errno or 0, type(error).__name__),
                )  # fmt: skip
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._start(self._welcome(connection, options))

    async def _welcome(
        self, connection: socket.socket, options: asyncssh.SSHServerConnectionOptions
    ) -> None:
        """Begin one connection; its `Door` hears how it goes on."""
        try:
            await asyncssh.run_server(connection, options=options)
        except (asyncssh.Error, OSError):
            pass  # the client has left, or was turned away
        except Exception as error:
            log_failure("A connection failed.", error, event="failure")

    def tell(self, severity: LogSeverity, message: str, *, event: str, **fields: Any) -> None:
        """Log what strangers can bring about as often as they like: a few lines a minute."""
        left_out = self.repeats.count(event, time.monotonic())
        if left_out is not None:
            log(severity, message, event=event, left_out=left_out, **fields)

    def hurry(self, seconds: float) -> None:
        """Give uploads under way so long at most to end, once the gateway ends."""
        self._ends_at = min(self._ends_at, time.monotonic() + seconds)

    async def drain(self, seconds: float) -> None:
        """End: take nothing new, let the uploads under way come to their end for so long."""
        self.hurry(seconds)
        log("NOTICE", "The gateway ends.", event="draining", uploads=len(self.traffic.uploads))
        self.traffic.draining = True
        if self._listener:
            self._listener.close()
        while self.doors and time.monotonic() < self._ends_at:
            for door in list(self.doors):
                if not door.busy and door.idle_seconds >= _GRACE_SECONDS:
                    door.end("The gateway is restarting. Try again in a minute.")
            await asyncio.sleep(0.1)
        sessions = [session for door in self.doors for session in door.sessions]
        for door in list(self.doors):
            door.abort()
        if sessions:
            await asyncio.wait(sessions, timeout=5.0)
        for task in list(self._tasks):
            task.cancel()
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
        self.network = ""
        """What the address is counted by, see `gateway.admission.network`."""
        self._conn: asyncssh.SSHServerConnection | None = None
        self._first_line: asyncio.TimerHandle | None = None
        self._user = ""
        self._method = ""
        self._view: View | None = None
        self.account: User | None = None
        """Who has logged in, as known then."""
        self._stranger = False
        """Whether the connection was let in as far as to log in."""
        self._member = False
        self._turned_away = False
        self._wrong = 0
        self._asked = time.monotonic()
        self._asking = 0
        self.writable = asyncio.Event()
        """Whether the client takes what it is sent; set, too, when it is gone."""
        self.writable.set()
        self.sessions: set[asyncio.Task[None]] = set()
        self.files: set[Files] = set()

    # -- the connection --------------------------------------------------------------------------

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Count the connection, or turn it away."""
        self._conn = conn
        # asyncssh does nothing with these two calls of the transport.
        conn.pause_writing = self.writable.clear  # type: ignore[method-assign]
        conn.resume_writing = self.writable.set  # type: ignore[method-assign]
        peer = conn.get_extra_info("peername")
        self._address = str(peer[0]) if peer else "?"
        self.network = network(self._address)
        gateway = self._gateway
        gateway.doors.add(self)
        if gateway.brake.closed(self.network, time.monotonic()):
            self._turn_away("too many connections without a login from this address")
        elif gateway.traffic.draining:
            self._turn_away("the gateway is restarting")
        else:
            self._stranger = True
            self._first_line = asyncio.get_running_loop().call_later(
                _FIRST_LINE_SECONDS, self._expect_first_line
            )
            if leaves := gateway.strangers.add(self):
                leaves._turn_away("too many connections that have not logged in")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; its sessions end by themselves."""
        gateway = self._gateway
        self.writable.set()
        if self._first_line:
            self._first_line.cancel()
        gateway.doors.discard(self)
        if self._member:
            gateway.members[self.network] -= 1
        elif self._stranger:
            gateway.strangers.remove(self)
            gateway.brake.left(self.network, time.monotonic())

    @property
    def silent(self) -> bool:
        """Whether the client has not sent its first line."""
        return not (self._conn and self._conn.get_extra_info("client_version"))

    def _expect_first_line(self) -> None:
        if self.silent:
            self._turn_away("no first line")

    @property
    def idle_seconds(self) -> float:
        """How long ago the last request was answered; 0 while one is being answered."""
        return 0.0 if self._asking else time.monotonic() - self._asked

    @property
    def busy(self) -> bool:
        """Whether an upload is under way."""
        return any(files.uploading for files in self.files)

    @property
    def most_handles(self) -> int:
        """How many files a session may have open."""
        return self._gateway.capacity.session.handles

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

    def _refuse(self, reason: str) -> None:
        """End a connection that has logged in and finds no place."""
        self._gateway.tell(
            "WARNING", "A connection was turned away.", event="turned_away",
            address=self._address, user=self._user, reason=reason,
        )  # fmt: skip
        self.end(f"Not now: {reason}. Try again in a minute.")

    def abort(self) -> None:
        """End the connection at once."""
        if self._conn:
            self._conn.abort()

    def _turn_away(self, reason: str) -> None:
        if not self._turned_away:
            self._gateway.tell(
                "WARNING", "A connection was turned away.", event="turned_away",
                address=self._address, reason=reason,
            )  # fmt: skip
        self._turned_away = True
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
        await asyncio.sleep(gateway.brake.wait(self.network, username, time.monotonic()))
        workers = gateway.workers
        user = await workers.disk(gateway.users.find, username)
        async with gateway.guesses.turn(self.network):
            right = await workers.hash(verify_password, user, password)
        if right:
            await self._let_in(user, "password")
            return True
        gateway.brake.failed(self.network, username, time.monotonic())
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
        """Give a place to who has come in, if there is one."""
        assert self._conn
        gateway = self._gateway
        if not gateway.strangers.remove(self):
            return  # turned away meanwhile
        gateway.brake.succeeded(self.network, self._user)
        gateway.members[self.network] += 1
        self._member = True
        if gateway.members.total() > gateway.capacity.connections:
            self._refuse("too many connections")
        elif gateway.members[self.network] > gateway.capacity.connections_per_address:
            self._refuse("too many connections from this address")
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
        if (
            view is None
            or len(self.sessions) >= _MOST_SESSIONS
            or gateway.sessions >= gateway.capacity.sessions
        ):
            return False
        client = str(self._conn.get_extra_info("client_version", "")) if self._conn else ""

        def files(chan: asyncssh.SSHServerChannel[bytes]) -> Files:
            return Files(
                chan,
                user=self._user,
                address=self._address,
                stops_quietly=client.startswith("SSH-2.0-OpenSSH"),
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
        self._gateway.sessions += 1
        try:
            await handler.run()
        finally:
            self._gateway.sessions -= 1
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
        self._taken = 0
        """Bytes of requests carried out for which no new window has been granted."""

    def connection_made(self, chan: SSHChannel[bytes]) -> None:
        assert isinstance(chan, asyncssh.SSHServerChannel)
        self._channel = chan
        # asyncssh grants new window for each piece that it hands on, whether or not anything was
        # done with those before. With a window of 0 it grants none, and `taken` does.
        chan._init_recv_window = 0
        super().connection_made(chan)

    def taken(self, size: int) -> None:
        """Let the client send as many bytes more as requests carried out have taken."""
        self._taken += size
        if self._channel and self._taken >= _WINDOW // 16:
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
        handler = _Handler(
            self,
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
    """asyncssh's reader of SFTP requests, with what it lacks.

    It knows whether it is the client that closes a file; left to itself it closes the files of a
    lost connection just like any others. And it carries out one request at a time, when its client
    has taken the answers to the earlier ones.
    """

    def __init__(
        self,
        session: _Session,
        door: Door,
        files: Files,
        reader: asyncssh.SSHReader[bytes],
        writer: asyncssh.SSHWriter[bytes],
    ) -> None:
        super().__init__(files, reader, writer, 3)
        self._session = session
        self._door = door
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
        await self._door.writable.wait()
        self._session.taken(len(head) + size)
        return packet

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

    async def _process_limits(self, packet: SSHPacket) -> SFTPLimits:
        packet.check_end()
        handles = self._door.most_handles
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
