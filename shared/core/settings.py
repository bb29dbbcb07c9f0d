"""Settings: of the deployment, from the environment; of a connection, from its document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from shared.core.errors import SettingsError
from shared.core.notify import Notify, read_mail_url, read_notify, read_sender
from shared.core.readers import (
    between,
    read_aliases,
    read_cadence,
    read_choice,
    read_count,
    read_currency,
    read_database,
    read_duration,
    read_orders_delay,
    read_share,
    read_switch,
    read_text,
    read_time_zone,
    read_url,
    read_whole,
)
from shared.core.serialize import camel

OrdersWithoutCustomers = Literal["hold", "load"]
BlankMeans = Literal["clear", "keep"]
MailMode = Literal["send", "documents", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The settings of all connections, read once when a function starts."""

    project: str = ""
    """Google Cloud project, `GOOGLE_CLOUD_PROJECT`."""
    location: str = "australia-southeast1"
    """Region of the task queue, `LOCATION`."""
    database: str = "(default)"
    """Firestore database, `DATABASE`."""
    bucket: str = ""
    """Bucket of the uploads, `BUCKET`."""
    queue: str = "imports"
    """Cloud Tasks queue, `QUEUE`."""
    load_url: str = ""
    """URL of the load function, to which tasks are sent, `LOAD_URL`."""
    tasks_service_account: str = ""
    """E-mail of the service account that signs tasks, `TASKS_SERVICE_ACCOUNT`. The load function
    accepts no other caller."""
    sweep_url: str = ""
    """URL of the sweep function, the audience of the scheduler's tokens, `SWEEP_URL`."""
    status_url: str = ""
    """URL of the status page, for the links in the ledger, `STATUS_URL`. Empty: no links."""
    scheduler_service_account: str = ""
    """E-mail of the service account that signs the scheduler's calls,
    `SCHEDULER_SERVICE_ACCOUNT`. The sweep function accepts no other caller."""
    oidc_certs_url: str = "https://www.googleapis.com/oauth2/v1/certs"
    """URL of the certificates that check callers' tokens, `OIDC_CERTS_URL`."""
    iap_audience: str = ""
    """Audience of the assertions of Identity-Aware Proxy in front of the status page,
    `IAP_AUDIENCE`. Empty: there is no proxy in front."""
    iap_keys_url: str = "https://www.gstatic.com/iap/verify/public_key"
    """URL of the public keys that check the proxy's assertions, `IAP_KEYS_URL`."""
    orders_delay: timedelta = timedelta(minutes=30)
    """Time from the upload of a customers file to the start of its orders file, `ORDERS_DELAY`."""
    orders_deadline: timedelta = timedelta(hours=6)
    """Time an orders file waits before it is overdue, `ORDERS_DEADLINE`."""
    orders_without_customers: OrdersWithoutCustomers = "hold"
    """Action for an overdue orders file, `ORDERS_WITHOUT_CUSTOMERS`: `hold` or `load`."""
    pairing_window: timedelta = timedelta(hours=12)
    """Longest time from the export of a customers file to that of its orders file,
    `PAIRING_WINDOW`."""
    lease: timedelta = timedelta(seconds=60)
    """Length of a worker's lease: a silent worker loses its import after this time, `LEASE`."""
    max_attempts: int = 8
    """Attempts at one import before it is `failed`, `MAX_ATTEMPTS`."""
    task_deadline: timedelta = timedelta(minutes=25)
    """Longest run of one task before the import continues in a new task, `TASK_DEADLINE`. Less
    than the 30 minutes that Cloud Tasks waits for an answer."""
    shard_bytes: int = 32 * 1024 * 1024
    """Bytes of the largest file that one task loads, `SHARD_BYTES`. A larger file is split into 2,
    4, 8 … 256 shards of about that size, one task per shard."""
    shards_at_once: int = 8
    """Shards of one file that are loaded at the same time, `SHARDS_AT_ONCE`."""
    empty_grace: timedelta = timedelta(minutes=5)
    """Time an empty object may wait for its content, `EMPTY_GRACE`."""
    future_tolerance: timedelta = timedelta(minutes=15)
    """Time by which a file's name may be ahead of its upload, `FUTURE_TOLERANCE`."""
    reject_limit: float = 0.2
    """Share of bad rows above which a file is rejected whole, `REJECT_LIMIT`."""
    reject_floor: int = 5
    """Bad rows up to which a file with any good row is not rejected, `REJECT_FLOOR`."""
    blank_means: BlankMeans = "clear"
    """Effect of a blank cell on its field, `BLANK_MEANS`: `clear` or `keep`."""
    skip_unchanged: bool = True
    """True: rows unchanged since the last load are not written, `SKIP_UNCHANGED`."""
    writes_per_second: int = 500
    """Documents per second at the start of a load, `WRITES_PER_SECOND`. 500 is Firestore's advice
    for a new or idle collection. The rate grows by half every five minutes."""
    cleanup: bool = True
    """True: processed files and reports are deleted after their retention, `CLEANUP`."""
    processed_retention: timedelta = timedelta(days=30)
    """Time a processed file is kept, `PROCESSED_RETENTION`."""
    reports_retention: timedelta = timedelta(days=90)
    """Time reports and rejected files are kept, `REPORTS_RETENTION`."""
    ledger_retention: timedelta = timedelta(days=400)
    """Time an import stays in the ledger after its end, `LEDGER_RETENTION`."""
    alert_webhook: str = field(default="", repr=False)
    """URL to which alerts are also posted, in Slack's format, `ALERT_WEBHOOK`. Empty: none.
    Secret: anyone with this URL can post there."""
    alert_rejected: bool = True
    """True: the operating team gets an alert about each rejected file, `ALERT_REJECTED`."""
    sftp_address: str = ""
    """Address of the SFTP server as retailers type it, for the status page, `SFTP_ADDRESS`, e.g.
    `sftp.example.com:2222`."""
    mail_mode: MailMode | None = None
    """Use of the outbox, `MAIL_MODE`: `send` sends the mails, `documents` only writes them. None:
    `send` where there is a `mail_url`, else `off`; see `mailing`. Not called `MAIL`, because a
    shell has a variable of that name."""
    mail_url: str = field(default="", repr=False)
    """Mail server, `MAIL_URL`, e.g. `smtps://user:password@smtp.example.com:465`; or a folder,
    `file:/data/mail`. Secret: anyone with this URL can send in our name."""
    mail_from: str = ""
    """Sender of every mail, `MAIL_FROM`, e.g. `Shop imports <imports@example.com>`."""
    mail_reply_to: str = ""
    """Address that gets the answers, `MAIL_REPLY_TO`. Empty: the sender."""
    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Australia/Sydney"))
    """Zone of the times in the files, which name no zone, `TIME_ZONE`."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Deployment:
        """Return the settings; a variable that is absent or empty takes its default.

        Raises:
            SettingsError: a variable has a value that cannot be used.
        """
        values: dict[str, Any] = {}
        for name in (spec.name for spec in fields(cls)):
            text = environment.get(ENVIRONMENT[name], "")
            if text != "":
                values[name] = _READERS[name](ENVIRONMENT[name], text)
        if values.get("mail_url") and not values.get("mail_from"):
            raise SettingsError("MAIL_FROM", "needed with MAIL_URL; expected a mail address")
        return cls(**values)

    @property
    def mailing(self) -> MailMode:
        """Use of the outbox; see `mail_mode`."""
        return self.mail_mode or ("send" if self.mail_url else "off")

    @property
    def mail_contact(self) -> str:
        """Mail address of the people to ask; empty if no setting names one."""
        return self.mail_reply_to or self.mail_from


ENVIRONMENT: dict[str, str] = {
    spec.name: "GOOGLE_CLOUD_PROJECT" if spec.name == "project" else spec.name.upper()
    for spec in fields(Deployment)
}
"""Setting -> its environment variable, e.g. `orders_delay` -> `ORDERS_DELAY`."""

_READERS: dict[str, Callable[[str, object], Any]] = {
    **dict.fromkeys(
        (
            *("project", "location", "bucket", "queue", "load_url", "sweep_url", "status_url"),
            *("tasks_service_account", "scheduler_service_account", "oidc_certs_url"),
            *("iap_audience", "iap_keys_url", "sftp_address"),
        ),
        read_text,
    ),
    "database": read_database,
    "alert_webhook": read_url,
    "alert_rejected": read_switch,
    "mail_mode": read_choice("send", "documents", "off"),
    "mail_url": read_mail_url,
    **dict.fromkeys(("mail_from", "mail_reply_to"), read_sender),
    "orders_delay": read_orders_delay,
    # Tasks are set for these times: Cloud Tasks accepts tasks for the next 30 days.
    **dict.fromkeys(("orders_deadline", "empty_grace"), between("0s", "30d")),
    # A shorter lease would be over before its worker renews it.
    "lease": between("1s", "1h"),
    # Cloud Tasks waits this long for an answer.
    "task_deadline": between("15s", "30m"),
    **dict.fromkeys(
        (
            *("pairing_window", "future_tolerance"),
            *("processed_retention", "reports_retention", "ledger_retention"),
        ),
        read_duration,
    ),
    "orders_without_customers": read_choice("hold", "load"),
    **dict.fromkeys(
        ("max_attempts", "writes_per_second", "shard_bytes", "shards_at_once"), read_count
    ),
    **dict.fromkeys(("cleanup", "skip_unchanged"), read_switch),
    "reject_limit": read_share,
    "reject_floor": read_whole,
    "blank_means": read_choice("clear", "keep"),
    "time_zone": read_time_zone,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """The settings of one connection: the fields of its document `connections/{connection}`."""

    time_zone: ZoneInfo
    """Zone of the times in the files, `timeZone`."""
    blank_means: BlankMeans
    """Effect of a blank cell on its field, `blankMeans`: `clear` or `keep`."""
    reject_limit: float
    """Share of bad rows above which a file is rejected whole, `rejectLimit`."""
    reject_floor: int = 5
    """Bad rows up to which a file with any good row is not rejected, `rejectFloor`."""
    skip_unchanged: bool = True
    """True: rows unchanged since the last load are not written, `skipUnchanged`."""
    key_column: str | None = None
    """The retailer's name of the column with the customer's key, `keyColumn`."""
    email_column: str | None = None
    """The retailer's name of the e-mail column, `emailColumn`."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """The retailer's column name -> the published one, `aliases`."""
    currency: str | None = None
    """Currency of orders whose file names none, `currency`, e.g. `AUD`."""
    cadence: Mapping[str, timedelta] = field(default_factory=dict)
    """Type -> time between two files, `cadence`, e.g. `{"customers": "1d"}`."""
    notify: Notify = field(default_factory=Notify)
    """The people who are mailed, `notify`; nobody if the value cannot be used."""
    notify_error: SettingsError | None = field(default=None, compare=False)
    """The error of `notify`. It stops no import."""

    @classmethod
    def from_document(
        cls, document: Mapping[str, Any] | None, *, connection: str, deployment: Deployment
    ) -> ConnectionSettings:
        """Return a connection's settings; a field that is absent or null takes its default.

        Unknown fields are ignored: a team may keep notes there. A wrong `notify` is kept as
        `notify_error`, because a mistyped mail address must not stop the import.

        Raises:
            SettingsError: another field has a value that cannot be used; the error names it.
        """
        given, where = document or {}, f"connections/{connection}"
        values: dict[str, Any] = {name: getattr(deployment, name) for name in _INHERITED}
        for name, read in _CONNECTION_READERS.items():
            value = given.get(key := camel(name))
            if value is not None:
                values[name] = read(f"{where}.{key}", value)
        try:
            values["notify"] = read_notify(f"{where}.notify", given.get("notify"))
        except SettingsError as error:
            values["notify_error"] = error
        return cls(**values)


_INHERITED = ("time_zone", "blank_means", "reject_limit", "reject_floor", "skip_unchanged")
"""Settings of a connection whose default is the setting of the deployment."""

_CONNECTION_READERS: dict[str, Callable[[str, object], Any]] = {
    **{name: _READERS[name] for name in _INHERITED},
    **dict.fromkeys(("key_column", "email_column"), read_text),
    "aliases": read_aliases,
    "currency": read_currency,
    "cadence": read_cadence,
}

CONNECTION_FIELDS: tuple[str, ...] = (*map(camel, _CONNECTION_READERS), "notify")
"""Names of the settings in a connection's document, e.g. `timeZone`."""

CONNECTION_MAPS: frozenset[str] = frozenset({"aliases", "cadence", "notify"})
"""Names of the settings that are maps."""
