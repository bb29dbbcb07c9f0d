"""A gateway before a bucket, and the programs that people reach it with."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest
from google.cloud import storage

from gateway.brake import Brake
from gateway.bucket import CloudBucket
from gateway.limits import Capacity
from gateway.users import hash_password
from tests.support.gateway import CHEAP, PASSWORD, Running
from tests.support.waiting import PATIENCE

STAMP = "20230424T201230Z"
CUSTOMERS = f"customers_{STAMP}.csv"
BUCKET = "shop"
ROOT = Path(__file__).parents[3]


# -- the cast ---------------------------------------------------------------------------------


class House:
    """A bucket, a gateway before it, and what clients need to know of them."""

    def __init__(self, folder: Path, *, port: int, host_key: str) -> None:
        self.folder = folder
        self.port = port
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{port} {host_key}\n")
        self.bucket: Any = storage.Client().bucket(BUCKET)

    @property
    def objects(self) -> dict[str, int]:
        """All objects with their sizes, but for notes about refused names."""
        blobs = {blob.name: blob.size for blob in self.bucket.list_blobs()}
        return {name: size for name, size in blobs.items() if not name.startswith("refusals/")}

    def clear(self) -> None:
        """Empty the bucket."""
        for blob in list(self.bucket.list_blobs()):
            blob.delete()

    def content(self, name: str) -> bytes:
        """Return an object's bytes."""
        data: bytes = self.bucket.blob(name).download_as_bytes()
        return data

    def put(self, name: str, data: bytes) -> None:
        """Make an object behind the gateway's back."""
        self.bucket.blob(name).upload_from_string(data)

    def openssh(self, program: str, *arguments: str, batch: str | None = None) -> Result:
        """Run one of OpenSSH's programs with the key of the user `key`."""
        return run(
            program,
            "-P" if program != "ssh" else "-p",
            str(self.port),
            *self.options,
            *arguments,
            stdin=batch,
        )

    @property
    def options(self) -> list[str]:
        """What OpenSSH is told, and nothing of the machine's own settings."""
        return [
            "-F", "none", "-i", str(self.folder / "key"),
            "-o", f"UserKnownHostsFile={self.known_hosts}",
            "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
        ]  # fmt: skip

    def sftp(self, batch: str, *, user: str = "key") -> Result:
        """Run commands in OpenSSH's sftp; those with a leading `-` may fail."""
        return self.openssh("sftp", "-b", "-", f"{user}@127.0.0.1", batch=batch)

    def lftp(self, commands: str) -> Result:
        """Run commands in lftp."""
        connect = " ".join(["ssh -a -x", *self.options])
        return run(
            "lftp", "--norc", "-c",
            f'set net:max-retries 1; set net:timeout 10; set sftp:connect-program "{connect}"; '
            f"open -p {self.port} -u key,x sftp://127.0.0.1; {commands}",
        )  # fmt: skip

    def curl(self, *arguments: str, user: str = "erp") -> Result:
        """Run curl with a password."""
        *options, path = arguments
        return run(
            "curl", "-sS", "-q", "--insecure", "-u", f"{user}:{PASSWORD}", *options,
            f"sftp://127.0.0.1:{self.port}/{path}",
        )  # fmt: skip

    def rclone(self, *arguments: str) -> Result:
        """Run rclone, whose remote is called `gw:`."""
        config = self.folder / "rclone.conf"
        hidden = run("rclone", "obscure", PASSWORD).output.strip()
        config.write_text(
            "[gw]\ntype = sftp\nhost = 127.0.0.1\n"
            f"port = {self.port}\nuser = erp\npass = {hidden}\n"
        )
        return run(
            "rclone", "--config", str(config), "--retries", "1", "--low-level-retries", "1",
            *arguments,
        )  # fmt: skip

    def paramiko(self, user: str = "erp", password: str = PASSWORD) -> paramiko.SFTPClient:
        """Log in with paramiko."""
        client = paramiko.SSHClient()
        client.load_host_keys(str(self.known_hosts))
        client.connect(
            "127.0.0.1", self.port, user, password, look_for_keys=False, allow_agent=False
        )
        return client.open_sftp()


class Result:
    """What a program has said, and how it ended."""

    def __init__(self, code: int, output: str) -> None:
        self.code = code
        self.output = output


def run(program: str, *arguments: str, stdin: str | None = None) -> Result:
    """Run a client to its end; skip the test where it is not installed."""
    need(program)
    done = subprocess.run(
        [program, *arguments],
        input=(stdin or "").encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C"},
    )
    return Result(done.returncode, done.stdout.decode(errors="replace"))


def need(program: str) -> None:
    """Skip the test where a client is not installed, or cannot speak SFTP."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    if program == "curl":
        version = subprocess.run(["curl", "-V"], capture_output=True, check=True)
        if b" sftp" not in version.stdout:
            pytest.skip("this curl does not speak SFTP")


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for something that must come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def content(size: int, seed: int = 1) -> bytes:
    """Bytes that look like lines, the last one ended."""
    line = bytes(random.Random(seed).choices(b"abcdefghijklmnop,", k=99)) + b"\n"
    return (line * (size // 100 + 1))[-size:] if size else b""


def write_users(folder: Path, key: asyncssh.SSHKey) -> None:
    """Write a users file: `erp` and `key` are of all connections, `au` and `nz` of their own."""
    public = key.export_public_key().decode()
    password = hash_password(PASSWORD, cost=CHEAP)
    rows: list[dict[str, Any]] = [
        {"name": "erp", "connection": "*", "password_hash": password},
        {"name": "key", "connection": "*", "keys": [public]},
        {"name": "au", "connection": "au", "password_hash": password, "keys": [public]},
        {"name": "nz", "connection": "nz", "password_hash": password},
    ]
    (folder / "users.json").write_text(json.dumps({"users": rows}))


def house_of(folder: Path, running: Running) -> House:
    """Describe a gateway in this process to clients."""
    public = running.host_key.export_public_key().decode().strip()
    return House(folder, port=running.port, host_key=public)


class small(House):
    """A gateway of one test's own."""

    running: Running | None = None

    def __init__(self, folder: Path, capacity: Capacity, brake: Brake | None = None) -> None:
        write_users(folder, asyncssh.generate_private_key("ssh-ed25519"))
        self.running = Running(
            bucket=CloudBucket(storage.Client(), BUCKET, patience=1.0),
            users=folder / "users.json",
            capacity=capacity,
            brake=brake,
        )
        public = self.running.host_key.export_public_key().decode().strip()
        super().__init__(folder, port=self.running.port, host_key=public)

    @property
    def users(self) -> Path:
        """The file of users."""
        return self.folder / "users.json"

    def __enter__(self) -> small:
        self.clear()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.running
        self.running.stop()


# -- as a program -----------------------------------------------------------------------------


class Program:
    """`python -m gateway`, with its log."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.log = folder / "gateway.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "--port", "0", "--host", "127.0.0.1",
                 "--users", str(folder / "users.json"), "--host-key", str(folder / "host_key"),
                 *arguments],
                cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of the log about one kind of event."""
        rows = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [row for row in rows if row.get("event") == event]

    @property
    def peak(self) -> int:
        """The most memory it has used, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def end(self) -> int:
        """Tell it to end; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def at(program: Program, folder: Path) -> House:
    """Describe a gateway program to clients."""
    key = asyncssh.read_private_key(folder / "host_key").export_public_key().decode().strip()
    here = House(folder, port=program.lines("listening")[0]["port"], host_key=key)
    here.clear()
    return here
