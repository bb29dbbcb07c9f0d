"""The gateway among strangers, guessers and clients that do not wait for answers."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest

from gateway.brake import Brake
from gateway.limits import Capacity, Limits
from tests.integration.gateway.helpers import (
    BUCKET,
    CUSTOMERS,
    House,
    Program,
    content,
    run,
    small,
    until,
    write_users,
)
from tests.support.gateway import PASSWORD
from tests.support.slow_bucket import SlowBucket, slow_bucket
from tests.support.waiting import PATIENCE

MIB = 1024 * 1024


def silent(port: int, address: str) -> socket.socket:
    """Connect from an address and say nothing."""
    return socket.create_connection(("127.0.0.1", port), 10, source_address=(address, 0))


def check(port: int) -> int:
    """Return the exit code of the health check."""
    return run(sys.executable, "-m", "gateway", "check", "--port", str(port)).code


def from_address(here: House, address: str, password: str = PASSWORD) -> paramiko.SFTPClient:
    """Log in from an address of this machine."""
    transport = paramiko.Transport(silent(here.port, address))
    transport.start_client(timeout=PATIENCE)
    transport.auth_password("erp", password)
    client = paramiko.SFTPClient.from_transport(transport)
    assert client
    return client


def test_one_address(cloud: Any, tmp_path: Path) -> None:
    """Silent connections of one address keep out nobody from elsewhere, nor the health check."""
    capacity = Capacity(strangers=20, strangers_per_address=10)
    with small(tmp_path, capacity) as here, contextlib.ExitStack() as held:
        for _ in range(30):
            held.enter_context(silent(here.port, "127.0.0.9"))

        assert check(here.port) == 0
        assert "pending" in from_address(here, "127.0.0.8").listdir("/")
        assert "pending" in from_address(here, "127.0.0.9").listdir("/")
        assert here.running
        assert len(here.running.gateway.state.strangers) <= 20


def test_many_addresses(cloud: Any, tmp_path: Path) -> None:
    """When all places are taken by silent connections, whoever speaks gets one of theirs."""
    with small(tmp_path, Capacity(strangers=20)) as here, contextlib.ExitStack() as held:
        for number in range(40):
            held.enter_context(silent(here.port, f"127.0.1.{number % 20 + 1}"))

        assert "pending" in from_address(here, "127.0.0.8").listdir("/")
        assert check(here.port) == 0


def test_first_line(
    cloud: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A client that does not send its first line soon is turned away."""
    monkeypatch.setattr("gateway.connection._FIRST_LINE_SECONDS", 0.2)
    with small(tmp_path, Capacity()) as here, silent(here.port, "127.0.0.9") as quiet:
        quiet.settimeout(PATIENCE)
        received = b"".join(iter(lambda: quiet.recv(100), b""))
        monkeypatch.setattr("gateway.connection._FIRST_LINE_SECONDS", PATIENCE)
        speaker = here.paramiko()

        assert received.startswith(b"SSH-2.0")
        assert "no first line" in capsys.readouterr().out
        assert "pending" in speaker.listdir("/")


def test_never_logs_in(cloud: Any, tmp_path: Path) -> None:
    """An address that only ever connects is turned away after a while; its health check says so
    and finds no fault."""
    brake = Brake()
    with small(tmp_path, Capacity(), brake) as here:
        for _ in range(200):
            brake.left("127.0.0.1", time.monotonic())

        with pytest.raises((paramiko.SSHException, EOFError, OSError)):
            here.paramiko()
        assert check(here.port) == 0
        assert "pending" in from_address(here, "127.0.0.8").listdir("/")


def test_full_of_members(cloud: Any, tmp_path: Path) -> None:
    """A gateway whose places are all taken is no reason to restart it."""
    with small(tmp_path, Capacity(connections=1)) as here:
        member = here.paramiko()
        with pytest.raises((paramiko.SSHException, EOFError, OSError)):
            here.paramiko()

        assert check(here.port) == 0
        assert "pending" in member.listdir("/")


def test_nothing_there() -> None:
    """The health check fails where nothing answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

        assert check(port) == 1


def test_guessing_delays_nobody_else(
    cloud: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passwords of one address are checked one at a time, however many it sends at once."""
    busy: dict[bool, int] = {}
    held = threading.Event()
    both = threading.Semaphore(0)

    def verify(user: Any, password: str) -> bool:
        guessed = password == "guess"
        busy[guessed] = busy.get(guessed, 0) + 1
        if guessed:
            both.release()
            assert held.wait(PATIENCE)
        return not guessed

    monkeypatch.setattr("gateway.connection.verify_password", verify)
    with small(tmp_path, Capacity()) as here:

        def guess() -> None:
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                from_address(here, "127.0.0.9", "guess")

        guesses = [threading.Thread(target=guess) for _ in range(8)]
        for one in guesses:
            one.start()
        assert both.acquire(timeout=PATIENCE)
        erp = from_address(here, "127.0.0.8")

        assert "pending" in erp.listdir("/")
        assert busy == {True: 1, False: 1}
        held.set()
        for one in guesses:
            one.join(PATIENCE)


def test_handles_of_one_user(cloud: Any, tmp_path: Path) -> None:
    """One login cannot open more files than its share, over all of its sessions."""
    limits = Limits(handles=3, handles_per_user=5, handles_in_all=7)
    with small(tmp_path, Capacity(session=limits)) as here:
        first, second, other = here.paramiko(), here.paramiko(), here.paramiko("au")
        files = [first.open(f"pending/{number}.tmp", "wb") for number in range(3)]
        files += [second.open(f"pending/1{number}.tmp", "wb") for number in range(2)]
        with pytest.raises(PermissionError, match="erp has 5 files open"):
            second.open("pending/9.tmp", "wb")
        files += [other.open(f"pending/2{number}.tmp", "wb") for number in range(2)]
        with pytest.raises(OSError, match="Too many files are open here"):
            here.paramiko("nz").open("pending/9.tmp", "wb")
        files[0].close()

        assert second.open("pending/9.tmp", "wb")


def test_reading_is_cut(cloud: Any, tmp_path: Path) -> None:
    """However much a client asks for in one request, an answer has 255 KiB at most."""

    async def read() -> bytes:
        async with (
            asyncssh.connect(
                "127.0.0.1", here.port, username="erp", password=PASSWORD, known_hosts=None,
                client_keys=None, agent_path=None, config=[],
            ) as connection,
            connection.start_sftp_client() as sftp,
        ):  # fmt: skip
            handle = await sftp._handler.open(
                b"/processed/x.csv", asyncssh.FXF_READ, asyncssh.SFTPAttrs()
            )
            data, _ = await sftp._handler.read(handle, 0, 3 * MIB)
            return bytes(data)

    with small(tmp_path, Capacity()) as here:
        here.put("processed/x.csv", b"x" * 2 * MIB)

        assert len(asyncio.run(read())) == 255 * 1024


# -- memory -----------------------------------------------------------------------------------


@contextlib.contextmanager
def before(bucket: SlowBucket, folder: Path) -> Iterator[Program]:
    """Run a gateway program before a bucket."""
    write_users(folder, asyncssh.generate_private_key("ssh-ed25519"))
    (folder / "spool").mkdir()
    environment = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{bucket.server_port}"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        program = Program(
            folder, "--bucket", BUCKET, "--spool", str(folder / "spool"), "--drain", "0"
        )
    try:
        until(lambda: program.lines("listening"))
        yield program
    finally:
        program.process.kill()
        program.process.wait(PATIENCE)


def port_of(program: Program) -> int:
    """Return the port that a program listens on."""
    port: int = program.lines("listening")[0]["port"]
    return port


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(),
    reason="this system does not tell how much memory a process has used",
)


@needs_proc
@pytest.mark.timeout(300)
def test_pipelined_to_a_slow_bucket(tmp_path: Path) -> None:
    """4,000 writes sent without waiting for answers need no more memory than one that waits."""
    with slow_bucket(40 * MIB) as bucket, before(bucket, tmp_path) as program:
        with paramiko.Transport(("127.0.0.1", port_of(program))) as transport:
            transport.connect(username="erp", password=PASSWORD)
            sftp = paramiko.SFTPClient.from_transport(transport)
            assert sftp
            with sftp.open(f"bulk/{CUSTOMERS}", "wb") as file:
                file.set_pipelined(True)
                block = content(32 * 1024)
                for _ in range(4_000):
                    file.write(block)

        assert bucket.objects == {f"bulk/{CUSTOMERS}": 4_000 * 32 * 1024}
        assert program.peak < 150 * MIB


@needs_proc
@pytest.mark.timeout(300)
def test_sessions_before_a_bucket_that_hangs(tmp_path: Path) -> None:
    """A hundred sessions that write to a bucket that answers nothing are made to wait.

    If the gateway took all 300 MiB that they send, it would need some 370 MiB.
    """

    async def write(port: int, number: int) -> asyncssh.SSHClientConnection:
        connection = await asyncssh.connect(
            "127.0.0.1", port, username="erp", password=PASSWORD, known_hosts=None,
            client_keys=None, agent_path=None, config=[],
        )  # fmt: skip
        sftp = await connection.start_sftp_client()
        file = await sftp.open(f"bulk/{number}.tmp", "wb")
        await file.write(bytes(3 * MIB))
        return connection

    async def crowd(program: Program) -> int:
        port = port_of(program)
        connections = await asyncio.gather(*(write(port, number) for number in range(100)))
        peak = program.peak
        for connection in connections:
            connection.abort()
        return peak

    with slow_bucket(0) as bucket, before(bucket, tmp_path) as program:
        peak = asyncio.run(crowd(program))

        assert bucket.received == 0
        assert peak < 220 * MIB


@needs_proc
def test_answers_that_nobody_takes(cloud: Any, tmp_path: Path) -> None:
    """A client that asks for much and reads nothing makes the gateway wait, not grow."""
    write_users(tmp_path, asyncssh.generate_private_key("ssh-ed25519"))
    program = Program(tmp_path, "--bucket", BUCKET, "--drain", "0")
    try:
        until(lambda: program.lines("listening"))
        port = port_of(program)
        with paramiko.Transport(("127.0.0.1", port)) as transport:
            transport.connect(username="erp", password=PASSWORD)
            sftp = paramiko.SFTPClient.from_transport(transport)
            assert sftp
            sftp.putfo(io.BytesIO(content(8 * MIB)), f"bulk/{CUSTOMERS}")
            began = program.peak
            with sftp.open(f"bulk/{CUSTOMERS}", "rb") as file:
                # Requests for 800 MB, whose answers the client leaves in its channel.
                asks = [(offset, 32 * 1024) for offset in range(0, 8 * MIB, 32 * 1024)] * 100
                channel = sftp.get_channel()
                assert channel
                handle: Any = file.handle
                sent = 0
                channel.settimeout(2.0)
                with contextlib.suppress(TimeoutError):
                    for number, (offset, size) in enumerate(asks):
                        message = paramiko.Message()
                        message.add_int(1_000_000 + number)
                        message.add_string(handle)
                        message.add_int64(offset)
                        message.add_int(size)
                        body = bytes([5]) + message.asbytes()
                        channel.sendall(len(body).to_bytes(4, "big") + body)
                        sent += 1

            assert program.peak - began < 30 * MIB
    finally:
        program.process.kill()
        program.process.wait(PATIENCE)


# -- descriptors ------------------------------------------------------------------------------


def test_no_descriptors(cloud: Any, tmp_path: Path) -> None:
    """A gateway that has run out of descriptors says so a few times, waits, and goes on."""
    write_users(tmp_path, asyncssh.generate_private_key("ssh-ed25519"))
    program = Program(tmp_path, "--bucket", BUCKET)
    try:
        until(lambda: program.lines("listening"))
        port = port_of(program)
        used = len(os.listdir(f"/proc/{program.process.pid}/fd"))
        resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, (used + 10, used + 10))
        with contextlib.ExitStack() as held:
            for _ in range(60):
                held.enter_context(silent(port, "127.0.0.9"))
            until(lambda: program.lines("no_resources"))
        house = House(tmp_path, port=port, host_key=host_key(tmp_path))
        until(lambda: logs_in(house))
        lines = program.log.read_text().splitlines()

        assert program.lines("no_resources")[0]["error"] == "EMFILE"
        assert len(program.lines("no_resources")) <= 21
        assert all(json.loads(line) for line in lines)
    finally:
        program.process.kill()
        program.process.wait(PATIENCE)


def host_key(folder: Path) -> str:
    """Return a gateway's host key as `known_hosts` has it."""
    return asyncssh.read_private_key(folder / "host_key").export_public_key().decode().strip()


def logs_in(house: House) -> bool:
    """Whether somebody can log in."""
    try:
        return "pending" in house.paramiko().listdir("/")
    except (paramiko.SSHException, EOFError, OSError):
        return False


def test_few_descriptors(cloud: Any, tmp_path: Path) -> None:
    """A gateway that the system gives too few descriptors says so instead of starting."""
    write_users(tmp_path, asyncssh.generate_private_key("ssh-ed25519"))
    program = subprocess.run(
        ["bash", "-c", 'ulimit -n 400 && exec "$0" "$@"', sys.executable, "-m", "gateway",
         "--port", "0", "--bucket", BUCKET, "--users", str(tmp_path / "users.json"),
         "--host-key", str(tmp_path / "host_key")],
        cwd=Path(__file__).parents[3], capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip

    assert program.returncode == 2
    assert b"too few open files" in program.stdout
