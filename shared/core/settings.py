"""Settings: of the deployment, from the environment; of a connection, from its document."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from shared.core.errors import SettingsError
from shared.core.notify import Notify, read_mail_url, read_notify, read_sender

_T = TypeVar("_T")

_DURATION = re.compile(r"([0-9]{1,12})(s|m|h|d)?")
_DATABASE = re.compile(r"\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9]")
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


LONGEST = timedelta(days=36_500)
"""Longest time a setting may have. Added to any time of this century, it is a valid datetime."""


def read_duration(name: str, text: object) -> timedelta:
    """Return a length of time such as `5s`, `30m`, `12h` or `7d`; a bare number is seconds.

    Raises:
        SettingsError: the text is something else, or longer than `LONGEST`.
    """
    match = _DURATION.fullmatch(str(text).strip()) if isinstance(text, str | int) else None
    if match is None or isinstance(text, bool):
        raise SettingsError(name, "expected a length of time such as 30m, 12h or 90s")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > LONGEST.total_seconds():
        raise SettingsError(name, f"expected a length of time of at most {LONGEST.days} days")
    return timedelta(seconds=seconds)


def between(least: str, most: str) -> Callable[[str, object], timedelta]:
    """Return a function that reads a length of time from `least` to `most`, e.g. `1s` to `1h`.

    Raises (the returned function):
        SettingsError: the text is no length of time, or outside the limits.
    """
    shortest, longest = read_duration("", least), read_duration("", most)

    def read(name: str, text: object) -> timedelta:
        length = read_duration(name, text)
        if not shortest <= length <= longest:
            raise SettingsError(name, f"expected a length of time from {least} to {most}")
        return length

    return read


read_orders_delay = between("0s", "30d")
"""Reads `ORDERS_DELAY`: Cloud Tasks accepts tasks for the next 30 days."""

_read_cadence_of_type = between("1m", f"{LONGEST.days}d")


def _read_text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(name, "expected a text that is not blank")
    return value.strip()


def _read_database(name: str, value: object) -> str:
    """Return the name of a Firestore database: `(default)`, or e.g. `shop-imports`."""
    if not isinstance(value, str) or not _DATABASE.fullmatch(value):
        raise SettingsError(name, "expected (default) or a name such as shop-imports")
    return value


def _read_share(name: str, value: object) -> float:
    """Return a share from 0 to 1, written as `0.2` or `20 %`."""
    try:
        if isinstance(value, bool):
            raise ValueError
        text = str(value).strip()
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingsError(name, "expected a share such as 0.2, or 20 %")
    return share


def _read_whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", str(value).strip()):
        raise SettingsError(name, "expected a whole number")
    return int(str(value))


def _read_count(name: str, value: object) -> int:
    count = _read_whole(name, value)
    if count < 1:
        raise SettingsError(name, "expected a whole number of 1 or more")
    return count


def _read_time_zone(name: str, value: object) -> ZoneInfo:
    try:
        return ZoneInfo(_read_text(name, value))
    except (KeyError, ValueError, OSError):
        raise SettingsError(
            name, "expected a time zone such as Australia/Sydney or Pacific/Auckland"
        ) from None


def _read_choice(*choices: str) -> Callable[[str, object], Any]:
    def read(name: str, value: object) -> str:
        if value not in choices:
            raise SettingsError(name, f"expected {' or '.join(choices)}")
        return str(value)

    return read


def _read_switch(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value not in ("on", "off"):
        raise SettingsError(name, "expected on or off")
    return value == "on"


def _read_url(name: str, value: object) -> str:
    url = _read_text(name, value)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("https", "http") and bool(parts.hostname) and url.isascii()
        usable = usable and url.isprintable() and " " not in url and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(name, "expected a URL such as https://example.com/path")
    return url


def _read_currency(name: str, value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{3}", value):
        raise SettingsError(name, "expected a currency of three capitals such as AUD")
    return value


def _read_aliases(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(
        isinstance(name_in_file, str)
        and name_in_file.strip()
        and isinstance(known, str)
        and known.strip()
        for name_in_file, known in value.items()
    ):
        raise SettingsError(
            name, "expected a map from the retailer's column name to the published one"
        )
    return {name_in_file.strip(): known.strip() for name_in_file, known in value.items()}


def _read_cadence(name: str, value: object) -> dict[str, timedelta]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise SettingsError(name, "expected a map from a type of file to a length of time")
    return {key: _read_cadence_of_type(f"{name}.{key}", text) for key, text in value.items()}


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
    **dict.fromkeys(("project", "location", "bucket", "queue", "load_url"), _read_text),
    "database": _read_database,
    **dict.fromkeys(("tasks_service_account", "scheduler_service_account"), _read_text),
    "sftp_address": _read_text,
    **dict.fromkeys(
        ("sweep_url", "status_url", "oidc_certs_url", "iap_audience", "iap_keys_url"), _read_text
    ),
    "alert_webhook": _read_url,
    "alert_rejected": _read_switch,
    "mail_mode": _read_choice("send", "documents", "off"),
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
    "orders_without_customers": _read_choice("hold", "load"),
    **dict.fromkeys(
        ("max_attempts", "writes_per_second", "shard_bytes", "shards_at_once"), _read_count
    ),
    **dict.fromkeys(("cleanup", "skip_unchanged"), _read_switch),
    "reject_limit": _read_share,
    "reject_floor": _read_whole,
    "blank_means": _read_choice("clear", "keep"),
    "time_zone": _read_time_zone,
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
        values: dict[str, Any] = {
            "time_zone": deployment.time_zone,
            "blank_means": deployment.blank_means,
            "reject_limit": deployment.reject_limit,
            "reject_floor": deployment.reject_floor,
            "skip_unchanged": deployment.skip_unchanged,
        }
        for name, (key, read) in _CONNECTION_READERS.items():
            value = (document or {}).get(key)
            if value is not None:
                values[name] = read(f"connections/{connection}.{key}", value)
        try:
            values["notify"] = read_notify(
                f"connections/{connection}.notify", (document or {}).get("notify")
            )
        except SettingsError as error:
            values["notify_error"] = error
        return cls(**values)


_CONNECTION_READERS: dict[str, tuple[str, Callable[[str, object], Any]]] = {
    "time_zone": ("timeZone", _read_time_zone),
    "blank_means": ("blankMeans", _read_choice("clear", "keep")),
    "reject_limit": ("rejectLimit", _read_share),
    "reject_floor": ("rejectFloor", _read_whole),
    "skip_unchanged": ("skipUnchanged", _read_switch),
    "key_column": ("keyColumn", _read_text),
    "email_column": ("emailColumn", _read_text),
    "aliases": ("aliases", _read_aliases),
    "currency": ("currency", _read_currency),
    "cadence": ("cadence", _read_cadence),
}

CONNECTION_FIELDS: tuple[str, ...] = (
    *(key for key, _ in _CONNECTION_READERS.values()),
    "notify",
)
"""Names of the settings in a connection's document, e.g. `timeZone`."""

CONNECTION_MAPS: frozenset[str] = frozenset({"aliases", "cadence", "notify"})
"""Names of the settings that are maps."""
