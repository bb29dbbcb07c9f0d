"""Reads of the ledger for the status page: a few bounded queries, all at the same time.

No query grows with the ledger. A list has a limit, and its next page begins after the last entry,
without an offset. The database adds up the numbers of a day from an index. So the ledger needs no
counters, which several workers would have to write and which could be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo

from shared.core import TryAgain, midnight
from shared.files.types import known_type
from shared.ledger import Import, Totals, Which
from shared.reporting import (
    UNDER_WAY,
    Connection,
    Zones,
    connections_of,
    feeds_of,
    read_alerts,
)
from shared.services import Services
from shared.status.chart import Day
from shared.status.mails import ShownMail, mail_trouble, newest_mails
from shared.status.needs import BAD, Need, needs_of
from shared.status.query import Asked
from shared.status.retailers import Retailer, retailers_of

PAGE_SIZE = 50
"""Imports per page."""
UNDER_WAY_SHOWN = 100
"""Largest number of imports under way in the overview."""
BAD_READ = 200
"""Largest number of rejected, failed and overdue imports that the overview reads."""
ALERTS_SHOWN = 50
"""Largest number of open alerts in the overview."""
CONNECTIONS_SHOWN = 100
"""Largest number of connections whose feeds the overview has."""
EARLIER_SHOWN = 10
"""Largest number of earlier uploads on an import's page."""
DAYS = 14
"""Days of the chart, including today."""

_AT_ONCE = 8
"""Largest number of reads at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One page of the imports that match the filter."""

    imports: Sequence[Import]
    older: tuple[datetime, str, str] | None
    """Upload time, connection and id of the last import here, if there is a next page."""
    zones: Zones
    connections: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The data of the overview page."""

    found: Found
    needs: Sequence[Need]
    more_bad: bool
    """True if there are more rejected, failed or overdue files than were read."""
    retailers: Sequence[Retailer]
    more_retailers: bool
    """True if there are more connections than the page has."""
    under_way: Sequence[Import]
    more_under_way: bool
    days: Sequence[Day]
    """Numbers per day; empty if the database could not add them up."""
    days_fault: str = ""
    """The reason, if `days` is empty."""
    mails: Sequence[ShownMail] = ()
    """The newest mails to the people of the one connection that was asked for."""
    zone: tzinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """The data of one import's page."""

    import_: Import
    earlier: Sequence[Import]
    """Superseded uploads of the same name, the latest first."""
    dependents: Sequence[Import] = field(default=())
    """Imports that wait for this one, as orders do for customers."""
    zones: Zones

    @property
    def orphan(self) -> tuple[str, str] | None:
        """Words for a document and the one that it refers to; None where it refers to none."""
        type_ = known_type(self.import_.type)
        return type_.orphan if type_ is not None and type_.refers_to is not None else None


def find(asked: Asked, services: Services) -> Found:
    """Return one page of imports.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    with _together() as reads:
        connections = reads.submit(connections_of, services)
        return _found(asked, services, connections.result())


def overview(asked: Asked, services: Services) -> Overview:
    """Return the data of the overview, of one connection or of all.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    ledger = services.ledger
    connection = asked.connection or None
    moves = Which(connection=connection, statuses=UNDER_WAY)
    troubled = Which(connection=connection, statuses=BAD)
    with _together() as reads:
        listed = reads.submit(connections_of, services)
        moving = reads.submit(list, ledger.newest(moves, limit=UNDER_WAY_SHOWN + 1))
        alerts = reads.submit(ledger.alerts, connection=connection, open=True, limit=ALERTS_SHOWN)
        connections = listed.result()
        zones = Zones.of_connections(connections, services)
        zone = zones.of(connection)
        bad = reads.submit(list, ledger.newest(troubled, limit=BAD_READ))
        newest = reads.submit(_found, asked, services, connections)
        today = services.now().astimezone(zone).date()
        counted = [
            (day, reads.submit(_totals, day, zone, connection, services))
            for day in (today - timedelta(days=back) for back in reversed(range(DAYS)))
        ]
        shown = _only(connections, connection)[:CONNECTIONS_SHOWN]
        feeds = reads.submit(feeds_of, shown, zones, services)
        names = [each.name for each in shown]
        settings = {name: zones.settings[name] for name in names if name in zones.settings}
        trouble = reads.submit(mail_trouble, settings, services)
        mails = None
        if connection is not None:
            mails = reads.submit(newest_mails, connection, services, reveal=asked.reveal)
        days, fault = _days(counted)
        under_way = moving.result()[:UNDER_WAY_SHOWN]
        needs = needs_of(
            bad.result(),
            read_alerts(alerts.result()),
            feeds.result(),
            under_way,
            {name: error for name, error in zones.wrong.items() if connection in (None, name)},
            trouble.result(),
        )
        return Overview(
            found=newest.result(),
            needs=needs,
            more_bad=len(bad.result()) == BAD_READ,
            retailers=retailers_of(names, feeds.result(), needs, under_way),
            more_retailers=len(_only(connections, connection)) > len(names),
            under_way=under_way,
            more_under_way=len(moving.result()) > UNDER_WAY_SHOWN,
            days=days,
            days_fault=fault,
            mails=mails.result() if mails else (),
            zone=zone,
        )


def detail(connection: str, import_id: str, services: Services) -> Detail | None:
    """Return the data of one import's page; None if there is no such import.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    ledger = services.ledger
    with _together() as reads:
        found = reads.submit(ledger.get_many, [(connection, import_id)])
        earlier = reads.submit(ledger.earlier_uploads, connection, import_id, limit=EARLIER_SHOWN)
        documents = reads.submit(ledger.connection_documents, [connection])
        dependents = reads.submit(ledger.find, connection, pairedWith=import_id)
        import_ = found.result().get((connection, import_id))
        if import_ is None:
            return None
        return Detail(
            import_=import_,
            earlier=earlier.result(),
            dependents=sorted(dependents.result(), key=lambda one: one.uploaded_at),
            zones=Zones(documents.result(), services),
        )


# -- parts ------------------------------------------------------------------------------------


@contextmanager
def _together() -> Iterator[ThreadPoolExecutor]:
    """Run reads at the same time; at the end, drop those that have not begun."""
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="read")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


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
    """Return the numbers of the days, and "" or the reason why there are none.

    The page is shown without the numbers if the database cannot add them up.
    """
    try:
        return [Day(day, totals.result()) for day, totals in counted], ""
    except TryAgain as error:
        return [], str(error)
