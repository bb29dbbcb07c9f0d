"""The setting that says who is mailed is read by name, and refused without quoting an address."""

from __future__ import annotations

import pytest

from shared.core.errors import SettingsError
from shared.core.notify import ADDRESSES, Notify, read_notify
from shared.core.settings import ConnectionSettings, Deployment


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, Notify()),
        ({}, Notify()),
        ({"to": ["a@example.com", "a@example.com"]}, Notify(to=("a@example.com",))),
        ({"to": "a@example.com, b@x.example"}, Notify(to=("a@example.com", "b@x.example"))),
        ({"on": "rejected,rows"}, Notify(on=frozenset({"rejected", "rows"}))),
        ({"on": [], "success": "never"}, Notify(on=frozenset(), success="never")),
        ({"to": None}, Notify()),
    ],
)
def test_notify(value: object, expected: Notify) -> None:
    """Lists may be written as text; what is absent takes its default."""
    assert read_notify("notify", value) == expected


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("ann@example.com", "notify"),
        ({"an": "ann@example.com"}, "notify"),
        ({"to": "ann"}, "notify.to"),
        ({"to": "ann@example.com\r\nBcc: bo@example.com"}, "notify.to"),
        ({"to": "Ann <ann@example.com>"}, "notify.to"),
        ({"to": "änn@example.com"}, "notify.to"),
        ({"to": f"{'a' * 250}@example.com"}, "notify.to"),
        ({"to": [f"a{number}@example.com" for number in range(ADDRESSES + 1)]}, "notify.to"),
        ({"to": 7}, "notify.to"),
        ({"on": ["everything"]}, "notify.on"),
        ({"success": "weekly"}, "notify.success"),
    ],
)
def test_refused(value: object, part: str) -> None:
    """An error names the part, and no address: it goes into the log."""
    with pytest.raises(SettingsError) as refused:
        read_notify("notify", value)

    assert refused.value.name == part
    assert "bo@" not in str(refused.value)


def test_an_error_stops_no_import() -> None:
    """A connection with a mistyped address has all its other settings."""
    settings = ConnectionSettings.from_document(
        {"notify": {"to": ["ann"]}, "currency": "NZD"}, connection="nz", deployment=Deployment()
    )

    assert settings.currency == "NZD"
    assert settings.notify.to == ()
    assert settings.notify_error is not None
    assert settings.notify_error.name == "connections/nz.notify.to"


@pytest.mark.parametrize(
    ("environment", "mailing"),
    [
        ({}, "off"),
        ({"MAIL_URL": "file:/mail", "MAIL_FROM": "a@example.com"}, "send"),
        ({"MAIL_URL": "file:/mail", "MAIL_FROM": "a@example.com", "MAIL_MODE": "off"}, "off"),
        ({"MAIL_MODE": "documents"}, "documents"),
        ({"MAIL_MODE": "send"}, "send"),
        ({"MAIL": "/var/mail/kim"}, "off"),
    ],
)
def test_what_becomes_of_mails(environment: dict[str, str], mailing: str) -> None:
    """Mails are sent where there is a server, unless the mode says otherwise."""
    assert Deployment.from_environment(environment).mailing == mailing


def test_a_server_needs_a_sender() -> None:
    """A deployment that could not send says so at once."""
    with pytest.raises(SettingsError, match="MAIL_FROM"):
        Deployment.from_environment({"MAIL_URL": "file:/mail"})
