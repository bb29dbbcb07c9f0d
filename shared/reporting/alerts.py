"""Alerts for the operating team: kept in Firestore, written to the log, posted to a webhook."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from shared.core import from_fields, log, to_fields
from shared.ledger import Import, LedgerTransaction
from shared.services import Services

FAILED_TODO = "Fix the error that the message names, then replay the import."
OUTDATED_TODO = (
    "A clock or a file name is wrong: compare the time in the name with the clock. If an earlier "
    "file was named in the future, undo it with this command: undo {latest}"
)
REJECTED_TODO = "Send the retailer the report, and ask for a corrected file."

FEED_STOPPED = "feed_stopped"
"""Code of alerts about a feed without files; resolved when a file arrives."""

REJECTED = "rejected"
"""Code of alerts about a feed whose files are rejected; resolved when one is loaded."""

REFUSED_NAME = "refused_name"
"""Code of alerts about names that were refused; resolved when a file of that type arrives."""

REFUSED_NAME_TODO = (
    "Tell the retailer the right name, and have their export upload under it. Nothing of this file "
    "was loaded."
)

NO_TYPE = "names"
"""Subject of alerts about names that do not tell a type, in place of the type."""

OUTDATED = "outdated"
"""Code of alerts about a feed whose newest upload is older than the stored data; resolved when a
file of the feed with newer data is loaded, or when the file that it names is rejected."""

LATE = "late"
"""Code of the alert about `load`: due imports have no worker. Resolved when a worker has begun the
import that the alert names."""

IMPORT_CODES = ("overdue", "failed")
"""Codes of alerts about one import; resolved when the import ends with another status."""

WEBHOOK_SECONDS = 5.0
"""Seconds that the receiver of the webhook may take."""

CLAIM = timedelta(minutes=1)
"""Time for which a process that sends an alert keeps other processes from sending it."""

TOLD_AT_ONCE = 50
"""Largest number of alerts that one sweep posts."""

WebhookAnswer = Literal["taken", "refused", "none"]
"""Answer of the webhook's receiver to an alert; `none`: there was no answer."""


def overdue_todo(import_: Import) -> str:
    """Return what to do about a file that has waited too long."""
    return (
        f"Ask for the {import_.waits_for} file, or release the {import_.type} to load them without "
        "it."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One event that needs a person: the document `alerts/{id}`. It is kept after its end."""

    id: str
    """Id from connection, subject and code, e.g. `au~customers~feed_stopped`. A repeated event has
    the same id, so that it is sent once."""
    code: str
    """Kind of event, e.g. `overdue`, `failed`, `feed_stopped`."""
    connection: str
    import_id: str | None
    """The import; None if the alert is about a feed."""
    what: str
    """One sentence: the event."""
    todo: str
    """One sentence: the fix."""
    first_at: datetime
    last_at: datetime
    count: int = 1
    """Number of events since the alert was last resolved."""
    resolved_at: datetime | None = None
    logged_at: datetime | None = None
    """Time at which the alert was logged."""
    told_at: datetime | None = None
    """Time at which the alert was sent to the webhook too, if there is one; None: not yet."""
    telling_until: datetime | None = None
    """Until this time a process is sending the alert; a past time is that of the last attempt."""

    def to_document(self) -> dict[str, Any]:
        """Return the fields as stored in Firestore."""
        return to_fields(self, without=("id",)) | {"open": self.resolved_at is None}

    @classmethod
    def from_document(cls, id: str, data: Mapping[str, Any]) -> Alert:
        """Return the alert of a stored document; its values are not checked.

        Raises:
            TypeError: a field is missing.
        """
        return from_fields(cls, data, id=id)

    @classmethod
    def read(cls, id: str, data: Mapping[str, Any] | None) -> Alert | None:
        """Return the alert of a stored document; None if there is none, or it cannot be used."""
        try:
            alert = cls.from_document(id, data or {})
        except TypeError:
            return None
        texts = (alert.code, alert.connection, alert.what, alert.todo)
        times = (alert.first_at, alert.last_at)
        later = (alert.resolved_at, alert.logged_at, alert.told_at, alert.telling_until)
        usable = (
            all(isinstance(text, str) for text in texts)
            and all(isinstance(time, datetime) for time in times)
            and all(time is None or isinstance(time, datetime) for time in later)
            and isinstance(alert.count, int)
        )
        return alert if usable else None


def read_alerts(documents: Mapping[str, Mapping[str, Any]]) -> list[Alert]:
    """Return the alerts of stored documents by their ids, without those that cannot be used."""
    read = (Alert.read(id, data) for id, data in documents.items())
    return [alert for alert in read if alert is not None]


def alert_id(code: str, *, connection: str, about: str) -> str:
    """Return an alert's id, e.g. `au~customers~feed_stopped`; `about` is an import id or a type."""
    return f"{connection}~{about}~{code}"


def alert_paths(*codes: str, connection: str, about: str) -> list[str]:
    """Return the paths of the alerts with these codes about one import or feed."""
    return [f"alerts/{alert_id(code, connection=connection, about=about)}" for code in codes]


def raise_alert(
    ledger: LedgerTransaction,
    code: str,
    import_: Import,
    *,
    todo: str,
    now: datetime,
    about: str | None = None,
) -> None:
    """Open an alert about an import, in the transaction that records the event.

    `about` is the type if the alert is about the whole feed; None if it is about this import. A
    `failed` alert resolves the import's `overdue` alert.
    """
    if code == "failed":
        resolve_alerts(
            ledger,
            "overdue",
            connection=import_.connection,
            about=import_.import_id,
            now=now,
        )
    alert = new_alert(
        code,
        connection=import_.connection,
        about=about or import_.import_id,
        import_id=import_.import_id,
        what=f"{import_.file}: {import_.status_text}",
        todo=todo,
        now=now,
    )
    _open_alert(ledger, alert)


def new_alert(
    code: str,
    *,
    connection: str,
    about: str,
    what: str,
    todo: str,
    now: datetime,
    import_id: str | None = None,
) -> Alert:
    """Return an alert that begins now; for `about` see `alert_id`."""
    return Alert(
        id=alert_id(code, connection=connection, about=about),
        code=code,
        connection=connection,
        import_id=import_id,
        what=what,
        todo=todo,
        first_at=now,
        last_at=now,
    )


def open_once(ledger: LedgerTransaction, alert: Alert) -> bool:
    """Open an alert, unless it is open already; return True if it was opened."""
    data = ledger.alert(alert.id)
    if data is not None and data.get("resolvedAt") is None:
        return False
    ledger.put_alert(alert.id, alert.to_document())
    return True


def _open_alert(ledger: LedgerTransaction, alert: Alert) -> None:
    """Open an alert; if it is open already, add 1 to its count."""
    known = Alert.read(alert.id, ledger.alert(alert.id))
    if known is not None and known.resolved_at is None:
        alert = replace(
            alert,
            first_at=known.first_at,
            count=known.count + 1,
            logged_at=known.logged_at,
            told_at=known.told_at,
            telling_until=known.telling_until,
        )
    ledger.put_alert(alert.id, alert.to_document())


def resolve_alerts(
    ledger: LedgerTransaction,
    *codes: str,
    connection: str,
    about: str,
    now: datetime,
    naming: str | None = None,
) -> None:
    """Resolve the open alerts with these codes about one import or feed.

    `naming` is the only import that the alerts may name; None for any.
    """
    for code in codes:
        id = alert_id(code, connection=connection, about=about)
        alert = Alert.read(id, ledger.alert(id))
        if alert is None or naming not in (None, alert.import_id):
            continue
        if alert.resolved_at is None:
            ledger.put_alert(id, replace(alert, resolved_at=now).to_document())


def resolve_import_alerts(ledger: LedgerTransaction, import_: Import, *, now: datetime) -> None:
    """Resolve the alerts about an import that has ended, or that another upload replaces."""
    resolve_alerts(
        ledger, *IMPORT_CODES, connection=import_.connection, about=import_.import_id, now=now
    )


def tell(services: Services) -> int:
    """Log every new open alert, and post it to the webhook.

    All alerts are logged before the first is posted. The webhook gets Slack's format,
    `{"text": …}`. An alert that the webhook refuses does not stop the others. The next sweep posts
    it again, after the alerts that were never tried, or tried longer ago. If the webhook does not
    answer, this sweep posts nothing more. If two processes run at once, each alert is sent by one
    of them.

    Returns:
        The number of alerts that the webhook took.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    untold = read_alerts(services.ledger.untold_alerts())
    for alert in untold:
        if alert.logged_at is None:
            _log_one(alert.id, services)
    told, now = 0, services.now()
    untold.sort(key=lambda one: (one.telling_until is not None, one.telling_until or now))
    for alert in untold[:TOLD_AT_ONCE]:
        claimed = services.ledger.transact(partial(_claim, id=alert.id, now=services.now()))
        if claimed is None:
            continue
        answer = _post(services.deployment.alert_webhook, claimed)
        services.ledger.transact(partial(_settle, alert=claimed, answer=answer, now=services.now()))
        told += answer == "taken"
        if answer == "none":
            break
    return told


def _log_one(id: str, services: Services) -> None:
    """Log an alert, unless another process is sending it."""
    alert = services.ledger.transact(partial(_claim, id=id, now=services.now()))
    if alert is None:
        return
    if alert.logged_at is None:
        log(
            "ERROR",
            f"Alert: {alert.what} {alert.todo}",
            event="alert",
            code=alert.code,
            connection=alert.connection,
            importId=alert.import_id,
        )
    services.ledger.transact(partial(_settle, alert=alert, answer=None, now=services.now()))


def _claim(ledger: LedgerTransaction, *, id: str, now: datetime) -> Alert | None:
    """Claim an alert for sending; None if it need not be sent, or another process has it."""
    alert = Alert.read(id, ledger.alert(id))
    if alert is None:
        return None
    taken = alert.telling_until is not None and now < alert.telling_until
    if alert.resolved_at is not None or alert.told_at is not None or taken:
        return None
    alert = replace(alert, telling_until=now + CLAIM)
    ledger.put_alert(id, alert.to_document())
    return alert


def _settle(
    ledger: LedgerTransaction, *, alert: Alert, answer: WebhookAnswer | None, now: datetime
) -> None:
    """Record that an alert was logged or posted, unless it was opened again in between.

    `answer` is None if the alert was only logged.
    """
    current = Alert.read(alert.id, ledger.alert(alert.id))
    if (
        current is None
        or current.first_at != alert.first_at
        or current.telling_until != alert.telling_until
    ):
        return
    current = replace(
        current,
        telling_until=now if answer else None,
        logged_at=current.logged_at or now,
        told_at=now if answer == "taken" else None,
    )
    ledger.put_alert(alert.id, current.to_document())


def _post(url: str, alert: Alert) -> WebhookAnswer:
    """Post an alert to the webhook; return the answer within `WEBHOOK_SECONDS`."""
    if not url:
        return "taken"
    text = f"*{alert.connection}*: {alert.what}\n{alert.todo}"
    answer: queue.SimpleQueue[tuple[WebhookAnswer, str]] = queue.SimpleQueue()
    # The timeout of a request starts again with every byte, so a thread limits the whole time.
    threading.Thread(target=_send, args=(url, {"text": text}, answer), daemon=True).start()
    try:
        answered, trouble = answer.get(timeout=WEBHOOK_SECONDS)
    except queue.Empty:
        answered, trouble = "none", "no answer in time"
    if answered != "taken":
        log("WARNING", f"The alert webhook did not take an alert: {trouble}.", alert=alert.id)
    return answered


def _send(
    url: str, message: dict[str, str], answer: queue.SimpleQueue[tuple[WebhookAnswer, str]]
) -> None:
    """Post once; put the answer and the trouble into `answer`. Never log the URL: it is secret."""
    import requests  # a slow import, and most calls send no alert

    try:
        with requests.post(
            url,
            json=message,
            timeout=WEBHOOK_SECONDS,
            # A redirect would turn the POST into a GET of a page that answers 200.
            allow_redirects=False,
            # The body of the answer is not needed, and may be endless.
            stream=True,
        ) as response:
            taken = response.status_code // 100 == 2
            answer.put(("taken" if taken else "refused", f"{response.status_code}"))
    except Exception as error:
        answer.put(("none", type(error).__name__))
