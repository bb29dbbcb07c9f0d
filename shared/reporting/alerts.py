"""What the operating team must be told of: alerts in Firestore, in the log, and to a webhook."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from shared.core import camel, log
from shared.ledger import Import, LedgerTransaction
from shared.services import Services

FAILED_TODO = "Mend what the message names, then replay the import."
OUTDATED_TODO = (
    "A clock or a file name is wrong: compare the time in the name with the clock. If an earlier "
    "file was named in the future, go back before it: python -m shared.ops undo {latest}."
)
REJECTED_TODO = "Send the retailer the report, and ask for a corrected file."

FEED_STOPPED = "feed_stopped"
"""The kind of alert that is about a feed; it is over when a file comes."""

REJECTED = "rejected"
"""The kind of alert that is about a feed whose file cannot be used, whichever file it is; it is
over when one is loaded."""

OUTDATED = "outdated"
"""The kind of alert that is about a feed whose newest upload is older than what is stored; it is
over when a file of the feed is loaded that is not."""

LATE = "late"
"""The kind of alert that is about `load`: imports are due and no worker begins them; it is over
when a worker has begun the import that it names."""

IMPORT_CODES = ("overdue", "failed")
"""The kinds of alert that are about an import; they are over when it ends otherwise."""

WEBHOOK_SECONDS = 5.0
"""How long the receiver of the webhook may take; nothing waits for it longer."""

CLAIM = timedelta(minutes=1)
"""How long a process that tells an alert keeps others from it, should it never say how it went."""

TOLD_AT_ONCE = 50
"""Alerts that one sweep posts at most."""

WebhookAnswer = Literal["taken", "refused", "none"]
"""What the receiver of the webhook says to an alert; `none` is no answer at all."""


def overdue_todo(import_: Import) -> str:
    """Return what to do about a file that has waited too long."""
    return (
        f"Ask for the {import_.waits_for} file, or release the {import_.type} to load them without "
        "it."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One thing that needs a person: the document `alerts/{id}`. It is kept when it is over."""

    id: str
    """The same for the same trouble of the same import or feed, so that it is told of once."""
    code: str
    """What kind of trouble, e.g. `overdue`, `failed`, `feed_stopped`."""
    connection: str
    import_id: str | None
    """The import it is about; None where it is about a feed."""
    what: str
    """One sentence: what has happened."""
    todo: str
    """One sentence: what to do about it."""
    first_at: datetime
    last_at: datetime
    count: int = 1
    """Times it has happened, since it was last resolved."""
    resolved_at: datetime | None = None
    logged_at: datetime | None = None
    """When the log was told."""
    told_at: datetime | None = None
    """When the webhook was told as well, if there is one; None while that is still to be done."""
    telling_until: datetime | None = None
    """Until then a process is at telling it; a time past says when it was last tried."""

    def to_document(self) -> dict[str, Any]:
        """Return the fields as Firestore keeps them."""
        return {
            camel(spec.name): getattr(self, spec.name) for spec in fields(self) if spec.name != "id"
        } | {"open": self.resolved_at is None}

    @classmethod
    def from_document(cls, id: str, data: Mapping[str, Any]) -> Alert:
        """Read the document of an alert."""
        known = {
            spec.name: data[camel(spec.name)] for spec in fields(cls) if camel(spec.name) in data
        }
        return cls(**{**known, "id": id})

    @classmethod
    def read(cls, id: str, data: Mapping[str, Any] | None) -> Alert | None:
        """Read the document of an alert; None where there is none, or none that can be used."""
        try:
            alert = cls.from_document(id, data or {})
        except TypeError:
            return None
        texts = (alert.code, alert.connection, alert.what, alert.todo)
        times = (alert.first_at, alert.last_at)
        later = (alert.resolved_at, alert.logged_at, alert.told_at, alert.telling_until)
        usable = (
            all(isinstance(text, str) for text in texts)
            and all(isinstance(at, datetime) for at in times)
            and all(at is None or isinstance(at, datetime) for at in later)
            and isinstance(alert.count, int)
        )
        return alert if usable else None


def alert_id(code: str, *, connection: str, about: str) -> str:
    """Return the id of the alert of one kind about one import or feed."""
    return f"{connection}~{about}~{code}"


def raise_alert(
    ledger: LedgerTransaction,
    code: str,
    import_: Import,
    *,
    todo: str,
    now: datetime,
    about: str | None = None,
) -> None:
    """Open an alert about an import, in the transaction that brings the trouble on record.

    `about` names its feed where the trouble is the feed's, whichever of its imports shows it. An
    import that has failed is no longer overdue.
    """
    if code == "failed":
        resolve_alerts(
            ledger,
            "overdue",
            connection=import_.connection,
            about=import_.import_id,
            now=now,
        )
    id = alert_id(code, connection=import_.connection, about=about or import_.import_id)
    open_alert(
        ledger,
        Alert(
            id=id,
            code=code,
            connection=import_.connection,
            import_id=import_.import_id,
            what=f"{import_.file}: {import_.status_text}",
            todo=todo,
            first_at=now,
            last_at=now,
        ),
    )


def open_alert(ledger: LedgerTransaction, alert: Alert) -> None:
    """Open an alert, or count it once more if it is open."""
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


def is_open(ledger: LedgerTransaction, id: str) -> bool:
    """Whether an alert is there and not resolved."""
    data = ledger.alert(id)
    return data is not None and data.get("resolvedAt") is None


def resolve_alerts(
    ledger: LedgerTransaction, *codes: str, connection: str, about: str, now: datetime
) -> None:
    """Close the alerts of these kinds about one import or feed, those that are open."""
    for code in codes:
        id = alert_id(code, connection=connection, about=about)
        alert = Alert.read(id, ledger.alert(id))
        if alert is not None and alert.resolved_at is None:
            ledger.put_alert(id, replace(alert, resolved_at=now).to_document())


def resolve_import_alerts(ledger: LedgerTransaction, import_: Import, *, now: datetime) -> None:
    """Close the alerts about an import: it has ended, or another upload has its place."""
    resolve_alerts(
        ledger, *IMPORT_CODES, connection=import_.connection, about=import_.import_id, now=now
    )


def tell(services: Services) -> int:
    """Tell the log and the webhook of every open alert they have not been told of.

    The log comes first: whatever the webhook does, everything is logged. The webhook gets Slack's
    form, `{"text": …}`. An alert that it refuses keeps no other from being posted, and is posted
    again by a later sweep, after those that were not tried or longer ago; once it gives no answer,
    nothing more is posted, so that nobody waits for it longer than once. Of two processes that
    tell at one time, each alert is told by one.

    Returns:
        How many were told.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    untold = {
        id: alert
        for id, data in services.ledger.untold_alerts().items()
        if (alert := Alert.read(id, data)) is not None
    }
    for id, alert in untold.items():
        if alert.logged_at is None:
            _log_one(id, services)
    told, now = 0, services.now()
    in_turn = sorted(
        untold.values(), key=lambda one: (one.telling_until is not None, one.telling_until or now)
    )
    for id in [alert.id for alert in in_turn[:TOLD_AT_ONCE]]:
        claimed = services.ledger.transact(partial(_claim, id=id, now=services.now()))
        if claimed is None:
            continue
        answer = _post(services.deployment.alert_webhook, claimed)
        services.ledger.transact(partial(_settle, alert=claimed, answer=answer, now=services.now()))
        told += answer == "taken"
        if answer == "none":
            break
    return told


def _log_one(id: str, services: Services) -> None:
    """Write an alert to the log, unless another process has it."""
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
    """Take an alert to tell it, unless it is no longer to be told or another process has it."""
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
    """Record whom an alert has been told to, unless it is about fresh trouble by now.

    `answer` is None where it was only logged.
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
    """Post an alert, and say how it was answered; whatever the receiver does, this returns."""
    if not url:
        return "taken"
    text = f"*{alert.connection}*: {alert.what}\n{alert.todo}"
    answer: queue.SimpleQueue[tuple[WebhookAnswer, str]] = queue.SimpleQueue()
    # The timeout of a request begins anew with every byte, so the time is kept from outside.
    threading.Thread(target=_send, args=(url, {"text": text}, answer), daemon=True).start()
    try:
        came, trouble = answer.get(timeout=WEBHOOK_SECONDS)
    except queue.Empty:
        came, trouble = "none", "no answer in time"
    if came != "taken":
        log("WARNING", f"The alert webhook did not take an alert: {trouble}.", alert=alert.id)
    return came


def _send(
    url: str, message: dict[str, str], answer: queue.SimpleQueue[tuple[WebhookAnswer, str]]
) -> None:
    """Post once and put how it was answered, and what went wrong; the URL is a secret."""
    import requests  # takes a while, and most events raise no alert

    try:
        with requests.post(
            url,
            json=message,
            timeout=WEBHOOK_SECONDS,
            # Followed, a POST becomes a GET of some page that answers 200.
            allow_redirects=False,
            # What it says besides its status is not asked for, and may have no end.
            stream=True,
        ) as response:
            taken = response.status_code // 100 == 2
            answer.put(("taken" if taken else "refused", f"{response.status_code}"))
    except Exception as error:
        answer.put(("none", type(error).__name__))
