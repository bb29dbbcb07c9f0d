"""Serves one SSH connection: its login, its sessions and its end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import asyncssh
from asyncssh.sftp import SFTPServerHandler
from asyncssh.stream import SSHServerStreamSession

from gateway.admission import Strangers, network
from gateway.brake import Brake
from gateway.bucket import Bucket
from gateway.files import Files
from gateway.limits import Capacity
from gateway.paths import View
from gateway.refusals import Refusals
from gateway.repeats import Repeats
from gateway.session import Session
from gateway.traffic import Traffic
from gateway.users import User, Users, verify_password
from gateway.workers import Turns, Workers
from shared.core import LogSeverity, log

_MOST_PASSWORDS = 5
"""Wrong passwords after which a connection is ended."""
_MOST_SESSIONS = 10
"""Sessions in one connection; OpenSSH's own limit."""
_FIRST_LINE_SECONDS = 10
"""Seconds that a client has to send its first line. Real clients send it at once."""


class SharedState:
    """State that all connections of the gateway share."""

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
        self.refusals = Refusals(bucket, self.workers)
        self.doors: set[Door] = set()
        self.strangers = Strangers[Door](
            limit=capacity.strangers, limit_per_network=capacity.strangers_per_address
        )
        self.members: Counter[str] = Counter()
        """Connections that have logged in, by network."""
        self.sessions = 0
        self._repeats = Repeats()

    def tell(self, severity: LogSeverity, message: str, *, event: str, **fields: Any) -> None:
        """Log an event that strangers can cause, a limited number of times per minute."""
        left_out = self._repeats.count(event, time.monotonic())
        if left_out is not None:
            log(severity, message, event=event, left_out=left_out, **fields)


class Door(asyncssh.SSHServer):
    """A connection, from its first byte to its last."""

    def __init__(self, state: SharedState) -> None:
        self._state = state
        self._address = ""
        self.network = ""
        """Client address, counted by network; see `gateway.admission.network`."""
        self._conn: asyncssh.SSHServerConnection | None = None
        self._first_line: asyncio.TimerHandle | None = None
        self._user = ""
        self._method = ""
        self._view: View | None = None
        self.account: User | None = None
        """User as found at the login; None before it."""
        self._stranger = False
        """True once the connection has been admitted to log in."""
        self._member = False
        self._turned_away = False
        self._wrong = 0
        self._asked = time.monotonic()
        self._asking = 0
        self.writable = asyncio.Event()
        """Set while the client accepts data, and once the client has gone."""
        self.writable.set()
        self.sessions: set[asyncio.Task[None]] = set()
        self.files: set[Files] = set()

    # -- the connection --------------------------------------------------------------------------

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Count the connection, or turn it away."""
        self._conn = conn
        # asyncssh ignores these two calls of the transport.
        conn.pause_writing = self.writable.clear  # type: ignore[method-assign]
        conn.resume_writing = self.writable.set  # type: ignore[method-assign]
        peer = conn.get_extra_info("peername")
        self._address = str(peer[0]) if peer else "?"
        self.network = network(self._address)
        state = self._state
        state.doors.add(self)
        if state.brake.closed(self.network, time.monotonic()):
            self._turn_away("too many connections without a login from this address")
        elif state.traffic.draining:
            self._turn_away("the gateway is restarting")
        else:
            self._stranger = True
            self._first_line = asyncio.get_running_loop().call_later(
                _FIRST_LINE_SECONDS, self._expect_first_line
            )
            if leaves := state.strangers.add(self):
                leaves._turn_away("too many connections that have not logged in")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection. Its sessions end automatically."""
        state = self._state
        self.writable.set()
        if self._first_line:
            self._first_line.cancel()
        state.doors.discard(self)
        if self._member:
            state.members[self.network] -= 1
        elif self._stranger:
            state.strangers.remove(self)
            state.brake.left(self.network, time.monotonic())

    @property
    def silent(self) -> bool:
        """True until the client has sent its first line."""
        return not (self._conn and self._conn.get_extra_info("client_version"))

    def _expect_first_line(self) -> None:
        if self.silent:
            self._turn_away("no first line")

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last answer, or since the start; 0 during a request."""
        return 0.0 if self._asking else time.monotonic() - self._asked

    @property
    def busy(self) -> bool:
        """True while an upload is under way."""
        return any(files.handles.uploading for files in self.files)

    @property
    def most_handles(self) -> int:
        """Files that a session may have open."""
        return self._state.capacity.session.handles

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Count a request as being answered, so that the connection is not idle."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            self._asked = time.monotonic()

    def end(self, reason: str) -> None:
        """End the connection and tell the client the reason."""
        if self._conn:
            self._conn.disconnect(asyncssh.DISC_BY_APPLICATION, reason)

    def _refuse(self, reason: str) -> None:
        """End a connection that has logged in, because no place is free for it."""
        self._state.tell(
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
            self._state.tell(
                "WARNING", "A connection was turned away.", event="turned_away",
                address=self._address, reason=reason,
            )  # fmt: skip
        self._turned_away = True
        self.abort()

    # -- logging in ------------------------------------------------------------------------------

    def begin_auth(self, username: str) -> bool:
        """Require a password or key from every user name, known or not."""
        self._user = username
        return True

    def password_auth_supported(self) -> bool:
        """Offer login by password."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Offer login by key."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Check a password. After a few wrong ones, the wait before each check grows."""
        state = self._state
        await asyncio.sleep(state.brake.wait(self.network, username, time.monotonic()))
        workers = state.workers
        user = await workers.disk(state.users.find, username)
        async with state.guesses.turn(self.network):
            right = await workers.hash(verify_password, user, password)
        if right:
            await self._let_in(user, "password")
            return True
        state.brake.failed(self.network, username, time.monotonic())
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
        """Check a key. A wrong key is not counted: clients offer every key they have."""
        user = await self._state.workers.disk(self._state.users.find, username)
        if user is None or key.public_data not in user.keys:
            return False
        await self._let_in(user, "key")
        return True

    async def _let_in(self, user: User | None, method: str) -> None:
        assert user
        users = self._state.users
        self._view = await self._state.workers.disk(users.view, user)
        self._method = method
        self.account = user

    def auth_completed(self) -> None:
        """Admit a connection that has logged in, or end it if no place is free."""
        assert self._conn
        state = self._state
        if not state.strangers.remove(self):
            return  # turned away meanwhile
        state.brake.succeeded(self.network, self._user)
        state.members[self.network] += 1
        self._member = True
        if state.members.total() > state.capacity.connections:
            self._refuse("too many connections")
        elif state.members[self.network] > state.capacity.connections_per_address:
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
        """Open a session in the connection, or return False if none may be opened."""
        state, view = self._state, self._view
        if (
            view is None
            or len(self.sessions) >= _MOST_SESSIONS
            or state.sessions >= state.capacity.sessions
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
                bucket=state.bucket,
                workers=state.workers,
                limits=state.capacity.session,
                traffic=state.traffic,
                refusals=state.refusals,
            )

        return Session(self, files)

    async def serve(self, handler: SFTPServerHandler, files: Files) -> None:
        """Answer a session's requests until the session ends, then abandon its open files."""
        task = asyncio.current_task()
        assert task
        self.sessions.add(task)
        self.files.add(files)
        self._state.sessions += 1
        try:
            await handler.run()
        finally:
            self._state.sessions -= 1
            await files.abandon()
            self.files.discard(files)
            self.sessions.discard(task)
