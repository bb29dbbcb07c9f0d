"""A retailer follows the leaflet to the letter, with a login of one connection and of all."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import paramiko
import pytest

from shared.files import FOLDERS
from tests.support.pipeline import customers_csv
from tests.support.stack import Up, run
from tests.support.waiting import eventually

PASSWORD = "correct horse"
GOOD = customers_csv(*({"PERIDX": str(number)} for number in range(1, 11)))
BAD_ROW = GOOD.replace("\r\n5,", "\r\n5x,", 1)
NO_KEY = GOOD.replace("PERIDX", "NUMBER", 1)


class Retailer:
    """A person with WinSCP, who looks into folders, uploads and downloads."""

    def __init__(self, sftp: paramiko.SFTPClient, connection: str) -> None:
        self._sftp = sftp
        self._connection = connection

    def folder(self, top: str) -> str:
        """Return the folder that the leaflet means: the connection's own one if it is seen."""
        assert set(FOLDERS) <= set(self._sftp.listdir("/"))
        seen = self._connection in self._sftp.listdir("pending")
        return f"{top}/{self._connection}/" if seen else f"{top}/"

    def put(self, path: str, content: str) -> None:
        """Upload a file."""
        self._sftp.putfo(io.BytesIO(content.encode()), path, confirm=False)

    def get(self, path: str) -> str:
        """Download a file."""
        with self._sftp.open(path) as file:
            return file.read().decode("utf-8-sig")

    def summary(self, path: str) -> str:
        """Wait for a summary; return it on one line."""

        def there() -> bool:
            with suppress(FileNotFoundError):
                return bool(self._sftp.stat(path))
            return False

        assert eventually(there), f"{path} is not there"
        return " ".join(self.get(path).split())


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Start a stack with the connection `au` and logins for one connection and for all."""
    with Up(tmp_path_factory.mktemp("leaflet") / "data") as up:
        up.ready()
        users = up.data / "gateway" / "users.json"
        for connection in ("au", "main"):
            new = ("--name", f"{connection}-shop", "--connection", connection)
            run("gateway", "add-user", "--users", users, *new, typed=PASSWORD)
            run("local", "connections", "add", connection, "--data", up.data)
        yield up


@contextmanager
def logged_in(up: Up, user: str, leaflet: dict[str, Any]) -> Iterator[Retailer]:
    """Log in at the address of the leaflet."""
    sftp = up.ready().sftp
    password = sftp.password if user == sftp.user else PASSWORD
    with paramiko.Transport((leaflet["host"], leaflet["port"])) as transport:
        transport.connect(username=user, password=password)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        with client:
            yield Retailer(client, leaflet["connection"])


@pytest.mark.parametrize(
    ("user", "connection", "day"),
    [
        ("au-shop", "au", 1),
        ("apparel21", "au", 2),
        ("main-shop", "main", 3),
        ("apparel21", "main", 4),
    ],
)
def test_leaflet(up: Up, user: str, connection: str, day: int) -> None:
    """Every path that the leaflet and the summaries give works as it is written."""
    leaflet = json.loads(
        run("local", "connections", "show", connection, "--data", up.data, "--json")
    )
    exported_at = datetime(2024, 11, day, 18, tzinfo=UTC)
    first, second = (
        f"customers_{exported_at + timedelta(hours=hours):%Y%m%dT%H%M%SZ}" for hours in (0, 1)
    )

    with logged_in(up, user, leaflet) as retailer:
        pending, reports = retailer.folder("pending"), retailer.folder("reports")

        # A check, then the whole file where the summary says; its bad row where it says next.
        retailer.put(f"{retailer.folder('test')}{first}.csv", BAD_ROW)
        advice = retailer.summary(f"{reports}test/{first}.summary.txt")
        retailer.put(re.findall(r"upload the whole file: (\S+)\.$", advice)[0], BAD_ROW)
        advice = retailer.summary(f"{reports}{first}.summary.txt")
        assert "10 read," in advice
        assert ", 1 rejected" in advice
        rejected, again = re.findall(r"are in (\S+)\. .* upload it as (\S+)\.$", advice)[0]
        fixed = retailer.get(rejected)
        assert fixed == retailer.get(f"{retailer.folder('rejected')}{first}.rejected.csv")
        retailer.put(again, fixed.replace("5x,", "5,", 1))
        name = again.rpartition("/")[2].removesuffix(".csv")
        verdict = retailer.summary(f"{reports}{name}.summary.txt")
        assert "1 read," in verdict
        assert ", 0 rejected" in verdict

        # A file that is rejected whole goes under the same name.
        retailer.put(f"{pending}{second}.csv", NO_KEY)
        advice = retailer.summary(f"{reports}{second}.summary.txt")
        assert "None of this file was loaded." in advice
        same = re.findall(r"upload it again under the same name: (\S+)\.$", advice)[0]
        retailer.put(same, GOOD)
        loaded = f"{reports}{second}.summary.txt"
        assert eventually(lambda: "Status: loaded" in retailer.summary(loaded))

        # A wrong name is refused by the upload itself.
        with pytest.raises(OSError, match="The right name is: "):
            retailer.put(f"{pending}{first.replace('c', 'C', 1)}.csv", GOOD)
