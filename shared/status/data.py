"""What the status page reads of the ledger: a few bounded queries, all at the same time.

Nothing here grows with the ledger. Lists have a limit and go on behind the last entry instead of
counting off; the numbers of a day are added up by the database from an index, so that the ledger
keeps no counters that several workers would have to write and that could be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, TypeVar

from shared.core import TryAgain, midnight
from shared.files.types import known_type
from shared.ledger import Import, Totals, Which
from shared.reporting import (
    UNDER_WAY,
    Alert,
    Connection,
    FeedState,
    Zones,
    connections_of,
    feeds_of,
)
from shared.services import Services
from shared.status.chart import Day
from shared.status.query import Asked

_T = TypeVar("_T")

PAGE_SIZE = 50
"""Imports on one page."""
UNDER_WAY_SHOWN = 50
"""Imports under way that the overview shows."""
ALERTS_SHOWN = 20
CONNECTIONS_SHOWN = 100
"""Connections whose feeds the overview shows."""
EARLIER_SHOWN = 10
"""Earlier uploads of a name that its page lists."""
DAYS = 14
"""Days of the chart, today included."""

_AT_ONCE = 8
"""Reads that are under way at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The imports that were asked for."""

    imports: Sequence[Import]
    older: tuple[datetime, str, str] | None
    """Behind which import the next page begins; None at the end."""
    zones: Zones
    connections: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How everything stands."""

    found: Found
    alerts: Sequence[Alert]
    under_way: Sequence[Import]
    more_under_way: bool
    feeds: Sequence[FeedState]
    days: Sequence[Day]
    """Empty where the database could not add up."""
    days_fault: str = ""
    """Why it could not."""
    zone: tzinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """Everything that is known of one import."""

    import_: Import
    earlier: Sequence[Import]
    dependants: Sequence[Import] = field(default=())
    """Imports that wait for this one, as orders do for customers."""
    zones: Zones

    @property
    def orphan(self) -> tuple[str, str] | None:
        """Words for a document and the one that it refers to; None where it refers to none."""
        type_ = known_type(self.import_.type)
        return type_.orphan if type_ is not None and type_.refers_to is not None else None


def find(asked: Asked, services: Services) -> Found:
    """Read one page of imports.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    with _together() as at_once:
        connections = at_once(connections_of, services)
        return _found(asked, services, connections.result())


def overview(asked: Asked, services: Services) -> Overview:
    """Read how everything stands, of one connection or of all.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    ledger = services.ledger
    connection = asked.connection or None
    under_way = Which(connection=connection, statuses=UNDER_WAY)
    with _together() as at_once:
        listed = at_once(connections_of, services)
        moving = at_once(lambda: list(ledger.newest(under_way, limit=UNDER_WAY_SHOWN + 1)))
        alerts = at_once(
            lambda: ledger.alerts(connection=connection, open=True, limit=ALERTS_SHOWN)
        )
        connections = listed.result()
        zones = Zones.of_connections(connections, services)
        zone = zones.of(connection)
        newest = at_once(_found, asked, services, connections)
        today = services.now().astimezone(zone).date()
        counted = [
            (day, at_once(_totals, day, zone, connection, services))
            for day in (today - timedelta(days=back) for back in reversed(range(DAYS)))
        ]
        feeds = at_once(
            feeds_of, _only(connections, connection)[:CONNECTIONS_SHOWN], zones, services
        )
        days, fault = _days(counted)
        return Overview(
            found=newest.result(),
            alerts=[
                alert
                for id, data in alerts.result().items()
                if (alert := Alert.read(id, data)) is not None
            ],
            under_way=moving.result()[:UNDER_WAY_SHOWN],
            more_under_way=len(moving.result()) > UNDER_WAY_SHOWN,
            feeds=feeds.result(),
            days=days,
            days_fault=fault,
            zone=zone,
        )


def detail(connection: str, import_id: str, services: Services) -> Detail | None:
    """Read everything about one import; None where there is none.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    ledger = services.ledger
    with _together() as at_once:
        found = at_once(ledger.get_many, [(connection, import_id)])
        earlier = at_once(
            lambda: ledger.earlier_uploads(connection, import_id, limit=EARLIER_SHOWN)
        )
        documents = at_once(ledger.connection_documents, [connection])
        dependants = at_once(lambda: ledger.find(connection, pairedWith=import_id))
        import_ = found.result().get((connection, import_id))
        if import_ is None:
            return None
        return Detail(
            import_=import_,
            earlier=earlier.result(),
            dependants=sorted(dependants.result(), key=lambda one: one.uploaded_at),
            zones=Zones(documents.result(), services),
        )


# -- parts ------------------------------------------------------------------------------------


class _Together:
    """Runs reads beside each other; an answer is asked for where it is needed."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="read")

    def __enter__(self) -> _Together:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __call__(self, read: Callable[..., _T], *arguments: Any) -> Future[_T]:
        return self._pool.submit(read, *arguments)


def _together() -> _Together:
    return _Together()


def _only(connections: Sequence[Connection], one: str | None) -> Sequence[Connection]:
    return [each for each in connections if one in (None, each.name)]


def _found(asked: Asked, services: Services, connections: Iterable[Connection]) -> Found:
    zones = Zones.of_connections(connections, services)
    which = asked.which(zones.of(asked.connection))
    imports = list(services.ledger.newest(which, limit=PAGE_SIZE + 1))
    last = imports[PAGE_SIZE - 1] if len(imports) > PAGE_SIZE else None
    return Found(
        imports=imports[:PAGE_SIZE],
        older=(last.uploaded_at, last.connection, last.import_id) if last else None,
        zones=zones,
        connections=[each.name for each in connections],
    )


def _totals(day: date, zone: tzinfo, connection: str | None, services: Services) -> Totals:
    return services.ledger.totals(
        Which(
            connection=connection,
            since=midnight(day, zone),
            before=midnight(day + timedelta(days=1), zone),
        )
    )


def _days(counted: Sequence[tuple[date, Future[Totals]]]) -> tuple[list[Day], str]:
    """Take the numbers of the days; without them the page still has everything else to say."""
    try:
        return [Day(day, totals.result()) for day, totals in counted], ""
    except TryAgain as error:
        return [], str(error)
