"""The leaflet for retailers says the same on the page and for each connection."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from shared.core import ConnectionSettings, Deployment
from shared.core.notify import NotifyOn, SuccessMail
from shared.reporting import Leaflet, leaflet
from tools.reference import for_retailers

PAGE = Path(__file__).parents[3] / "docs/for-retailers.md"
DEPLOYMENT = Deployment(sftp_address="sftp.example.com:2222", mail_from="imports@example.com")


def of(connection: str, deployment: Deployment = DEPLOYMENT, **document: object) -> list[str]:
    """Return the leaflet of a connection with these settings."""
    settings = ConnectionSettings.from_document(
        document, connection=connection, deployment=deployment
    )
    return Leaflet(deployment=deployment, connection=connection, settings=settings).lines()


def test_page_is_the_leaflet() -> None:
    """The page is up to date: else run `python -m tools.reference.for_retailers`."""
    assert for_retailers.page() == PAGE.read_text(encoding="utf-8")


def test_page_fits_one_sheet() -> None:
    """A retailer has at most 350 words to read."""
    assert len(PAGE.read_text(encoding="utf-8").split()) <= 350


def test_connection() -> None:
    """A connection's leaflet has its own address, folder, time zone, cadence, mail and contact.

    All other lines are those of the page.
    """
    lines = of(
        "nz",
        timeZone="Pacific/Auckland",
        cadence={"customers": "1d"},
        notify={"to": "ann@example.com", "on": "rejected,rows"},
    )

    page = for_retailers.page()
    own = [line for line in lines if line not in page]
    assert len(own) == 6
    assert "host name `sftp.example.com`, port 2222" in own[0]
    assert "a folder `nz` in them, use `pending/nz/`, `test/nz/`" in own[1]
    assert "This one is 25 Apr 2023 08:12:30 NZST" in own[2]
    assert own[3] == "We expect customers every day."
    assert "Mail goes to ann@example.com when a file is rejected or rows are rejected." in own[4]
    assert own[5].startswith("Ask imports@example.com.")


def test_main() -> None:
    """The connection `main` has no folder of its own."""
    assert not any("pending/main" in line or "`main`" in line for line in of("main"))


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("sftp.example.com", "sftp.example.com", 22),
        ("sftp.example.com:2222", "sftp.example.com", 2222),
        ("[2001:db8::1]:2222", "2001:db8::1", 2222),
        ("", "", 22),
    ],
)
def test_address(address: str, host: str, port: int) -> None:
    """The address may have a port; else it is 22."""
    found = Leaflet(deployment=Deployment(sftp_address=address))
    assert (found.host, found.port) == (host, port)


def test_times_are_the_settings() -> None:
    """The wait of orders and the time that reports are kept are those of the deployment."""
    deployment = Deployment.from_environment({"ORDERS_DELAY": "45m", "REPORTS_RETENTION": "10d"})

    text = "\n".join(of("au", deployment))

    assert "Orders start 45 minutes after" in text
    assert "kept for 10 days" in text


def test_nobody_is_mailed() -> None:
    """A leaflet without addresses says so."""
    assert any("Nobody is mailed." in line for line in of("au"))


def test_every_event_has_words() -> None:
    """Each event and each kind of success mail that can be set is said in words."""
    assert set(leaflet.ON) == set(get_args(NotifyOn))
    assert set(leaflet.SUCCESS) == set(get_args(SuccessMail))


def test_names_no_other_program() -> None:
    """A retailer needs WinSCP, Excel and Notepad only."""
    assert not re.search(r"python|`make |docs/", for_retailers.page())


@pytest.mark.parametrize(
    ("on", "words"),
    [
        (None, "ann@example.com about each problem and its end."),
        ("rows", "ann@example.com when rows are rejected."),
        (
            "rejected,rows,overdue",
            "when a file is rejected, rows are rejected or orders wait too long.",
        ),
        ([], "Mail goes to ann@example.com. Files"),
    ],
)
def test_mail(on: object, words: str) -> None:
    """The events that are mailed are said in words, all of them in short."""
    assert words in " ".join(of("au", notify={"to": "ann@example.com", "on": on}))
