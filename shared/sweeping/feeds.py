"""Alerts about feeds that have stopped: an expected file has not arrived."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from shared.core import Apart, ConnectionSettings, SettingsError, log, phrases
from shared.ledger import LedgerTransaction
from shared.mail import Notice, addressed, post
from shared.mail import stopped as mailed
from shared.reporting import FEED_STOPPED, Connection, new_alert, open_once, stopped
from shared.services import Services

TODO = (
    "Ask the retailer whether the export in Apparel21 still runs and can log in to the SFTP "
    "server. If the cadence is wrong, correct it: `connections set`."
)


def watch_feeds(connections: Sequence[Connection], services: Services) -> int:
    """Open an alert for every feed that has stopped; return the number of stopped feeds.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    apart = Apart("The feeds of a connection could not be watched.")
    found = [apart(partial(_watch, each, services), connection=each.name) for each in connections]
    apart.end()
    return sum(filter(None, found))


def _watch(connection: Connection, services: Services) -> int:
    """Open an alert for every stopped feed of a connection; return the number of stopped feeds."""
    try:
        settings = services.settings_from(connection.name, connection.document)
    except SettingsError as error:
        log("ERROR", str(error), connection=connection.name)
        return 0
    watch = partial(
        _watch_feed,
        services=services,
        connection=connection.name,
        since=connection.since,
        settings=settings,
    )
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
    settings: ConnectionSettings,
) -> bool:
    now = services.now()
    feed = ledger.feed(connection, type)
    if not stopped(feed, cadence=cadence, expected_since=since, now=now):
        return False
    last = phrases.moment(feed.received_at, settings.time_zone) if feed.received_at else "never"
    alert = new_alert(
        FEED_STOPPED,
        connection=connection,
        about=type,
        what=(
            f"No {type} file has arrived for longer than its cadence of "
            f"{phrases.length(cadence)}; the last one: {last}."
        ),
        todo=TODO,
        now=now,
    )
    if open_once(ledger, alert) and addressed(settings, services):
        notice = Notice(
            kind="stopped",
            connection=connection,
            about=type,
            generation=round(now.timestamp()),
            topic=type,
            code=FEED_STOPPED,
            content=mailed(type, last=feed.received_at, cadence=cadence, zone=settings.time_zone),
        )
        post(ledger, notice, settings, services, now=now)
    return True
