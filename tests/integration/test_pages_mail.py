"""The status page tells which mails did not arrive, and shows the newest ones of a retailer."""

from __future__ import annotations

from datetime import timedelta
from email.parser import BytesParser
from email.policy import default

import pytest

from shared.mail import send_due
from shared.status import routes
from tests.integration.test_pages import get, links, text
from tests.support.mail import ANN, BO, NAME, NO_KEY, MailServer, load, mails, notify
from tests.support.pipeline import Pipeline, customers_csv

pytest_plugins = ["tests.support.mailed"]

MASKED_BO = "••@••••.•••••••"


def of_main(pipeline: Pipeline, more: str = "", *, person: str = "") -> routes.PageAnswer:
    """Ask for the page of the connection `main`."""
    return get(pipeline.services, f"connection=main{more}", person=person)


def message(pipeline: Pipeline) -> str:
    """Return the link to the newest mail."""
    return next(link for link in links(of_main(pipeline)) if "mail=" in link)


def test_an_address_that_bounces_needs_a_person(mailed: Pipeline, server: MailServer) -> None:
    """The address is shown masked until it takes a mail or is removed from the settings."""
    server.refuse[BO] = f"550 5.1.1 {BO} is unknown"
    load(mailed, NAME, NO_KEY)

    assert "?connection=main#mails" in links(get(mailed.services))
    page = text(get(mailed.services))
    assert f"main : The address {MASKED_BO} takes no mail (550 5.1.1)." in page
    assert "connections set main notify.to=…" in page
    assert "main ! 1 file was rejected 1 address takes no mail" in page
    assert "@shop.example" not in page

    notify(mailed, to=[ANN])
    assert "takes no mail" not in text(get(mailed.services))
    notify(mailed, to=[ANN, BO])
    server.refuse.clear()
    mailed.clock.advance(timedelta(minutes=1))
    load(mailed, "customers_20230501T115600Z", customers_csv({"PERIDX": "1"}))
    assert "All is well" in text(get(mailed.services))


def test_nobody_takes_mail(mailed: Pipeline, server: MailServer) -> None:
    """If every address refuses mail, the page does not show the alert about the lost mail, too."""
    server.refuse |= {ANN: "550 5.1.1 No", BO: "550 5.1.1 No"}
    load(mailed, NAME, NO_KEY)

    page = text(get(mailed.services))
    assert "3 things need a person" in page
    assert page.count("takes no mail") == 2
    assert "was not delivered" not in page


def test_a_mail_that_no_server_takes_needs_a_person(mailed: Pipeline, server: MailServer) -> None:
    """After half an hour the page shows it, although the alert comes after a day."""
    server.answer = f"451 4.3.0 not now, {ANN}"
    load(mailed, NAME, NO_KEY)
    assert "no server takes" not in text(get(mailed.services))

    mailed.clock.advance(timedelta(minutes=31))
    page = text(get(mailed.services))
    assert "main : 1 mail waits: no server takes it (451 4.3.0)." in page
    assert "main ! 1 file was rejected 1 mail is late" in page

    server.answer = "250 Taken"
    send_due(mailed.services)
    assert "no server takes" not in text(get(mailed.services))


def test_the_newest_mails_of_a_connection(
    mailed: Pipeline, server: MailServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page of a connection lists its mails, with state and attempts; addresses are masked.

    The log names the person who asks for the addresses, and the page no longer refreshes.
    """
    server.refuse[BO] = f"550 5.1.1 {BO} is unknown"
    load(mailed, NAME, NO_KEY)
    capsys.readouterr()

    page = of_main(mailed)
    said = text(page)
    assert "nothing loaded – column PERIDX is missing △ sent, but not to all" in said
    assert f"1 attempt · to •••@••••.•••••••, {MASKED_BO} · refused by {MASKED_BO} · .eml" in said
    assert "What to do:" in said
    assert "@shop.example" not in str(page.body)
    assert "Newest mails" not in text(get(mailed.services))
    assert "Newest mails" not in text(get(mailed.services, "connection=nz"))
    assert capsys.readouterr().out == ""

    shown = of_main(mailed, "&reveal=1", person="kim@example.com")
    assert f"to {ANN}, {BO} · refused by {BO}" in text(shown)
    assert "data-refresh" not in str(shown.body)
    assert "kim@example.com" in capsys.readouterr().out


def test_a_mail_as_a_file(
    mailed: Pipeline, server: MailServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The link leads to the message that was sent, to the byte; who takes it is logged."""
    load(mailed, NAME, NO_KEY)
    link = message(mailed)
    capsys.readouterr()

    answer = get(mailed.services, link, person="kim@example.com")

    assert not isinstance(answer.body, str)
    content = b"".join(answer.body)
    assert content == server.taken[0].original_content
    assert BytesParser(policy=default).parsebytes(content)["To"] == f"{ANN}, {BO}"
    assert answer.headers["Content-Type"] == "message/rfc822"
    assert answer.headers["Content-Disposition"].endswith("rejected.eml")
    assert "kim@example.com" in capsys.readouterr().out
    assert get(mailed.services, "connection=main&mail=main~no").status == 404
    assert get(mailed.services, link.replace("connection=main", "connection=nz")).status == 400


def test_a_mail_that_somebody_has_edited(mailed: Pipeline, server: MailServer) -> None:
    """A document that is no mail breaks neither the page nor the download."""
    load(mailed, NAME, NO_KEY)
    link = message(mailed)
    (id,) = mails(mailed)
    mailed.database.document(f"mail/{id}").update(
        {"to": 7, "message": "hello", "delivery.state": 3, "delivery.attempts": "many"}
    )

    assert of_main(mailed).status == 200
    assert get(mailed.services, link).status == 404
