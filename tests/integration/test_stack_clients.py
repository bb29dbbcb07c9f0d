"""The clients people upload with, against the whole pipeline as it runs."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import paramiko
import pytest

from local.sample_data.people import AUSTRALIA, CUSTOMER_COLUMNS, Person, make_people
from tests.support.expected import csv_file, customer_document, differences
from tests.support.stack import Hands
from tests.support.waiting import PATIENCE, descendants, eventually

STAMP = "20241118T190000Z"
CUSTOMERS = f"customers_{STAMP}"

# -- the clients ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Command:
    """A client's command line for one upload."""

    program: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, folder: Path) -> subprocess.Popen[str]:
        """Run it with nothing of the machine's own settings; what it says comes out of stdout."""
        return subprocess.Popen(
            [self.program, *self.arguments],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C"} | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )


@dataclass(frozen=True, slots=True)
class Sender:
    """Uploads from a machine that knows nothing but the stack's address, host key and password."""

    stack: Hands
    folder: Path

    def openssh(self, local: Path, remote: str, *, slow: bool) -> Command:
        """OpenSSH's sftp, which asks a program for the password."""
        asked = self.folder / "askpass"
        asked.write_text(f"#!/bin/sh\necho '{self.stack.endpoints.sftp.password}'\n")
        asked.chmod(0o700)
        batch = self.folder / "batch"
        batch.write_text(f"put {local} {remote}\n")
        sftp = self.stack.endpoints.sftp
        return Command(
            "sftp",
            (
                *self._ssh_options(),
                # In front of -b, which would forbid the password.
                *("-o", "BatchMode=no", "-P", str(sftp.port)),
                *(("-l", "32000") if slow else ()),
                *("-b", str(batch), f"{sftp.user}@{sftp.host}"),
            ),
            {"SSH_ASKPASS": str(asked), "SSH_ASKPASS_REQUIRE": "force"},
        )

    def curl(self, local: Path, remote: str, *, slow: bool) -> Command:
        """curl, where it was built with SFTP."""
        sftp = self.stack.endpoints.sftp
        return Command(
            "curl",
            (
                *("-q", "-sS", "--insecure", "-u", f"{sftp.user}:{sftp.password}"),
                *(("--limit-rate", "4M") if slow else ()),
                *("-T", str(local), f"sftp://{sftp.host}:{sftp.port}/{remote}"),
            ),
        )

    def lftp(self, local: Path, remote: str, *, slow: bool) -> Command:
        """Lftp, which drives an ssh of its own."""
        sftp = self.stack.endpoints.sftp
        connect = " ".join(("ssh -a -x", *self._ssh_options()))
        commands = (
            "set net:max-retries 1",
            "set net:timeout 20",
            f'set sftp:connect-program "{connect}"',
            *(("set net:limit-rate 4000000",) if slow else ()),
            f"open -p {sftp.port} -u {sftp.user},{sftp.password} sftp://{sftp.host}",
            f"put {local} -o {remote}",
        )
        return Command("lftp", ("--norc", "-c", "; ".join(commands)))

    def rclone(self, local: Path, remote: str, *, slow: bool) -> Command:
        """Rclone, which looks after the upload whether it has arrived."""
        sftp = self.stack.endpoints.sftp
        need("rclone")
        hidden = subprocess.run(
            ["rclone", "obscure", sftp.password], capture_output=True, text=True, check=True
        )
        config = self.folder / "rclone.conf"
        config.write_text(
            f"[shop]\ntype = sftp\nhost = {sftp.host}\nport = {sftp.port}\n"
            f"user = {sftp.user}\npass = {hidden.stdout.strip()}\n"
        )
        return Command(
            "rclone",
            (
                *("--config", str(config), "--retries", "1", "--low-level-retries", "1"),
                *(("--bwlimit", "4M", "--buffer-size", "0") if slow else ()),
                *("copyto", str(local), f"shop:{remote}"),
            ),
        )

    def paramiko(self, local: Path, remote: str, *, slow: bool) -> Command:
        """Paramiko in a program of its own."""
        sftp = self.stack.endpoints.sftp
        script = (
            "import paramiko, sys, time\n"
            "host, port, user, password, local, remote, pause = sys.argv[1:]\n"
            "with paramiko.Transport((host, int(port))) as transport:\n"
            "    transport.connect(username=user, password=password)\n"
            "    with paramiko.SFTPClient.from_transport(transport) as sftp:\n"
            "        sftp.put(local, remote, callback=lambda *_: time.sleep(float(pause)))\n"
        )
        login = (sftp.host, str(sftp.port), sftp.user, sftp.password)
        pause = "0.008" if slow else "0"
        return Command(sys.executable, ("-c", script, *login, str(local), remote, pause))

    def _ssh_options(self) -> tuple[str, ...]:
        sftp = self.stack.endpoints.sftp
        with paramiko.Transport((sftp.host, sftp.port)) as transport:
            transport.start_client(timeout=PATIENCE)
            key = transport.get_remote_server_key()
        known = self.folder / "known_hosts"
        known.write_text(f"[{sftp.host}]:{sftp.port} {key.get_name()} {key.get_base64()}\n")
        return (
            *("-F", "none", "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes"),
            *("-o", "PreferredAuthentications=password"),
        )


Client = Callable[..., Command]

CLIENTS = [Sender.openssh, Sender.curl, Sender.lftp, Sender.rclone, Sender.paramiko]
clients = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)


def need(program: str) -> None:
    """Skip the test where a client is not installed, or cannot speak SFTP."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    if program == "curl":
        version = subprocess.run(["curl", "-V"], capture_output=True, text=True, check=True)
        if " sftp" not in version.stdout:
            pytest.skip("this curl does not speak SFTP")


@pytest.fixture
def sender(stack: Hands, tmp_path: Path) -> Sender:
    return Sender(stack, tmp_path)


def upload(sender: Sender, client: Client, local: Path, remote: str) -> tuple[int, str]:
    """Upload with a client to its end; returns its exit code and all that it has said."""
    command = client(sender, local, remote, slow=False)
    need(command.program)
    running = command.start(sender.folder)
    output, _ = running.communicate(timeout=PATIENCE)
    return running.returncode, output


def people(seed: object, count: int = 40) -> list[Person]:
    """Make up customers, other ones for every seed."""
    return make_people(
        random.Random(str(seed)), AUSTRALIA, first=100, count=count, latest=date(2024, 11, 18)
    )


def customers_file(some: list[Person]) -> tuple[bytes, list[int]]:
    """Write a customers file; returns it with the line of each."""
    return csv_file(
        CUSTOMER_COLUMNS,
        ([person.cells[column] for column in CUSTOMER_COLUMNS] for person in some),
    )


def loads(stack: Hands, connection: str, some: list[Person], lines: list[int]) -> None:
    """Wait for the customers file of a connection, and hold every document against its row."""
    ended = stack.wait_for(connection, CUSTOMERS, "loaded", "rejected", "failed")
    assert ended.status == "loaded", ended.status_text
    assert ended.rows.read == ended.rows.loaded == len(some)
    expected = {
        person.key: customer_document(person.cells, import_=ended, line=line)
        for person, line in zip(some, lines, strict=True)
    }
    assert differences(expected, stack.documents(f"connections/{connection}/customers")) == []


def objects(stack: Hands, connection: str) -> set[str]:
    """Name every object of a connection, but for the folder that rclone makes first."""
    names = {blob.name for blob in stack.bucket.list_blobs()}
    return {name for name in names if f"/{connection}/" in name and not name.endswith("/")}


def put_away(stack: Hands, connection: str) -> bool:
    """Say whether the file and what is told of it are all that a connection has, but for state/."""
    names = {name for name in objects(stack, connection) if not name.startswith("state/")}
    return names == {
        f"processed/{connection}/{CUSTOMERS}.csv",
        f"reports/{connection}/{CUSTOMERS}.report.json",
        f"reports/{connection}/{CUSTOMERS}.summary.txt",
    }


# -- tests ------------------------------------------------------------------------------------


@clients
def test_upload(stack: Hands, sender: Sender, tmp_path: Path, client: Client) -> None:
    """What a client uploads is loaded, every document as its row says, and put away."""
    connection = f"by-{client.__name__}"
    some = people(connection)
    content, lines = customers_file(some)
    local = tmp_path / "export.csv"
    local.write_bytes(content)

    code, output = upload(sender, client, local, f"pending/{connection}/{CUSTOMERS}.csv")

    assert code == 0, output
    loads(stack, connection, some, lines)
    assert eventually(lambda: put_away(stack, connection)), objects(stack, connection)


@clients
def test_misnamed(stack: Hands, sender: Sender, tmp_path: Path, client: Client) -> None:
    """A misnamed upload is refused with the reason and the right name, and kept nowhere.

    The ledger has the refusal all the same.
    """
    connection = f"misnamed-{client.__name__}"
    some = people(connection, 3)
    content, lines = customers_file(some)
    local = tmp_path / "export.csv"
    local.write_bytes(content)

    wrong = f"pending/{connection}/customers_20241118T190000.csv"
    code, output = upload(sender, client, local, wrong)

    assert code != 0, output
    if client in (Sender.curl, Sender.rclone):  # they keep a server's words to themselves
        assert "permission denied" in output.lower()
    else:
        assert "does not end in Z" in output
        assert f"The right name is: pending/{connection}/{CUSTOMERS}.csv" in output
        assert "[name.not_utc]" in output
    kept = {name.partition("/")[0] for name in objects(stack, connection)}
    assert kept <= {"refusals", "reports"}

    right = f"pending/{connection}/{CUSTOMERS}.csv"
    assert upload(sender, client, local, right)[0] == 0
    loads(stack, connection, some, lines)
    told = {CUSTOMERS, wrong.replace("/", "~")}
    imports = f"connections/{connection}/imports"
    assert eventually(lambda: set(stack.documents(imports)) == told), stack.documents(imports)


def read_so_far(pid: int, file: Path) -> int:
    """Return how many bytes of an open file a process and those below it have read."""
    furthest = 0
    for one in (pid, *descendants(pid)):
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{one}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if link.readlink() == file:
                        position = Path(f"/proc/{one}/fdinfo/{link.name}").read_text().split()[1]
                        furthest = max(furthest, int(position))
    return furthest


@pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="needs Linux's /proc")
@clients
def test_killed(stack: Hands, sender: Sender, tmp_path: Path, client: Client) -> None:
    """A client killed in mid-upload leaves no object and no import; the next upload is loaded."""
    connection = f"killed-{client.__name__}"
    name = f"pending/{connection}/{CUSTOMERS}.csv"
    some = people(connection, 3)
    content, lines = customers_file(some)
    local = tmp_path / "export.csv"
    local.write_bytes(content * (30_000_000 // len(content)))
    command = client(sender, local, name, slow=True)
    need(command.program)

    running = command.start(tmp_path)
    try:
        # More than the gateway sends on to the bucket at a time.
        assert eventually(lambda: read_so_far(running.pid, local) > 5_000_000)
        assert running.poll() is None
    finally:
        for pid in (*reversed(descendants(running.pid)), running.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        running.communicate(timeout=PATIENCE)

    assert objects(stack, connection) == set()
    assert stack.documents(f"connections/{connection}/imports") == {}

    stack.upload(name, content)
    loads(stack, connection, some, lines)
    assert list(stack.documents(f"connections/{connection}/imports")) == [CUSTOMERS]
    earlier = f"connections/{connection}/imports/{CUSTOMERS}/generations"
    assert stack.documents(earlier) == {}
    stored = stack.import_(connection, CUSTOMERS)
    assert stored is not None
    assert (stored.size, stored.attempt) == (len(content), 1)
