"""Files and folders from real SFTP clients through the gateway into a bucket."""

from __future__ import annotations

import io
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncssh
import paramiko
import pytest
from google.cloud import storage

from gateway.bucket import CloudBucket
from shared.files.folders import FOLDERS
from tests.integration.gateway.helpers import (
    BUCKET,
    CUSTOMERS,
    STAMP,
    House,
    Result,
    content,
    house_of,
    need,
    until,
    write_users,
)
from tests.support.gateway import PASSWORD, Running
from tests.support.waiting import PATIENCE

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
        assert sorted(sftp.listdir("/")) == sorted(FOLDERS)
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
    house.put("reports/x.report.json", b"{}")
    with house.paramiko() as sftp:
        assert sftp.open(f"processed/{CUSTOMERS}").read() == b"done"
        with pytest.raises(PermissionError):
            sftp.remove(f"processed/{CUSTOMERS}")
        with pytest.raises(PermissionError):
            sftp.open(f"rejected/{CUSTOMERS}", "wb")
        sftp.remove("reports/x.report.json")

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
