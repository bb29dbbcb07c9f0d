"""State of each connection: its settings, its time zone, and the last file of each feed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Self

from shared.core import ConnectionSettings, SettingsError
from shared.files import TYPES, parse_import_id
from shared.ledger import Feed
from shared.reporting.cadence import late, stopped, usual
from shared.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A connection in the ledger."""

    name: str
    document: Mapping[str, Any] | None
    """The settings document; None if the connection has files but no settings."""
    since: datetime | None
    """Creation time of the settings document."""


class Zones:
    """The settings of connections, and their time zones."""

    def __init__(
        self, documents: Mapping[str, Mapping[str, Any] | None], services: Services
    ) -> None:
        self._deployment = services.deployment
        self.settings: dict[str, ConnectionSettings] = {}
        self.wrong: dict[str, SettingsError] = {}
        for connection, document in documents.items():
            try:
                self.settings[connection] = ConnectionSettings.from_document(
                    document, connection=connection, deployment=self._deployment
                )
            except SettingsError as error:
                self.wrong[connection] = error

    @classmethod
    def of_connections(cls, connections: Iterable[Connection], services: Services) -> Self:
        """Return the settings of these connections; those with errors are in `wrong`."""
        return cls({each.name: each.document for each in connections}, services)

    def of(self, connection: str | None) -> tzinfo:
        """Return a connection's time zone; the deployment's if there is none, or it has errors."""
        settings = self.settings.get(connection or "")
        return settings.time_zone if settings else self._deployment.time_zone


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """State of one feed of a connection."""

    connection: str
    type: str
    received_at: datetime | None
    cadence: timedelta | None
    missing: bool
    """True if an expected file has not arrived, as the settings say."""
    guessed: bool = False
    """True if the settings have no cadence, and this one is what was usual."""
    good_at: datetime | None = None
    """Upload of the last file that was loaded; None if there is none."""
    latest: str | None = None
    """Import id of the last file that was loaded."""
    behind: bool = False
    """True if the last good file is older than the cadence allows, or no file has been good."""
    rejected: int = 0
    """Rejected rows of the last file that was loaded."""


def connections_of(services: Services) -> list[Connection]:
    """Return all connections, sorted by name.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    return [
        Connection(name=name, document=document, since=since)
        for name, document, since in sorted(services.ledger.connections(), key=lambda one: one[0])
    ]


def feeds_of(
    connections: Sequence[Connection], zones: Zones, services: Services
) -> list[FeedState]:
    """Return the feeds that have had a file or have a cadence.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    now = services.now()
    feeds = services.ledger.feeds((each.name, type) for each in connections for type in TYPES)
    states = []
    for each in connections:
        settings = zones.settings.get(each.name)
        for type in TYPES:
            feed = feeds.get((each.name, type)) or Feed(connection=each.name, type=type)
            cadence = settings.cadence.get(type) if settings else None
            if cadence is None and feed.received_at is None:
                continue
            states.append(_state(feed, cadence, since=each.since, now=now))
    return states


def _state(
    feed: Feed, cadence: timedelta | None, *, since: datetime | None, now: datetime
) -> FeedState:
    """Return the state of a feed; `cadence` is that of the settings."""
    good_at, latest, rejected = None, feed.latest, 0
    if feed.success is not None:
        good_at, latest = feed.success.uploaded_at, feed.success.import_id
        rejected = feed.success.rejected
    elif feed.latest is not None:  # a feed of an earlier version
        good_at = parse_import_id(feed.latest)[2]
    expected = cadence or usual(feed.arrivals)
    last = good_at or (feed.arrivals[0] if feed.arrivals else since)
    return FeedState(
        connection=feed.connection,
        type=feed.type,
        received_at=feed.received_at,
        cadence=expected,
        missing=cadence is not None
        and stopped(feed, cadence=cadence, expected_since=since, now=now),
        guessed=cadence is None and expected is not None,
        good_at=good_at,
        latest=latest,
        behind=expected is not None and late(last, cadence=expected, now=now),
        rejected=rejected,
    )
