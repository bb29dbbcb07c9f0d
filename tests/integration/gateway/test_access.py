"""Who may do what through the gateway and how much of it, and what happens when a part fails."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest

from gateway.brake import Brake
from gateway.limits import Capacity, Limits
from local.emulators.storage import serve
from shared.files.folders import FOLDERS
from tests.integration.gateway.helpers import (
    BUCKET,
    CUSTOMERS,
    STAMP,
    House,
    content,
    run,
    small,
    until,
)
from tests.support.gateway import PASSWORD

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
            assert sorted(sftp.listdir("/")) == sorted(FOLDERS)
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
