"""A pipeline that mails people over a real server, for all tests that look at mails.

A pytest plugin: `pytest_plugins = ["tests.support.mailed"]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.mail import (
    ANN,
    BO,
    SENDER,
    MailServer,
    mail_server,
    make_certificate,
    notify,
    told_before,
)
from tests.support.pipeline import Pipeline


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the certificate of the mail servers."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """Run a mail server whose certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with mail_server(certificate) as running:
        yield running


@pytest.fixture
def mailed(make: Callable[..., Pipeline], server: MailServer) -> Pipeline:
    """Build a pipeline that mails two people of `main`, in Sydney; both know that they are."""
    pipeline = make(mail_url=server.url, mail_from=SENDER, mail_reply_to="help@example.com")
    notify(pipeline, to=[ANN, BO])
    told_before(pipeline, ANN, BO)
    return pipeline
