"""The gateway between real SFTP clients and a bucket behind the real storage client."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncssh
import paramiko
import pytest
from google.cloud import storage

from gateway.brake import Brake
from gateway.bucket import CloudBucket
from gateway.limits import Capacity, Limits
from gateway.users import hash_password
from local.emulators.storage import serve
from tests.support.gateway import CHEAP, PASSWORD, Running
from tests.support.waiting import PATIENCE

STAMP = "20230424T201230Z"
CUSTOMERS = f"customers_{STAMP}.csv"
BUCKET = "shop"
ROOT = Path(__file__).parents[2]


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
        """All objects with their sizes."""
        return {blob.name: blob.size for blob in self.bucket.list_blobs()}

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


@pytest.fixture(scope="module", name="cloud")
def _cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    server = serve(port=0, data=tmp_path_factory.mktemp("gcs"), buckets=[BUCKET], events=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.port}")
        yield server
    server.stop()


@pytest.fixture(scope="module", name="door")
def _door(cloud: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Running]]:
    folder = tmp_path_factory.mktemp("gateway")
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(folder / "key")
    (folder / "key").chmod(0o600)  # or OpenSSH does not touch it
    write_users(folder, key)
    running = Running(
        bucket=CloudBucket(storage.Client(), BUCKET, patience=1.0), users=folder / "users.json"
    )
    yield house_of(folder, running), running
    running.stop()


@pytest.fixture(name="house")
def _house(door: tuple[House, Running]) -> House:
    door[0].clear()
    return door[0]


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


# -- one file, every client -------------------------------------------------------------------


def _by_openssh(house: House, local: Path, remote: str) -> Result:
    return house.sftp(f"put {local} {remote}\nget {remote} {local}.back\n")


def _by_scp(house: House, local: Path, remote: str) -> Result:
    there = f"key@127.0.0.1:{remote}"
    if (up := house.openssh("scp", str(local), there)).code:
        return up
    return house.openssh("scp", there, f"{local}.back")


def _by_curl(house: House, local: Path, remote: str) -> Result:
    if (up := house.curl("-T", str(local), remote)).code:
        return up
    return house.curl("-o", f"{local}.back", remote)


def _by_lftp(house: House, local: Path, remote: str) -> Result:
    return house.lftp(f"put {local} -o {remote} && get {remote} -o {local}.back")


def _by_rclone(house: House, local: Path, remote: str) -> Result:
    if (up := house.rclone("copyto", str(local), f"gw:{remote}")).code:
        return up
    return house.rclone("copyto", f"gw:{remote}", f"{local}.back")


def _by_paramiko(house: House, local: Path, remote: str) -> Result:
    with house.paramiko() as sftp:
        try:
            sftp.put(str(local), remote)
            sftp.get(remote, f"{local}.back")
        except OSError as error:
            return Result(1, str(error))
    return Result(0, "")


CLIENTS = [_by_openssh, _by_scp, _by_curl, _by_lftp, _by_rclone, _by_paramiko]
Client = Callable[[House, Path, str], Result]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("size", [0, 1, 300_000, 7_000_001])
def test_there_and_back(house: House, tmp_path: Path, client: Client, size: int) -> None:
    """Every client brings a file of any size, over an older one too, and gets it back as it was."""
    if size == 1:
        house.put(f"pending/{CUSTOMERS}", b"older and longer")
    local, data = tmp_path / "local.csv", content(size)
    local.write_bytes(data)
    result = client(house, local, f"pending/{CUSTOMERS}")

    assert result.code == 0, result.output
    assert house.objects == {f"pending/{CUSTOMERS}": size}
    assert house.content(f"pending/{CUSTOMERS}") == data
    assert (tmp_path / "local.csv.back").read_bytes() == data


@pytest.mark.parametrize("client", CLIENTS)
def test_misnamed(house: House, tmp_path: Path, client: Client) -> None:
    """A wrong name is refused at once; whoever can show a server's words shows the right name."""
    local = tmp_path / "local.csv"
    local.write_bytes(content(1000))
    result = client(house, local, f"test/Customers_{STAMP}.csv")

    assert result.code != 0
    if client not in (_by_curl, _by_rclone):  # they show "permission denied" and no more
        assert f"The right name is: test/{CUSTOMERS}" in result.output
        assert "[name.wrong_case]" in result.output
    else:
        assert "permission denied" in result.output.lower()
    assert house.objects == {}


def test_hostile_name(house: House) -> None:
    """What the gateway says of a name that turns text around shows its number instead."""
    with house.paramiko() as sftp:
        for name in ("a.part", "\u202eb.part"):
            sftp.putfo(io.BytesIO(b"id\n1\n"), f"pending/{name}", confirm=False)
        with pytest.raises(OSError, match=r"/pending/\\u202eb.part exists") as refused:
            sftp.rename("pending/a.part", "pending/\u202eb.part")

    assert str(refused.value).isprintable()


def test_commands(house: House, tmp_path: Path) -> None:
    """What people type into sftp does what they expect."""
    local = tmp_path / "x.csv"
    local.write_bytes(b"id\n1\n")
    result = house.sftp(
        f"put -p {local} pending/{CUSTOMERS}\nls -l pending\ndf -h\nchmod 600 pending/{CUSTOMERS}\n"
        f"mkdir pending\nmkdir pending/de\nput {local} pending/de/{CUSTOMERS}\nls pending\n"
        f"-rmdir pending/de\nrm pending/de/{CUSTOMERS}\nls -l pending/de\nrmdir pending/de\n"
        f"-ls pending/de\nrename pending/{CUSTOMERS} pending/orders_{STAMP}.csv\n"
        f"-symlink pending/orders_{STAMP}.csv pending/link\n"
    )

    assert result.code == 0, result.output
    assert f"5 {time.strftime('%b')}" in " ".join(result.output.split())
    assert "pending/de" in result.output
    assert "The folder is not empty." in result.output
    assert 'Can\'t ls: "/pending/de" not found' in result.output
    assert "Links cannot be made here." in result.output
    assert house.objects == {f"pending/orders_{STAMP}.csv": 5}


def test_folders(house: House) -> None:
    """The five folders are there before anything else is, and only what cannot be is refused."""
    with house.paramiko() as sftp:
        assert sorted(sftp.listdir("/")) == ["bulk", "pending", "processed", "rejected", "test"]
        assert sftp.listdir("bulk") == []
        sftp.chdir("pending/au")  # a connection of another user
        for path in ("nowhere", "pending/nowhere"):
            with pytest.raises(FileNotFoundError):
                sftp.listdir(f"/{path}")
        for path in ("processed/de", "pending/De", "pending/de/sub"):
            with pytest.raises(PermissionError):
                sftp.mkdir(f"/{path}")


def test_long_listing(house: House) -> None:
    """A folder with more files than one answer holds is listed whole."""
    names = {
        f"customers_202304{day:02}T{hour:02}0000Z.csv" for day in range(1, 7) for hour in range(24)
    }
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: house.put(f"bulk/{name}", b""), names))
    with house.paramiko() as sftp:
        assert set(sftp.listdir("bulk")) == names


# -- a name, a time, a place ------------------------------------------------------------------


def test_object_only_at_close(house: House) -> None:
    """Nothing is seen of a file, not even an empty one, before it is closed."""
    with house.paramiko() as sftp:
        file = sftp.open(f"pending/{CUSTOMERS}", "wb")
        assert house.objects == {}
        file.write(content(5_000_000))
        file.flush()
        assert house.objects == {}
        with pytest.raises(FileNotFoundError):
            sftp.stat(f"pending/{CUSTOMERS}")
        file.close()

        assert house.objects == {f"pending/{CUSTOMERS}": 5_000_000}


@pytest.mark.parametrize("how", ["killed", "hung up", "session ended"])
def test_lost(house: House, door: tuple[House, Running], tmp_path: Path, how: str) -> None:
    """A client that goes away in mid-upload, in whatever way, leaves nothing."""
    traffic = door[1].gateway.state.traffic
    if how == "killed":
        need("sftp")
        local = tmp_path / "big.csv"
        local.write_bytes(content(20_000_000))
        client = subprocess.Popen(
            ["sftp", "-l", "40000", "-P", str(house.port), *house.options, "-b", "-",
             "key@127.0.0.1"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert client.stdin
        client.stdin.write(f"put {local} pending/{CUSTOMERS}\n".encode())
        client.stdin.flush()
        until(lambda: any(upload.size > 4_500_000 for upload in traffic.uploads))
        client.kill()
        client.wait(PATIENCE)
    else:
        sftp = house.paramiko()
        file = sftp.open(f"pending/{CUSTOMERS}", "wb")
        file.write(content(5_000_000))
        file.flush()
        until(lambda: any(upload.size == 5_000_000 for upload in traffic.uploads))
        channel = sftp.get_channel()
        assert channel
        if how == "hung up":
            channel.get_transport().sock.close()
        else:
            channel.shutdown_write()
    until(lambda: not traffic.uploads)

    assert house.objects == {}


def test_interrupted(house: House, door: tuple[House, Running], tmp_path: Path) -> None:
    """Ctrl-C in OpenSSH's sftp, which closes the file as if it were whole, leaves nothing."""
    need("sftp")
    local = tmp_path / "big.csv"
    local.write_bytes(b"x" * 20_000_000)
    client = subprocess.Popen(
        ["sftp", "-l", "40000", "-P", str(house.port), *house.options, "-b", "-", "key@127.0.0.1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert client.stdin
    client.stdin.write(f"put {local} pending/{CUSTOMERS}\n".encode())
    client.stdin.flush()
    until(lambda: any(upload.size > 1_000_000 for upload in door[1].gateway.state.traffic.uploads))
    client.send_signal(signal.SIGINT)
    output = client.communicate(timeout=PATIENCE)[0].decode()

    assert "seems to have been interrupted" in output
    assert house.objects == {}


def test_interrupted_where_a_line_ends(house: House, tmp_path: Path) -> None:
    """What may be the part before a Ctrl-C is refused once; the same file again is taken."""
    need("sftp")
    local, name = tmp_path / "even.csv", f"pending/{CUSTOMERS}"
    local.write_bytes(content(2 * 255 * 1024 + 1024)[: 2 * 255 * 1024 - 1] + b"\n")
    put = f"put {local} {name}\n"
    first = house.sftp(put)
    local.write_bytes(content(255 * 1024 - 1, seed=2) + b"\n")
    other = house.sftp(put)
    again = house.sftp(put)

    assert "may have been interrupted" in first.output
    assert (first.code, other.code, again.code) == (1, 1, 0)
    assert house.objects == {name: 255 * 1024}


def test_full_blocks_of_others(house: House) -> None:
    """Clients that end a connection when they are interrupted may bring full blocks only."""
    with house.paramiko() as sftp:
        sftp.putfo(io.BytesIO(content(2 * 32 * 1024)), f"pending/{CUSTOMERS}")

    assert house.objects == {f"pending/{CUSTOMERS}": 2 * 32 * 1024}


def test_old_clients(cloud: Any, tmp_path: Path) -> None:
    """A client that knows only the older exchange of keys gets in where that is offered."""
    need("sftp")
    for offered in (False, True):
        folder = tmp_path / str(offered)
        folder.mkdir()
        write_users(folder, asyncssh.generate_private_key("ssh-ed25519"))
        running = Running(
            bucket=CloudBucket(storage.Client(), BUCKET, patience=1.0),
            users=folder / "users.json",
            old_clients=offered,
        )
        here = house_of(folder, running)
        transport = paramiko.Transport(("127.0.0.1", here.port))
        transport.get_security_options().kex = ("diffie-hellman-group-exchange-sha256",)
        try:
            transport.connect(username="erp", password=PASSWORD)
        except (paramiko.SSHException, EOFError, OSError):
            assert not offered
        else:
            assert offered
        finally:
            transport.close()
            running.stop()


def test_overwritten(house: House) -> None:
    """Of two uploads to one name, the one that is closed last is the object."""
    with house.paramiko() as sftp:
        first = sftp.open(f"pending/{CUSTOMERS}", "wb")
        second = sftp.open(f"pending/{CUSTOMERS}", "wb")
        first.write(b"first")
        second.write(b"second")
        second.close()
        first.close()

    assert house.content(f"pending/{CUSTOMERS}") == b"first"


def test_exclusive(house: House) -> None:
    """A client that wants a new file does not get an old one."""
    house.put(f"pending/{CUSTOMERS}", b"old")
    with house.paramiko() as sftp:
        with pytest.raises(OSError, match="exists"):
            sftp.open(f"pending/{CUSTOMERS}", "wbx")
        with sftp.open(f"pending/orders_{STAMP}.csv", "wbx") as file:
            file.write(b"new")

    assert house.content(f"pending/{CUSTOMERS}") == b"old"
    assert house.content(f"pending/orders_{STAMP}.csv") == b"new"


@pytest.mark.parametrize("client", ["reput", "put -a", "curl", "lftp", "paramiko"])
def test_resume(house: House, tmp_path: Path, client: str) -> None:
    """A file that is there in part can be continued; without one, it begins anew."""
    data, local = content(3_000_000), tmp_path / "x.csv"
    local.write_bytes(data)
    house.put(f"pending/{CUSTOMERS}", data[:1_000_000])
    if client in ("reput", "put -a"):
        result = house.sftp(f"{client} {local} pending/{CUSTOMERS}\n")
    elif client == "curl":
        result = house.curl("-C", "-", "-T", str(local), f"pending/{CUSTOMERS}")
    elif client == "lftp":
        result = house.lftp(
            f"put -c {local} -o pending/{CUSTOMERS} && put -c {local} -o test/{CUSTOMERS}"
        )
    else:
        with house.paramiko() as sftp, sftp.open(f"pending/{CUSTOMERS}", "ab") as file:
            file.write(data[1_000_000:])
        result = Result(0, "")

    assert result.code == 0, result.output
    assert house.content(f"pending/{CUSTOMERS}") == data
    assert client != "lftp" or house.content(f"test/{CUSTOMERS}") == data


def test_touched(house: House) -> None:
    """A file that is opened for writing and closed unchanged is not uploaded again."""
    house.put(f"pending/{CUSTOMERS}", b"x")
    before = house.bucket.get_blob(f"pending/{CUSTOMERS}").generation
    with house.paramiko() as sftp:
        sftp.open(f"pending/{CUSTOMERS}", "r+b").close()
        sftp.utime(f"pending/{CUSTOMERS}", (1, 1))

    assert house.bucket.get_blob(f"pending/{CUSTOMERS}").generation == before


@pytest.mark.parametrize(
    "temporary", [f"{CUSTOMERS}.filepart", f".in.{CUSTOMERS}", f"{CUSTOMERS}.1a2b3c4d.partial"]
)
@pytest.mark.parametrize("posix", [False, True])
def test_renamed(house: House, temporary: str, posix: bool) -> None:
    """The way of WinSCP, lftp and rclone: a temporary name, and a rename when all is there."""
    data = content(300_000)
    with house.paramiko() as sftp:
        with sftp.open(f"pending/{temporary}", "wb") as file:
            file.write(data)
        rename = sftp.posix_rename if posix else sftp.rename
        rename(f"pending/{temporary}", f"pending/{CUSTOMERS}")

    assert house.objects == {f"pending/{CUSTOMERS}": 300_000}
    assert house.content(f"pending/{CUSTOMERS}") == data


def test_renamed_wrongly(house: House) -> None:
    """A rename is refused where an upload would be, and the source stays."""
    house.put("pending/x.tmp", b"new")
    house.put(f"pending/{CUSTOMERS}", b"old")
    house.put(f"processed/{CUSTOMERS}", b"done")
    with house.paramiko() as sftp:
        with pytest.raises(PermissionError, match=f"The right name is: pending/{CUSTOMERS}"):
            sftp.rename("pending/x.tmp", "pending/customers_20230424T201230.csv")
        with pytest.raises(OSError, match="exists"):
            sftp.rename("pending/x.tmp", f"pending/{CUSTOMERS}")
        with pytest.raises(PermissionError, match="record of what has been loaded"):
            sftp.rename(f"processed/{CUSTOMERS}", f"test/{CUSTOMERS}")
        with pytest.raises(FileNotFoundError):
            sftp.rename("pending/y.tmp", f"test/{CUSTOMERS}")
        sftp.posix_rename("pending/x.tmp", f"pending/{CUSTOMERS}")

    assert house.content(f"pending/{CUSTOMERS}") == b"new"
    assert set(house.objects) == {f"pending/{CUSTOMERS}", f"processed/{CUSTOMERS}"}


def test_named_ahead_of_time(house: House) -> None:
    """A name in the future is refused, local time with its right name, also at a rename."""
    now = datetime.now(UTC).replace(microsecond=0)
    local = f"{now.astimezone(ZoneInfo('Australia/Sydney')):%Y%m%dT%H%M%SZ}"
    right = f"pending/customers_{now:%Y%m%dT%H%M%SZ}.csv"
    house.put("pending/x.tmp", b"new")
    with house.paramiko() as sftp:
        with pytest.raises(PermissionError, match=f"The right name is: {right}"):
            sftp.open(f"pending/customers_{local}.csv", "wb")
        with pytest.raises(PermissionError, match=f"The right name is: {right}"):
            sftp.rename("pending/x.tmp", f"pending/customers_{local}.csv")
        with pytest.raises(PermissionError, match="in_future"):
            sftp.open(f"test/orders_{now.year + 2}0101T000000Z.csv", "wb")

    assert house.objects == {"pending/x.tmp": 3}


def test_lftp_temporary(house: House, tmp_path: Path) -> None:
    """lftp with temporary files brings a file, and brings it again over the old one."""
    local = tmp_path / "x.csv"
    local.write_bytes(b"id\n1\n")
    put = f"put {local} -o pending/{CUSTOMERS}"
    result = house.lftp(f"set xfer:use-temp-file yes; {put} && {put}")

    assert result.code == 0, result.output
    assert house.objects == {f"pending/{CUSTOMERS}": 5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the exports of five days."""
    folder = tmp_path / "exports"
    folder.mkdir()
    for day in range(1, 6):
        (folder / f"customers_2023040{day}T000000Z.csv").write_bytes(content(1000, seed=day))
    return folder


def exports(house: House) -> list[str]:
    """Name the objects of the connection `de`, but for the mark of the folder itself."""
    return [name for name in house.objects if name.startswith("pending/de/c")]


def test_rclone_folder(house: House, folder: Path) -> None:
    """rclone brings a folder, makes the connection's own, and finds it right."""
    copied = house.rclone("copy", str(folder), "gw:pending/de")
    checked = house.rclone("check", "--download", str(folder), "gw:pending/de")
    listed = house.rclone("lsl", "gw:pending")

    assert (copied.code, checked.code) == (0, 0), copied.output + checked.output
    assert len(exports(house)) == 5
    assert listed.output.count(" 1000 ") == listed.output.count(" de/customers_") == 5


def test_rclone_sync_and_move(house: House, folder: Path) -> None:
    """`rclone sync` removes what is gone at home; `rclone move` leaves nothing there."""
    assert house.rclone("sync", str(folder), "gw:pending/de").code == 0
    (folder / "customers_20230401T000000Z.csv").unlink()
    (folder / "customers_20230402T000000Z.csv").write_bytes(content(2000))
    synced = house.rclone("sync", str(folder), "gw:pending/de")
    after = exports(house)
    moved = house.rclone("move", str(folder), "gw:test/de")

    assert (synced.code, moved.code) == (0, 0), synced.output + moved.output
    assert [name[-20:-4] for name in after] == [f"2023040{day}T000000Z" for day in range(2, 6)]
    assert house.content("pending/de/customers_20230402T000000Z.csv") == content(2000)
    assert list(folder.iterdir()) == []
    assert sum(name.startswith("test/de/c") for name in house.objects) == 4


def test_lftp_mirror(house: House, folder: Path) -> None:
    """`lftp mirror -R` brings a folder, and of a later run only what is new."""
    mirror = f"mirror -R {folder} pending/de"
    first = house.lftp(mirror)
    made = {blob.name: blob.generation for blob in house.bucket.list_blobs()}
    (folder / "orders_20230405T000500Z.csv").write_bytes(content(3000))
    second = house.lftp(mirror)
    again = {blob.name: blob.generation for blob in house.bucket.list_blobs()}

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert len(exports(house)) == 5
    assert house.content("pending/de/orders_20230405T000500Z.csv") == content(3000)
    assert {name: again[name] for name in made} == made
    assert len(again) == len(made) + 1


def test_openssh_folder(house: House, folder: Path) -> None:
    """`put -pR` of OpenSSH's sftp brings a folder, over one that is there too."""
    command = f"lcd {folder.parent}\ncd pending\nmkdir de\nput -pR exports/. de\n"
    results = [house.sftp(command) for _ in range(2)]

    assert [result.code for result in results] == [0, 0], results[0].output + results[1].output
    assert len(exports(house)) == 5


def test_kept_folders(house: House) -> None:
    """What the pipeline keeps can be read; reports can be removed, the record cannot."""
    house.put(f"processed/{CUSTOMERS}", b"done")
    house.put("rejected/x.report.json", b"{}")
    with house.paramiko() as sftp:
        assert sftp.open(f"processed/{CUSTOMERS}").read() == b"done"
        with pytest.raises(PermissionError):
            sftp.remove(f"processed/{CUSTOMERS}")
        with pytest.raises(PermissionError):
            sftp.open(f"rejected/{CUSTOMERS}", "wb")
        sftp.remove("rejected/x.report.json")

    assert house.objects == {f"processed/{CUSTOMERS}": 4}


def test_taken_at_once(house: House) -> None:
    """A client that looks after its upload finds it, even if the pipeline has taken it by then."""
    with house.paramiko() as sftp:
        with sftp.open(f"pending/{CUSTOMERS}", "wb") as file:
            file.write(b"12345")
        house.bucket.blob(f"pending/{CUSTOMERS}").delete()

        assert sftp.stat(f"pending/{CUSTOMERS}").st_size == 5
        sftp.utime(f"pending/{CUSTOMERS}", (1, 1))
        assert sftp.listdir("pending") == []
    with house.paramiko() as other, pytest.raises(FileNotFoundError):
        other.stat(f"pending/{CUSTOMERS}")


# -- who may what -----------------------------------------------------------------------------


def test_confined(house: House) -> None:
    """Two users of one connection each work in the same folders and never see each other."""
    with house.paramiko("au") as au, house.paramiko("nz") as nz:
        for sftp, data in ((au, b"au"), (nz, b"nz")):
            with sftp.open(f"pending/{CUSTOMERS}", "wb") as file:
                file.write(data)
            with sftp.open(f"orders_{STAMP}.csv", "wb") as file:
                file.write(data)

            assert sorted(sftp.listdir("pending")) == [CUSTOMERS, f"orders_{STAMP}.csv"]
            assert sftp.open(f"pending/{CUSTOMERS}").read() == data
            assert sorted(sftp.listdir("/")) == ["bulk", "pending", "processed", "rejected", "test"]
        for path in (f"pending/nz/{CUSTOMERS}", f"../nz/{CUSTOMERS}", f"nz/{CUSTOMERS}"):
            with pytest.raises(FileNotFoundError):
                au.stat(path)
            with pytest.raises(PermissionError):
                au.open(path, "wb")
        au.remove(f"pending/{CUSTOMERS}")
    names = [f"pending/au/orders_{STAMP}.csv", f"pending/nz/{CUSTOMERS}"]

    assert sorted(house.objects) == [*names, f"pending/nz/orders_{STAMP}.csv"]


def test_logins(house: House, tmp_path: Path) -> None:
    """The right password or key lets in, and nothing else does."""
    stranger = tmp_path / "stranger"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(stranger)

    async def login(user: str, **how: Any) -> bool:
        try:
            async with asyncssh.connect(
                "127.0.0.1", house.port, username=user, known_hosts=str(house.known_hosts),
                agent_path=None, config=[], **how,
            ) as conn, conn.start_sftp_client() as sftp:  # fmt: skip
                return "pending" in await sftp.listdir("/")
        except asyncssh.PermissionDenied:
            return False

    async def all_of_them() -> list[bool]:
        own = str(house.folder / "key")
        return [
            await login("erp", password=PASSWORD, client_keys=None),
            await login("key", client_keys=[own]),
            await login("au", client_keys=[own]),
            await login("au", password=PASSWORD, client_keys=[str(stranger)]),
            await login("key", client_keys=[str(stranger)]),
            await login("nz", client_keys=[own]),
            await login("erp", password="wrong", client_keys=None),
            await login("key", password=PASSWORD, client_keys=None),
            await login("nobody", password=PASSWORD, client_keys=None),
        ]

    assert asyncio.run(all_of_them()) == [True] * 4 + [False] * 5


def test_nothing_but_sftp(house: House, tmp_path: Path) -> None:
    """A shell, a command and the old scp are refused with a word; tunnels are not opened."""
    local = tmp_path / CUSTOMERS
    local.write_bytes(b"x")
    for result in (
        house.openssh("ssh", "key@127.0.0.1"),
        house.openssh("ssh", "key@127.0.0.1", "ls"),
        house.openssh("scp", "-O", str(local), "key@127.0.0.1:pending/"),
    ):
        assert result.code != 0
        assert "by SFTP only" in result.output
    tunnel = house.openssh("ssh", "-W", f"127.0.0.1:{house.port}", "key@127.0.0.1")

    assert tunnel.code != 0
    assert "SSH-2.0" not in tunnel.output
    assert house.objects == {}


# -- many, large, and in trouble --------------------------------------------------------------


def test_fifty_at_once(house: House) -> None:
    """Fifty clients upload at the same time, and each file arrives as it was sent."""

    async def one(number: int) -> None:
        async with asyncssh.connect(
            "127.0.0.1", house.port, username="erp", password=PASSWORD, client_keys=None,
            known_hosts=str(house.known_hosts), agent_path=None, config=[],
        ) as conn, conn.start_sftp_client() as sftp:  # fmt: skip
            name = f"bulk/customers_20230401T0000{number:02}Z.csv"
            async with sftp.open(name, "wb") as file:
                await file.write(content(400_000 + number, seed=number))

    async def all_of_them() -> None:
        await asyncio.gather(*(one(number) for number in range(50)))

    asyncio.run(all_of_them())
    objects = house.objects

    assert len(objects) == 50
    for number in (0, 7, 49):
        name = f"bulk/customers_20230401T0000{number:02}Z.csv"
        assert house.content(name) == content(400_000 + number, seed=number)


def test_audited(house: House) -> None:
    """ssh-audit finds nothing that fails, and warns of nothing but what clients in use still need.

    That are key exchanges that a quantum computer could undo, offered after one that it cannot, and
    the only MACs of older libssh2, offered last.
    """
    audit = run(sys.executable, "-m", "ssh_audit", "-j", "--skip-rate-test", "-p", str(house.port),
                "127.0.0.1")  # fmt: skip
    found = json.loads(audit.output)

    notes = {
        (kind, one["algorithm"]): one.get("notes", {})
        for kind in ("kex", "key", "enc", "mac")
        for one in found[kind]
    }
    assert [name for name, note in notes.items() if note.get("fail")] == []
    quantum = ["does not provide protection against post-quantum attacks"]
    assert {
        ("kex", "curve25519-sha256"): quantum,
        ("kex", "curve25519-sha256@libssh.org"): quantum,
        ("kex", "diffie-hellman-group16-sha512"): quantum,
        ("kex", "diffie-hellman-group18-sha512"): quantum,
        ("mac", "hmac-sha2-256"): ["using encrypt-and-MAC mode"],
        ("mac", "hmac-sha2-512"): ["using encrypt-and-MAC mode"],
    } == {name: note["warn"] for name, note in notes.items() if note.get("warn")}
    assert found["kex"][0]["algorithm"] == "mlkem768x25519-sha256"
    assert [one["algorithm"] for one in found["mac"][-2:]] == ["hmac-sha2-256", "hmac-sha2-512"]
    assert found["cves"] == []


@pytest.mark.parametrize("capacity", [Capacity(connections=2), Capacity(connections_per_address=2)])
def test_too_many(cloud: Any, tmp_path: Path, capacity: Capacity) -> None:
    """Connections above the limit are turned away, and let in when others have gone."""
    with small(tmp_path, capacity) as here:
        first, second = here.paramiko(), here.paramiko()
        with pytest.raises((paramiko.SSHException, EOFError, OSError)):
            here.paramiko()
        channel = first.get_channel()
        assert channel
        channel.get_transport().close()

        def again() -> bool:
            try:
                here.paramiko().listdir("/")
            except (paramiko.SSHException, EOFError, OSError):
                return False
            return True

        until(again)
        second.listdir("/")


def test_session_limits(cloud: Any, tmp_path: Path) -> None:
    """Too many open files, and files that are too large, are refused with the limit."""
    with (
        small(tmp_path, Capacity(session=Limits(handles=2, file_size=1000))) as here,
        here.paramiko() as sftp,
    ):
        files = [sftp.open(f"pending/{number}.tmp", "wb") for number in range(2)]
        with pytest.raises(PermissionError, match="has 2 files open"):
            sftp.open("pending/3.tmp", "wb")
        files[0].write(b"x" * 1000)
        files[0].close()
        with pytest.raises(PermissionError, match="larger than the 1,000 bytes"):
            files[1].write(b"x" * 1001)
        files[1].close()

        assert here.objects == {"pending/0.tmp": 1000}


def test_idle(cloud: Any, tmp_path: Path) -> None:
    """A connection that nothing comes from is ended, and its open upload is lost."""
    with small(tmp_path, Capacity(idle_seconds=6.0)) as here:
        sftp = here.paramiko()
        file = sftp.open(f"pending/{CUSTOMERS}", "wb")
        file.write(b"x")
        file.flush()
        channel = sftp.get_channel()
        assert channel
        until(lambda: not channel.get_transport().is_active())

        assert here.objects == {}


def test_taken_out(cloud: Any, tmp_path: Path) -> None:
    """A user who is taken out, or given another connection, is soon out; the others stay."""
    # The longer the time, the rarer the look; a busy machine must not keep the others idle for it.
    with small(tmp_path, Capacity(idle_seconds=12.0)) as here:
        erp, au, nz = here.paramiko(), here.paramiko("au"), here.paramiko("nz")
        text = here.users.read_text()
        rows = [row for row in json.loads(text)["users"] if row["name"] != "au"]
        changed = [row | {"connection": "au"} if row["name"] == "nz" else row for row in rows]
        here.users.write_text(json.dumps({"users": changed}))

        def out(client: paramiko.SFTPClient) -> bool:
            erp.listdir("/")
            channel = client.get_channel()
            return channel is None or not channel.get_transport().is_active()

        until(lambda: out(au) and out(nz))
        assert "pending" in erp.listdir("/")


def test_guessing(cloud: Any, tmp_path: Path) -> None:
    """After five wrong passwords the connection is ended."""

    class Patient(Brake):
        def wait(self, address: str, user: str, now: float) -> float:
            return 0.0

    class Guesser(asyncssh.SSHClient):
        tried = 0

        def password_auth_requested(self) -> str:
            Guesser.tried += 1
            return "wrong"

        def kbdint_auth_requested(self) -> None:
            return None

    async def guess() -> None:
        await asyncssh.connect(
            "127.0.0.1", here.port, username="erp", client_factory=Guesser, client_keys=None,
            known_hosts=str(here.known_hosts), agent_path=None, config=[],
        )  # fmt: skip

    with small(tmp_path, Capacity(), Patient()) as here, pytest.raises(asyncssh.DisconnectError):
        asyncio.run(guess())

    assert Guesser.tried == 5


def test_bucket_down(tmp_path: Path) -> None:
    """A bucket that goes away under way is told to the client, and nothing is left of the file."""
    cloud = serve(port=0, data=tmp_path / "gcs", buckets=[BUCKET], events=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{cloud.port}")
        with small(tmp_path, Capacity()) as here:

            async def upload() -> str:
                async with asyncssh.connect(
                    "127.0.0.1", here.port, username="erp", password=PASSWORD, client_keys=None,
                    known_hosts=str(here.known_hosts), agent_path=None, config=[],
                ) as conn, conn.start_sftp_client() as sftp:  # fmt: skip
                    file = await sftp.open(f"pending/{CUSTOMERS}", "wb")
                    await file.write(content(5_000_000))
                    cloud.stop()
                    with pytest.raises(asyncssh.SFTPError) as caught:
                        await file.close()
                    with pytest.raises(asyncssh.SFTPError, match="bucket"):
                        await sftp.listdir("pending")
                    return caught.value.reason

            assert "bucket" in asyncio.run(upload())
            cloud = serve(port=cloud.port, data=tmp_path / "gcs", buckets=[BUCKET], events=None)
            assert here.objects == {}
            with here.paramiko() as sftp:
                sftp.putfo(io.BytesIO(b"back"), f"pending/{CUSTOMERS}")
            assert here.objects == {f"pending/{CUSTOMERS}": 4}
    cloud.stop()


def test_drained(cloud: Any, tmp_path: Path) -> None:
    """A gateway that is told to end lets the upload under way end first, and takes no more."""
    with small(tmp_path, Capacity()) as here:
        assert here.running
        idle, sftp = here.paramiko(), here.paramiko()
        file = sftp.open(f"pending/{CUSTOMERS}.filepart", "wb")
        file.write(content(3_000_000))
        file.flush()
        drained = here.running.drain(20)
        channel = idle.get_channel()
        assert channel
        until(lambda: not channel.get_transport().is_active())
        with pytest.raises((paramiko.SSHException, EOFError, OSError)):
            here.paramiko()
        with pytest.raises(OSError, match="restarting"):
            sftp.open(f"test/{CUSTOMERS}", "wb")
        file.write(b"end\n")
        file.close()
        sftp.rename(f"pending/{CUSTOMERS}.filepart", f"pending/{CUSTOMERS}")
        drained.result(20)

        assert here.objects == {f"pending/{CUSTOMERS}": 3_000_004}


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


@pytest.fixture(name="program")
def _program(cloud: Any, tmp_path: Path) -> Iterator[Program]:
    write_users(tmp_path, asyncssh.generate_private_key("ssh-ed25519"))
    (tmp_path / "spool").mkdir()
    program = Program(tmp_path, "--bucket", BUCKET, "--spool", str(tmp_path / "spool"))
    try:
        until(lambda: program.lines("listening"))
        yield program
    finally:
        program.process.kill()
        program.process.wait(PATIENCE)


def at(program: Program, folder: Path) -> House:
    """Describe a gateway program to clients."""
    key = asyncssh.read_private_key(folder / "host_key").export_public_key().decode().strip()
    here = House(folder, port=program.lines("listening")[0]["port"], host_key=key)
    here.clear()
    return here


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
