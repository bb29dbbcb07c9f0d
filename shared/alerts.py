"""What the operating team must be told of: alerts in Firestore, in the log, and to a webhook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from itertools import islice
from typing import Any

import requests

from shared.camel import camel
from shared.ledger import Import
from shared.ledger_store import LedgerTransaction
from shared.logs import log
from shared.services import Services

OVERDUE_TODO = "Ask for the customers file, or release the orders to load them without it."
FAILED_TODO = "Mend what the message names, then replay the import."

FEED_STOPPED = "feed_stopped"
"""The kind of alert that is about a feed; it is over when a file comes."""

IMPORT_CODES = ("overdue", "failed")
"""The kinds of alert that are about an import; they are over when it ends well."""

WEBHOOK_SECONDS = 5.0
"""How long the receiver of the webhook may take; nothing waits for it longer."""

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
    told_at: datetime | None = None
    """When the log and the webhook were told; None while they still must be."""

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
    ledger: LedgerTransaction, code: str, import_: Import, *, todo: str, now: datetime
) -> None:
    """Open an alert about an import, in the transaction that brings the trouble on record."""
    id = alert_id(code, connection=import_.connection, about=import_.import_id)
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
                told_at=known.told_at,
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
    """Close the alerts about an import: it has ended well, or another upload has its place."""
    resolve_alerts(
        ledger, *IMPORT_CODES, connection=import_.connection, about=import_.import_id, now=now
    )


def tell(services: Services) -> int:
    """Tell the log and the webhook of every open alert they have not been told of.

    The webhook gets Slack's form, `{"text": …}`. Should it be out of reach, the alert stays to be
    told by the next sweep; the log is told each time.

    Returns:
        How many were told.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    told = 0
    untold = islice(services.ledger.untold_alerts().items(), TOLD_AT_ONCE)
    for alert in (Alert.from_document(id, data) for id, data in untold):
        log(
            "ERROR",
            f"Alert: {alert.what} {alert.todo}",
            event="alert",
            code=alert.code,
            connection=alert.connection,
            importId=alert.import_id,
        )
        if _post(services.deployment.alert_webhook, alert):
            services.ledger.alert_told(alert.id, services.now())
            told += 1
    return told


def _post(url: str, alert: Alert) -> bool:
    if not url:
        return True
    text = f"*{alert.connection}*: {alert.what}\n{alert.todo}"
    try:
        answer = requests.post(url, json={"text": text}, timeout=WEBHOOK_SECONDS)
        answer.raise_for_status()
    except requests.RequestException as error:
        log("WARNING", f"The alert webhook did not take an alert: {type(error).__name__}")
        return False
    return True
