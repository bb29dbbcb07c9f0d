"""The gateway as a program: its memory, its log, its signals, its container and its tools."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest

from tests.integration.gateway.helpers import (
    BUCKET,
    CUSTOMERS,
    ROOT,
    Program,
    at,
    content,
    run,
    until,
    write_users,
)
from tests.support.gateway import PASSWORD
from tests.support.waiting import PATIENCE


def test_flat_memory(program: Program, tmp_path: Path) -> None:
    """A file of 100 MB is taken, and given back, without needing memory that grows with it."""
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell how much memory a process has used")
    here = at(program, tmp_path)
    with here.paramiko() as sftp:
        sftp.putfo(io.BytesIO(content(1_000_000)), f"test/{CUSTOMERS}")
        before = program.peak
        block = content(1_000_000)
        with sftp.open(f"bulk/{CUSTOMERS}", "wb") as file:
            file.set_pipelined(True)
            for _ in range(100):
                file.write(block)
        with sftp.open(f"bulk/{CUSTOMERS}", "rb") as file:
            file.prefetch(100_000_000)
            received = sum(len(part) for part in iter(lambda: file.read(1_000_000), b""))

    assert received == here.objects[f"bulk/{CUSTOMERS}"] == 100_000_000
    assert program.peak - before < 40_000_000


def test_log(program: Program, tmp_path: Path) -> None:
    """The log tells logins, uploads and refusals, one JSON line each, and no password."""
    here = at(program, tmp_path)
    with here.paramiko("au") as sftp:
        sftp.putfo(io.BytesIO(b"12345"), f"pending/{CUSTOMERS}")
        with pytest.raises(PermissionError):
            sftp.open("pending/nonsense.csv", "wb")
    with pytest.raises(paramiko.AuthenticationException):
        here.paramiko("au", "open sesame")
    until(lambda: program.lines("login_refused"))
    upload = program.lines("upload")[0]

    assert (upload["user"], upload["object"], upload["bytes"]) == (
        "au", f"pending/au/{CUSTOMERS}", 5,
    )  # fmt: skip
    assert len(program.lines("login")) == len(program.lines("refused")) == 1
    assert PASSWORD not in program.log.read_text()
    assert "sesame" not in program.log.read_text()


def test_sigterm(program: Program, tmp_path: Path) -> None:
    """SIGTERM ends an idle gateway, with exit code 0; its host key stays the same."""
    first = (tmp_path / "host_key").read_bytes()
    check = [sys.executable, "-m", "gateway", "check", "--port"]
    port = program.lines("listening")[0]["port"]
    assert run(*check, str(port)).code == 0

    assert program.end() == 0
    assert program.lines("ended")
    assert run(*check, str(port)).code == 1
    again = Program(tmp_path, "--bucket", BUCKET)
    try:
        until(lambda: again.lines("listening"))
    finally:
        again.end()

    assert (tmp_path / "host_key").read_bytes() == first
    assert (tmp_path / "host_key").stat().st_mode & 0o777 == 0o600


def test_sighup(program: Program, tmp_path: Path) -> None:
    """SIGHUP lets an upload under way end first; a SIGTERM after it shortens its time."""
    here = at(program, tmp_path)
    with here.paramiko() as sftp:
        file = sftp.open(f"pending/{CUSTOMERS}", "wb")
        file.write(b"PERIDX\n")
        program.process.send_signal(signal.SIGHUP)
        until(lambda: program.lines("draining"))
        file.write(b"1\n")
        file.close()
    assert program.process.wait(PATIENCE) == 0
    assert {f"pending/{CUSTOMERS}": 9} == here.objects

    (tmp_path / "spool").mkdir(exist_ok=True)
    again = Program(tmp_path, "--bucket", BUCKET, "--drain", "0")
    until(lambda: again.lines("listening"))
    here = at(again, tmp_path)
    sftp = here.paramiko()
    sftp.open(f"pending/{CUSTOMERS}", "wb").write(b"PERIDX\n")
    again.process.send_signal(signal.SIGHUP)
    until(lambda: again.lines("draining"))
    assert again.end() == 0


def test_killed_gateway(program: Program, tmp_path: Path) -> None:
    """A gateway that is killed in mid-upload leaves nothing, in the bucket or on its disk."""
    here = at(program, tmp_path)
    sftp = here.paramiko()
    file = sftp.open(f"pending/{CUSTOMERS}", "wb")
    file.write(content(5_000_000))
    file.flush()
    program.process.kill()
    program.process.wait(PATIENCE)
    channel = sftp.get_channel()
    assert channel
    channel.get_transport().close()

    assert here.objects == {}
    assert list((tmp_path / "spool").iterdir()) == []


def test_container(tmp_path: Path) -> None:
    """The gateway starts from exactly the files that its container is given."""
    caches = shutil.ignore_patterns("__pycache__")
    for line in (ROOT / "gateway" / "Dockerfile").read_text().splitlines():
        match line.split():
            case ["COPY", *sources, target] if target != "/tmp/requirements.txt":
                for source in sources:
                    if (ROOT / source).is_dir():
                        shutil.copytree(ROOT / source, tmp_path / target, ignore=caches)
                    else:
                        (tmp_path / target).mkdir(exist_ok=True)
                        shutil.copy(ROOT / source, tmp_path / target)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--help"],
        cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip

    assert (tmp_path / "gateway" / "server.py").exists()
    assert done.returncode == 0, done.stderr
    assert b"--bucket" in done.stdout


@pytest.mark.parametrize(
    ("users", "bucket", "expected"),
    [(None, BUCKET, "cannot be read"), ("{}", BUCKET, '"users"'), ("", "no-such", "no bucket")],
)
def test_not_started(
    cloud: Any, tmp_path: Path, users: str | None, bucket: str, expected: str
) -> None:
    """A gateway that cannot work ends at once, with exit code 2 and the reason in its log."""
    write_users(tmp_path, asyncssh.generate_private_key("ssh-ed25519"))
    if users is None:
        (tmp_path / "users.json").unlink()
    elif users:
        (tmp_path / "users.json").write_text(users)
    program = Program(tmp_path, "--bucket", bucket)

    assert program.process.wait(PATIENCE) == 2
    assert expected in program.lines("not_started")[0]["message"]


def test_tools(tmp_path: Path) -> None:
    """`hash-password` and `add-user` make users who can log in, without a password on display."""
    key = tmp_path / "key.pub"
    key.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_public_key())
    users = str(tmp_path / "users.json")

    def tool(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            input=stdin, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE, check=False,
        )  # fmt: skip

    hashed = tool("hash-password", stdin="open sesame\n")
    one = tool("add-user", "--users", users, "--name", "a", "--connection", "au", "--key", str(key))
    two = tool("add-user", "--users", users, "--name", "b", "--connection", "*", stdin="sesame\n")
    three = tool("add-user", "--users", users, "--name", "c", "--connection", "AU", stdin="x\n")

    assert hashed.stdout.startswith("scrypt$")
    assert (hashed.returncode, one.returncode, two.returncode, three.returncode) == (0, 0, 0, 2)
    assert "user c: connection" in three.stderr
    rows = json.loads(Path(users).read_text())["users"]
    assert [sorted(row) for row in rows] == [
        ["connection", "keys", "name"], ["connection", "name", "password_hash"],
    ]  # fmt: skip
    assert "sesame" not in Path(users).read_text()
