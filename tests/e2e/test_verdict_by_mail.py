"""A retailer repairs a night's export with nothing but mail, an SFTP client and the report.

The operator only looks at the page, and sees it turn from red to green.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import paramiko
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from local.endpoints import Endpoints
from tests.support.browsing import browsing, look, why_no_browser
from tests.support.mail import MailServer, mail_server, make_certificate
from tests.support.pipeline import customers_csv, orders_csv
from tests.support.stack import Up, hands_on, run
from tests.support.waiting import eventually

ANN = "ann@shop.example"
PASSWORD = "correct horse"
CUSTOMERS = "customers_20241118T180000Z.csv"
ORDERS = "orders_20241118T180500Z.csv"
GOOD = customers_csv({"PERIDX": "1"}, {"PERIDX": "2"})
WRONG = GOOD.replace("PERIDX", "PERSON_NO", 1)


@contextmanager
def logged_in(endpoints: Endpoints) -> Iterator[paramiko.SFTPClient]:
    """Log in as the retailer, who sees one connection."""
    with paramiko.Transport((endpoints.sftp.host, endpoints.sftp.port)) as transport:
        transport.connect(username="shop-erp", password=PASSWORD)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        with client:
            yield client


def put(sftp: paramiko.SFTPClient, name: str, content: str) -> None:
    """Upload a file."""
    with sftp.open(name, "wb") as file:
        file.write(content.encode())


def words(message: EmailMessage) -> str:
    """Return the text of a mail on one line."""
    body = message.get_body(("plain",))
    assert body is not None
    return " ".join(body.get_content().split())


def verdicts(server: MailServer) -> list[EmailMessage]:
    """Return the mails about files: all but the one that says that there will be mails."""
    return [one for one in server.messages if "from now on" not in one["Subject"]]


def mailed(server: MailServer, number: int) -> EmailMessage:
    """Wait for as many mails about files, and return the last of them."""
    assert eventually(lambda: len(verdicts(server)) >= number), server.subjects
    return verdicts(server)[number - 1]


def advised(text: str) -> str:
    """Return the name under which the corrected file is to be sent."""
    found = re.search(r"upload (?:it|the file) again under the same name: (\S+\.csv)\.", text)
    assert found is not None, text
    return found[1]


def page(browser: webdriver.Chrome, url: str) -> str:
    """Open the operator's first page, and return what it says."""
    browser.get(f"{url}?still=1")
    return browser.find_element(By.TAG_NAME, "main").text


@pytest.mark.skipif(why_no_browser() is not None, reason=f"No browser: {why_no_browser()}.")
def test_a_wrong_header_is_corrected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mail says which column; sent again as it advises, the file frees the orders that wait.

    The mail about the recovery is in the same thread, and the page then needs no person.
    """
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with mail_server(certificate) as server, browsing() as browser:
        mailing = {"MAIL_URL": server.url, "MAIL_FROM": "Shop imports <imports@example.com>"}
        with Up(tmp_path / "data", "--orders-delay", "1s", environment=mailing) as up:
            endpoints, users = up.ready(), up.data / "gateway" / "users.json"
            user = ("--users", users, "--name", "shop-erp", "--connection", "shop")
            run("gateway", "add-user", *user, typed=PASSWORD)
            notify = (f"notify.to={ANN}", "timeZone=Pacific/Auckland")
            run("local", "connections", "add", "shop", *notify, "--data", up.data)
            look(browser, width=1180)
            _story(endpoints, server, browser)


def _story(endpoints: Endpoints, server: MailServer, browser: webdriver.Chrome) -> None:
    url = endpoints.functions["status"]
    with hands_on(endpoints) as hands, logged_in(endpoints) as sftp:
        # At night: the orders wait for their customers, whose header is wrong.
        put(sftp, ORDERS, orders_csv({"ORDER_NUMBER": "D1"}))
        hands.wait_for("shop", ORDERS[:-4], "waiting")
        put(sftp, CUSTOMERS, WRONG)

        # In the morning: the mail names the column, and who waits for the file.
        trouble = mailed(server, 1)
        assert trouble["Subject"] == (
            "[shop] ✗ customers 19 Nov 07:00: nothing loaded – column PERIDX is missing"
        )
        assert f"{ORDERS} waits for this file" in words(trouble)

        # The operator sees it at the same time, and the orders that wait because of it.
        hands.wait_for("shop", ORDERS[:-4], "blocked")
        seen = page(browser, url)
        assert "One thing needs a person" in seen
        assert "The column PERIDX is missing" in seen
        assert "blocked by a rejected file" in seen

        # The summary says the same as the mail. What both advise is done to the letter.
        with sftp.open(f"reports/{CUSTOMERS[:-4]}.summary.txt") as file:
            summary = " ".join(file.read().decode().split())
        assert "The column PERIDX is missing" in summary
        name = advised(words(trouble))
        assert advised(summary) == name
        put(sftp, name, GOOD)

        # The orders follow by themselves. The mail about it answers the first one.
        customers = hands.wait_for("shop", CUSTOMERS[:-4], "loaded")
        orders = hands.wait_for("shop", ORDERS[:-4], "loaded")
        assert (customers.rows.loaded, orders.rows.loaded, orders.rows.orphaned) == (2, 1, 0)
        recovery = mailed(server, 2)
        assert recovery["Subject"] == "[shop] ✓ customers: loading again"
        assert recovery["In-Reply-To"] == recovery["References"] == trouble["Message-ID"]
        assert {recovery["To"], trouble["To"]} == {ANN}
        seen = page(browser, url)
        assert "All is well" in seen
        assert "blocked by a rejected file" not in seen
        assert len(verdicts(server)) == 2
