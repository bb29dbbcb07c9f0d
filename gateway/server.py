"""Listens for SSH connections, watches over them, and ends them when the gateway ends."""

from __future__ import annotations

import asyncio
import errno
import functools
import math
import socket
import time
from collections.abc import Coroutine
from typing import Any

import asyncssh

from gateway.brake import Brake
from gateway.bucket import Bucket
from gateway.connection import Door, SharedState
from gateway.limits import Capacity
from gateway.session import WINDOW
from gateway.users import Users
from shared.core import log, log_failure

# Each list has algorithms that OpenSSH has offered since 2016. There is no SHA-1, no CBC, no group
# below 4096 bits, and no NIST curve for the key exchange.
_KEX = (
    "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,"
    "diffie-hellman-group16-sha512,diffie-hellman-group18-sha512"
)
_OLD_KEX = "diffie-hellman-group-exchange-sha256"
"""Key exchange for clients without Curve25519 and group 16; offered only with `old_clients`."""
_CIPHERS = (
    "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,"
    "aes256-ctr,aes192-ctr,aes128-ctr"
)
# The last two are for libssh2 before 1.11, common in curl and PHP, which knows no others.
_MACS = (
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,umac-128-etm@openssh.com,"
    "hmac-sha2-256,hmac-sha2-512"
)
_SIGNATURES = (
    "ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"
    "ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-256,rsa-sha2-512"
)
_VERSION = "Apparel21Gateway"
_LONGEST_PACKET = 64 * 1024
"""Bytes of the longest packet. The usual 32 KiB splits a client's 32 KiB write in two. A client
that waits for each answer would then wait 40 ms more for the second packet."""
_LOGIN_SECONDS = 120
"""Seconds allowed for a login. Passwords from one network are checked one by one."""
_RETRY_SECONDS = 1.0
"""Seconds before a connection is accepted again after the system ran out of resources."""
_ALIVE_SECONDS = 30
"""Seconds of silence after which a client is asked for a sign of life, up to four times."""
_GRACE_SECONDS = 1.0
"""Seconds that a client has, when the gateway ends, to rename what it has just uploaded."""


class Gateway:
    """The listening server, from its start to its end."""

    def __init__(
        self, *, users: Users, bucket: Bucket, capacity: Capacity, brake: Brake | None = None
    ) -> None:
        self.state = SharedState(users=users, bucket=bucket, capacity=capacity, brake=brake)
        self._ends_at = math.inf
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
        """Begin to accept connections; return the port. Raises OSError if it is taken.

        `old_clients` also offers the key exchange of clients that know no newer one.
        """
        options = asyncssh.SSHServerConnectionOptions(
            server_factory=functools.partial(Door, self.state),
            server_host_keys=host_keys,
            server_version=_VERSION,
            kex_algs=f"{_KEX},{_OLD_KEX}" if old_clients else _KEX,
            encryption_algs=_CIPHERS,
            mac_algs=_MACS,
            signature_algs=_SIGNATURES,
            compression_algs="none",
            encoding=None,
            window=WINDOW,
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
        """Accept connections; pause when the system has no file descriptor left."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                self.state.tell(
                    "ERROR", "No connection can be accepted.", event="no_resources",
                    error=errno.errorcode.get(error.errno or 0, type(error).__name__),
                )  # fmt: skip
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._start(self._welcome(connection, options))

    async def _welcome(
        self, connection: socket.socket, options: asyncssh.SSHServerConnectionOptions
    ) -> None:
        """Begin one connection. asyncssh tells its `Door` of every further event."""
        try:
            await asyncssh.run_server(connection, options=options)
        except (asyncssh.Error, OSError):
            pass  # the client has left, or was turned away
        except Exception as error:
            log_failure("A connection failed.", error, event="failure")

    def hurry(self, seconds: float) -> None:
        """Limit the time that uploads have to finish once the gateway is ending."""
        self._ends_at = min(self._ends_at, time.monotonic() + seconds)

    async def drain(self, seconds: float) -> None:
        """End the gateway: accept nothing new, and wait up to `seconds` for uploads under way."""
        state = self.state
        self.hurry(seconds)
        log("NOTICE", "The gateway ends.", event="draining", uploads=len(state.traffic.uploads))
        state.traffic.draining = True
        if self._listener:
            self._listener.close()
        while state.doors and time.monotonic() < self._ends_at:
            for door in list(state.doors):
                if not door.busy and door.idle_seconds >= _GRACE_SECONDS:
                    door.end("The gateway is restarting. Try again in a minute.")
            await asyncio.sleep(0.1)
        sessions = [session for door in state.doors for session in door.sessions]
        for door in list(state.doors):
            door.abort()
        if sessions:
            await asyncio.wait(sessions, timeout=5.0)
        await state.refusals.written(timeout=5.0)
        for task in list(self._tasks):
            task.cancel()
        state.workers.close()

    async def _watch(self) -> None:
        """End connections that are idle for too long, and those of removed or changed users."""
        state = self.state
        while True:
            await asyncio.sleep(min(state.capacity.idle_seconds / 4, 15.0))
            for door in list(state.doors):
                if door.idle_seconds >= state.capacity.idle_seconds:
                    door.end("Nothing was asked for too long.")
                elif door.account is not None:
                    now = await state.workers.disk(state.users.find, door.account.name)
                    if now is None or now.connection != door.account.connection:
                        door.end("This account has been taken out or changed.")
