"""Mail servers that cannot be trusted or used: they get no mail, and operators get an alert.

And people who come and go: who gets a mail is decided when it is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from shared.mail import send_due
from shared.status import routes
from tests.integration.conftest import Make
from tests.support.mail import (
    ANN,
    BO,
    NAME,
    NO_KEY,
    PASSWORD,
    SENDER,
    USER,
    MailServer,
    load,
    mail_server,
    mails,
    make_certificate,
    notify,
    states,
)
from tests.support.pipeline import Pipeline, customers_csv

pytest_plugins = ["tests.support.mailed"]

Trouble = Callable[[Path, pytest.MonkeyPatch], AbstractContextManager[MailServer]]


@contextmanager
def without_starttls(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """Run a server that would take a password and mails without encryption."""
    certificate = make_certificate(folder)
    patch.setenv("SSL_CERT_FILE", str(certificate))
    with mail_server(certificate, "smtp", offers_tls=False) as server:
        yield server


@contextmanager
def untrusted(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """Run a server whose certificate nobody vouches for."""
    patch.delenv("SSL_CERT_FILE", raising=False)
    with mail_server(make_certificate(folder)) as server:
        yield server


@contextmanager
def of_another_host(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """Run a server with a trusted certificate of another name, after STARTTLS."""
    certificate = make_certificate(folder, "other.example")
    patch.setenv("SSL_CERT_FILE", str(certificate))
    with mail_server(certificate, "smtp") as server:
        yield server


def sending(make: Make, url: str) -> Pipeline:
    """Build a pipeline that sends by this URL."""
    pipeline = make(mail_url=url, mail_from=SENDER)
    notify(pipeline, to=[ANN])
    return pipeline


def page(pipeline: Pipeline) -> str:
    """Return the operators' page."""
    request = routes.Request(method="GET", path="/", query={})
    return str(routes.answer(request, lambda: pipeline.services).body)


def until_given_up(pipeline: Pipeline) -> int:
    """Let a day pass, with a sweep each half hour; return the attempts at the one mail."""
    for _ in range(2 * 31):
        pipeline.clock.advance(timedelta(minutes=30))
        send_due(pipeline.services)
    (mail,) = mails(pipeline).values()
    return int(mail["delivery"]["attempts"])


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (without_starttls, "SMTPNotSupportedError"),
        (untrusted, "SSLCertVerificationError"),
        (of_another_host, "SSLCertVerificationError"),
    ],
)
def test_a_server_that_cannot_be_trusted_is_told_nothing(
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    trouble: Trouble,
    error: str,
) -> None:
    """No password, no address and no text reaches it; the mail is tried again, then an alert."""
    with trouble(tmp_path, monkeypatch) as server:
        pipeline = sending(make, server.url)
        load(pipeline, NAME, NO_KEY)
        assert states(pipeline) == ["RETRY"]
        pipeline.clock.advance(timedelta(minutes=31))
        assert f"no server takes it ({error})" in page(pipeline)

        assert until_given_up(pipeline) > 5

        assert (server.signed_in, server.taken) == ([], [])
    (mail,) = mails(pipeline).values()
    assert (mail["delivery"]["state"], mail["delivery"]["error"]) == ("ERROR", error)
    assert_told(pipeline, capsys.readouterr().out)


def test_a_wrong_password(
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The server's answer is recorded, the password nowhere; with the right one the mail goes."""
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with mail_server(certificate, "smtp") as server:
        wrong = server.url.replace("word%2F1", "word%2F2")
        pipeline = sending(make, wrong)
        load(pipeline, NAME, NO_KEY)
        (mail,) = mails(pipeline).values()
        assert (mail["delivery"]["state"], mail["delivery"]["attempts"]) == ("RETRY", 1)
        assert mail["delivery"]["error"].startswith("535 ")

        until_given_up(pipeline)
        assert states(pipeline) == ["ERROR"]
        assert {one for one, _ in server.signed_in} == {USER}
        assert server.taken == []
        assert_told(pipeline, capsys.readouterr().out, "p@ss:word/2", "word%2F2")

        (id,) = mails(pipeline)
        pipeline.database.document(f"mail/{id}").update({"delivery.state": "RETRY"})
        pipeline.clock.advance(timedelta(hours=6))
        deployment = replace(pipeline.services.deployment, mail_url=server.url)
        right = replace(pipeline.services, deployment=deployment)
        assert send_due(right) == 1
        assert server.signed_in[-1] == (USER, PASSWORD)
        assert [one.rcpt_tos for one in server.taken] == [[ANN]]


def assert_told(pipeline: Pipeline, log: str, *secrets: str) -> None:
    """Make sure that the alert is open, and that nothing secret is in it, a mail or the log."""
    alert = pipeline.database.document("alerts/main~mail~mail_failed").get().to_dict()
    assert alert is not None
    assert alert["open"]
    told = log + json.dumps([alert, mails(pipeline)], default=str)
    assert '"event": "mail"' in log
    for secret in (PASSWORD, "word%2F1", *secrets):
        assert secret not in told
    assert ANN not in log


# -- people who come and go -----------------------------------------------------------------------


def test_who_is_added_gets_what_is_written_from_then_on(
    mailed: Pipeline, server: MailServer
) -> None:
    """An address that comes back gets the recovery, not the mail about the trouble before."""
    notify(mailed, to=[ANN])
    load(mailed, NAME, NO_KEY)
    notify(mailed, to=[ANN, BO])
    mailed.clock.advance(timedelta(hours=1))
    mailed.sweep()
    assert [one.rcpt_tos for one in server.taken] == [[ANN]]

    load(mailed, NAME, customers_csv({"PERIDX": "1"}))

    assert [one.rcpt_tos for one in server.taken] == [[ANN], [ANN, BO]]
    assert server.messages[1]["In-Reply-To"] == server.messages[0]["Message-ID"]


def test_a_mail_that_waits_goes_to_those_for_whom_it_was_written(
    mailed: Pipeline, server: MailServer
) -> None:
    """It is the same message at each try, whoever is mailed now; the next one is for the others."""
    notify(mailed, to=[ANN])
    server.answer = "451 later"
    load(mailed, NAME, NO_KEY)
    notify(mailed, to=[BO])
    server.answer = "250 Taken"
    mailed.clock.advance(timedelta(minutes=1))
    mailed.sweep()
    load(mailed, "customers_20230501T115600Z", customers_csv({"PERIDX": "1"}))

    assert [one.rcpt_tos for one in server.taken] == [[ANN], [BO]]
    assert [str(one["To"]) for one in server.messages] == [ANN, BO]


def test_nobody_is_mailed_any_more(mailed: Pipeline, server: MailServer) -> None:
    """Without addresses no mail is written; a later address gets mail about later trouble only."""
    notify(mailed, to=[])
    load(mailed, NAME, NO_KEY)
    assert mails(mailed) == {}

    notify(mailed, to=[BO])
    mailed.clock.advance(timedelta(minutes=1))
    load(mailed, NAME, customers_csv({"PERIDX": "1"}))
    mailed.sweep()

    assert server.taken == []
