"""Settings are read by name and refused by name."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.core.errors import SettingsError
from shared.core.readers import read_duration
from shared.core.settings import ENVIRONMENT, ConnectionSettings, Deployment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5), ("30m", 1800), ("12h", 43200), ("7d", 604800), ("1800", 1800), ("0", 0), (90, 90)],
)
def test_duration(text: object, seconds: int) -> None:
    """Lengths of time are a whole number with an optional unit."""
    assert timedelta(seconds=seconds) == read_duration("ORDERS_DELAY", text)


@pytest.mark.parametrize("text", ["", "5 minutes", "-5s", "1.5h", "٣s", "5s\n5", None, True])
def test_bad_duration(text: object) -> None:
    """What is not a length of time is refused with the setting's name."""
    with pytest.raises(SettingsError, match="ORDERS_DELAY"):
        read_duration("ORDERS_DELAY", text)


def test_defaults() -> None:
    """An empty environment gives the documented defaults."""
    deployment = Deployment.from_environment({})

    assert timedelta(minutes=30) == deployment.orders_delay
    assert timedelta(hours=6) == deployment.orders_deadline
    assert timedelta(hours=12) == deployment.pairing_window
    assert deployment.orders_without_customers == "hold"
    assert (deployment.reject_limit, deployment.reject_floor) == (0.2, 5)
    assert deployment.blank_means == "clear"


def test_every_variable() -> None:
    """Each environment variable reaches its setting."""
    given = {
        "GOOGLE_CLOUD_PROJECT": "shop",
        "LOCATION": "australia-southeast2",
        "DATABASE": "imports",
        "BUCKET": "uploads",
        "QUEUE": "loads",
        "LOAD_URL": "https://load.example",
        "TASKS_SERVICE_ACCOUNT": "tasks@shop.example",
        "SWEEP_URL": "https://sweep.example",
        "STATUS_URL": "https://status.example",
        "SCHEDULER_SERVICE_ACCOUNT": "scheduler@shop.example",
        "OIDC_CERTS_URL": "https://certs.example",
        "ORDERS_DELAY": "5s",
        "ORDERS_DEADLINE": "2h",
        "ORDERS_WITHOUT_CUSTOMERS": "load",
        "PAIRING_WINDOW": "1d",
        "LEASE": "30s",
        "MAX_ATTEMPTS": "3",
        "TASK_DEADLINE": "8m",
        "EMPTY_GRACE": "1m",
        "FUTURE_TOLERANCE": "1h",
        "REJECT_LIMIT": "10 %",
        "REJECT_FLOOR": "0",
        "BLANK_MEANS": "keep",
        "SKIP_UNCHANGED": "off",
        "WRITES_PER_SECOND": "900",
        "SHARD_BYTES": "1000000",
        "SHARDS_AT_ONCE": "4",
        "CLEANUP": "off",
        "PROCESSED_RETENTION": "7d",
        "REPORTS_RETENTION": "14d",
        "LEDGER_RETENTION": "30d",
        "ALERT_WEBHOOK": "https://hooks.example/alerts",
        "ALERT_REJECTED": "off",
        "SFTP_ADDRESS": "sftp.example:2222",
        "MAIL_MODE": "documents",
        "MAIL_URL": "smtps://user:secret@smtp.example.com:465",
        "MAIL_FROM": "Imports <imports@example.com>",
        "MAIL_REPLY_TO": "help@example.com",
        "IAP_AUDIENCE": "/projects/1/locations/x/services/status",
        "IAP_KEYS_URL": "https://example.com/keys",
        "TIME_ZONE": "Pacific/Auckland",
    }

    deployment = Deployment.from_environment(given)

    assert set(given) == set(ENVIRONMENT.values())
    assert (
        Deployment(
            project="shop",
            location="australia-southeast2",
            database="imports",
            bucket="uploads",
            queue="loads",
            load_url="https://load.example",
            tasks_service_account="tasks@shop.example",
            sweep_url="https://sweep.example",
            status_url="https://status.example",
            scheduler_service_account="scheduler@shop.example",
            oidc_certs_url="https://certs.example",
            orders_delay=timedelta(seconds=5),
            orders_deadline=timedelta(hours=2),
            orders_without_customers="load",
            pairing_window=timedelta(days=1),
            lease=timedelta(seconds=30),
            max_attempts=3,
            task_deadline=timedelta(minutes=8),
            empty_grace=timedelta(minutes=1),
            future_tolerance=timedelta(hours=1),
            reject_limit=0.1,
            reject_floor=0,
            blank_means="keep",
            skip_unchanged=False,
            writes_per_second=900,
            shard_bytes=1_000_000,
            shards_at_once=4,
            cleanup=False,
            processed_retention=timedelta(days=7),
            reports_retention=timedelta(days=14),
            ledger_retention=timedelta(days=30),
            alert_webhook="https://hooks.example/alerts",
            alert_rejected=False,
            sftp_address="sftp.example:2222",
            mail_mode="documents",
            mail_url="smtps://user:secret@smtp.example.com:465",
            mail_from="Imports <imports@example.com>",
            mail_reply_to="help@example.com",
            iap_audience="/projects/1/locations/x/services/status",
            iap_keys_url="https://example.com/keys",
            time_zone=ZoneInfo("Pacific/Auckland"),
        )
        == deployment
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ORDERS_WITHOUT_CUSTOMERS", "drop"),
        ("DATABASE", "Shop"),
        ("DATABASE", "projects/p/databases/shop"),
        ("BLANK_MEANS", "Clear"),
        ("REJECT_LIMIT", "20"),
        ("REJECT_LIMIT", "-1"),
        ("REJECT_LIMIT", "nan"),
        ("REJECT_LIMIT", "101 %"),
        ("REJECT_FLOOR", "-1"),
        ("REJECT_FLOOR", "5 %"),
        ("ORDERS_DEADLINE", "99999999999999999999d"),
        ("PAIRING_WINDOW", "36501d"),
        ("PAIRING_WINDOW", "9" * 5_000),
        ("PROCESSED_RETENTION", "36501d"),
        ("REPORTS_RETENTION", "36501d"),
        ("LEDGER_RETENTION", "36501d"),
        ("ORDERS_DELAY", "31d"),
        ("ORDERS_DELAY", "2592001"),
        ("ORDERS_DEADLINE", "31d"),
        ("EMPTY_GRACE", "31d"),
        ("LEASE", "0"),
        ("LEASE", "61m"),
        ("TASK_DEADLINE", "14s"),
        ("TASK_DEADLINE", "31m"),
        ("ALERT_WEBHOOK", "hooks.example/alerts"),
        ("ALERT_WEBHOOK", "ftp://hooks.example/alerts"),
        ("ALERT_WEBHOOK", "https:///alerts"),
        ("ALERT_WEBHOOK", "https://hooks.example:port/alerts"),
        ("ALERT_WEBHOOK", "https://hööks.example/alerts"),
        ("ALERT_WEBHOOK", "https://hooks.example/a b"),
        ("ALERT_REJECTED", "yes"),
        ("MAIL_MODE", "/var/mail/kim"),
        ("MAIL_URL", "smtp.example.com"),
        ("MAIL_URL", "smtps://user@smtp.example.com"),
        ("MAIL_URL", "smtps://user:pass word@smtp.example.com"),
        ("MAIL_URL", "file:mail"),
        ("MAIL_FROM", "Imports"),
        ("MAIL_FROM", "Imports <imports@example.com>\r\nBcc: all@example.com"),
        ("MAIL_FROM", "a@example.com, b@example.com"),
        ("MAIL_REPLY_TO", "help@"),
        ("MAX_ATTEMPTS", "0"),
        ("MAX_ATTEMPTS", "many"),
        ("TIME_ZONE", "Sydney"),
        ("TIME_ZONE", "../etc/passwd"),
        ("LEASE", "soon"),
        ("CLEANUP", "yes"),
    ],
)
def test_bad_variable(name: str, text: str) -> None:
    """A variable that cannot be used is refused by its name."""
    with pytest.raises(SettingsError) as caught:
        Deployment.from_environment({name: text})

    assert name == caught.value.name
    assert caught.value.problem.code == "settings.invalid"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ORDERS_DELAY", "30d"),
        ("ORDERS_DELAY", "0"),
        ("TASK_DEADLINE", "15s"),
        ("TASK_DEADLINE", "30m"),
        ("LEASE", "1s"),
        ("PROCESSED_RETENTION", "36500d"),
    ],
)
def test_the_longest_and_shortest_times(name: str, text: str) -> None:
    """What Cloud Tasks and the calendar can hold is taken to the last second."""
    deployment = Deployment.from_environment({name: text})

    assert read_duration(name, text) == getattr(deployment, name.lower())


def test_what_would_do() -> None:
    """A length of time that is refused is answered with those that are taken."""
    with pytest.raises(SettingsError, match=r"TASK_DEADLINE.* from 15s to 30m"):
        Deployment.from_environment({"TASK_DEADLINE": "1h"})


def test_connection() -> None:
    """A connection's document overrides the deployment; absent and null fields do not."""
    settings = ConnectionSettings.from_document(
        {
            "timeZone": "Pacific/Auckland",
            "rejectLimit": 0.5,
            "rejectFloor": 20,
            "blankMeans": None,
            "aliases": {" Cust No ": "PERIDX"},
            "cadence": {"customers": "1d"},
            "currency": "NZD",
            "skipUnchanged": False,
            "notes": ["the team's own"],
        },
        connection="nz",
        deployment=Deployment(blank_means="keep"),
    )

    assert (
        ConnectionSettings(
            time_zone=ZoneInfo("Pacific/Auckland"),
            blank_means="keep",
            reject_limit=0.5,
            reject_floor=20,
            aliases={"Cust No": "PERIDX"},
            cadence={"customers": timedelta(days=1)},
            currency="NZD",
            skip_unchanged=False,
        )
        == settings
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timeZone", 10),
        ("blankMeans", "ignore"),
        ("rejectLimit", "a lot"),
        ("rejectLimit", True),
        ("rejectFloor", True),
        ("rejectFloor", 1.5),
        ("skipUnchanged", "no"),
        ("keyColumn", " "),
        ("aliases", ["PERIDX"]),
        ("aliases", {"A": 1}),
        ("cadence", "daily"),
        ("cadence", {"customers": "daily"}),
        ("cadence", {"customers": "999999999d"}),
        ("cadence", {"customers": "0s"}),
        ("cadence", {"customers": "9" * 5_000}),
        ("currency", "aud"),
    ],
)
def test_bad_connection(key: str, value: object) -> None:
    """A field that cannot be used is refused by its path."""
    with pytest.raises(SettingsError, match=f"connections/au.{key}"):
        ConnectionSettings.from_document({key: value}, connection="au", deployment=Deployment())


def test_the_webhook_is_a_secret() -> None:
    """Neither the settings as a text nor a refusal hold the address of the webhook."""
    deployment = Deployment.from_environment({"ALERT_WEBHOOK": "https://hooks.example/T0P"})
    with pytest.raises(SettingsError) as refused:
        Deployment.from_environment({"ALERT_WEBHOOK": "htps://hooks.example/T0P"})

    assert "T0P" in deployment.alert_webhook
    assert "T0P" not in repr(deployment)
    assert "T0P" not in str(refused.value)
