"""What the operating team must be told of: alerts in Firestore, in the log, and to a webhook."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from shared.camel import camel
from shared.ledger import Import
from shared.ledger_store import LedgerTransaction
from shared.logs import log
from shared.services import Services

OVERDUE_TODO = "Ask for the customers file, or release the orders to load them without it."
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
"""Alerts that one sweep tells of again at most."""


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
    """Until then another process is at telling it."""

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

    `about` names its feed where the trouble is the feed's, whichever of its imports shows it.
    """
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
    data = ledger.alert(alert.id)
    if data is not None:
        known = Alert.from_document(alert.id, data)
        if known.resolved_at is None:
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
        data = ledger.alert(id)
        if data is not None and data.get("resolvedAt") is None:
            alert = replace(Alert.from_document(id, data), resolved_at=now)
            ledger.put_alert(id, alert.to_document())


def resolve_import_alerts(ledger: LedgerTransaction, import_: Import, *, now: datetime) -> None:
    """Close the alerts about an import: it has ended, or another upload has its place."""
    resolve_alerts(
        ledger, *IMPORT_CODES, connection=import_.connection, about=import_.import_id, now=now
    )


def tell(services: Services) -> int:
    """Tell the log and the webhook of every open alert they have not been told of.

    The webhook gets Slack's form, `{"text": …}`. Should it not take an alert, the rest is not tried
    either, so that nobody waits for it longer than once; the next sweep goes on. Of two processes
    that tell at one time, each alert is told by one.

    Returns:
        How many were told.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    told = 0
    for id in islice(services.ledger.untold_alerts(), TOLD_AT_ONCE):
        alert = services.ledger.transact(partial(_claim, id=id, now=services.now()))
        if alert is None:
            continue
        if alert.logged_at is None:
            log(
                "ERROR",
                f"Alert: {alert.what} {alert.todo}",
                event="alert",
                code=alert.code,
                connection=alert.connection,
                importId=alert.import_id,
            )
        taken = _post(services.deployment.alert_webhook, alert)
        services.ledger.transact(partial(_settle, alert=alert, taken=taken, now=services.now()))
        if not taken:
            break
        told += 1
    return told


def _claim(ledger: LedgerTransaction, *, id: str, now: datetime) -> Alert | None:
    """Take an alert to tell it, unless it is no longer to be told or another process has it."""
    data = ledger.alert(id)
    if data is None:
        return None
    alert = Alert.from_document(id, data)
    taken = alert.telling_until is not None and now < alert.telling_until
    if alert.resolved_at is not None or alert.told_at is not None or taken:
        return None
    alert = replace(alert, telling_until=now + CLAIM)
    ledger.put_alert(id, alert.to_document())
    return alert


def _settle(ledger: LedgerTransaction, *, alert: Alert, taken: bool, now: datetime) -> None:
    """Record whom an alert has been told to, unless it is about fresh trouble by now."""
    data = ledger.alert(alert.id)
    if data is None:
        return
    current = Alert.from_document(alert.id, data)
    if current.first_at != alert.first_at or current.telling_until != alert.telling_until:
        return
    current = replace(
        current,
        telling_until=None,
        logged_at=current.logged_at or now,
        told_at=now if taken else None,
    )
    ledger.put_alert(alert.id, current.to_document())


def _post(url: str, alert: Alert) -> bool:
    """Post an alert, and say whether it was taken; whatever the receiver does, this returns."""
    if not url:
        return True
    text = f"*{alert.connection}*: {alert.what}\n{alert.todo}"
    answer: queue.SimpleQueue[str] = queue.SimpleQueue()
    # The timeout of a request begins anew with every byte, so the time is kept from outside.
    threading.Thread(target=_send, args=(url, {"text": text}, answer), daemon=True).start()
    try:
        trouble = answer.get(timeout=WEBHOOK_SECONDS)
    except queue.Empty:
        trouble = "no answer in time"
    if trouble:
        log("WARNING", f"The alert webhook did not take an alert: {trouble}.", alert=alert.id)
    return not trouble


def _send(url: str, message: dict[str, str], answer: queue.SimpleQueue[str]) -> None:
    """Post once and answer with what went wrong, "" if nothing did; the URL is a secret."""
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
            answer.put("" if response.status_code // 100 == 2 else f"{response.status_code}")
    except Exception as error:
        answer.put(type(error).__name__)
