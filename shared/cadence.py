"""Whether a feed has stopped: a file was to come by now, and none has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from shared import wording
from shared.alerts import FEED_STOPPED, Alert, alert_id, is_open, open_alert
from shared.apart import Apart
from shared.errors import SettingsError
from shared.ledger_store import Feed, LedgerTransaction
from shared.logs import log
from shared.services import Services
from shared.settings import ConnectionSettings

TODO = (
    "Ask the retailer whether the export in Apparel21 still runs and can log in to the SFTP "
    "server; or correct `cadence` in the connection's settings."
)


def slack(cadence: timedelta) -> timedelta:
    """Return how much later than its cadence a file may come: a quarter, an hour at least."""
    return max(timedelta(hours=1), cadence / 4)


def stopped(
    feed: Feed, *, cadence: timedelta, expected_since: datetime | None, now: datetime
) -> bool:
    """Whether a file of the feed is missing.

    `expected_since` is when the connection was set up: until a first file has come, its absence
    counts from there.
    """
    last = feed.received_at or expected_since
    return last is not None and now > last + cadence + slack(cadence)


def watch_feeds(services: Services) -> int:
    """Raise an alert for every feed that has stopped; return how many have.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    apart = Apart("The feeds of a connection could not be watched.")
    found = [
        apart(partial(_watch, *each, services=services), connection=each[0])
        for each in services.ledger.connections()
    ]
    apart.end()
    return sum(filter(None, found))


def _watch(
    connection: str,
    document: Mapping[str, Any] | None,
    since: datetime | None,
    *,
    services: Services,
) -> int:
    """Raise an alert for every feed of a connection that has stopped; return how many have."""
    try:
        settings = ConnectionSettings.from_document(
            document, connection=connection, deployment=services.deployment
        )
    except SettingsError as error:
        log("ERROR", str(error), connection=connection)
        return 0
    watch = partial(_watch_feed, services=services, connection=connection, since=since)
    return sum(
        services.ledger.transact(partial(watch, type=type, cadence=cadence))
        for type, cadence in settings.cadence.items()
    )


def _watch_feed(
    ledger: LedgerTransaction,
    *,
    services: Services,
    connection: str,
    type: str,
    cadence: timedelta,
    since: datetime | None,
) -> bool:
    now = services.now()
    feed = ledger.feed(connection, type)
    if not stopped(feed, cadence=cadence, expected_since=since, now=now):
        return False
    id = alert_id(FEED_STOPPED, connection=connection, about=type)
    if is_open(ledger, id):
        return True
    last = wording.moment(feed.received_at) if feed.received_at else "never"
    open_alert(
        ledger,
        Alert(
            id=id,
            code=FEED_STOPPED,
            connection=connection,
            import_id=None,
            what=(
                f"No {type} file has come for longer than its cadence of "
                f"{wording.length(cadence)}; the last one: {last}."
            ),
            todo=TODO,
            first_at=now,
            last_at=now,
        ),
    )
    return True
