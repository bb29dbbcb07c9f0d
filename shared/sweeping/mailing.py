"""Mails of the sweep: to new addresses, the daily digests, and whatever was not sent at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from shared.core import Apart, ConnectionSettings, SettingsError
from shared.ledger import LedgerTransaction, Which
from shared.mail import (
    Content,
    Mailbox,
    addressed,
    digest,
    put_digest,
    put_welcomes,
    send_due,
)
from shared.reporting import Connection
from shared.services import Services

READ_AT_MOST = 2_000
"""Largest number of files in a digest, the latest."""


def send_mails(connections: Sequence[Connection], services: Services) -> dict[str, int]:
    """Write to new addresses, write the digests that are due, and send what the outbox holds.

    Returns:
        The number of `welcomes` and of `digests` written, and of mails `sent`.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    if services.deployment.mailing == "off":
        return {}
    apart = Apart("The people of a connection could not be mailed.")
    welcomes = digests = 0
    people: dict[str, ConnectionSettings] = {}
    for connection in connections:
        try:
            settings = services.settings_from(connection.name, connection.document)
        except SettingsError:
            continue  # `watch_documents` has an alert about it
        if addressed(settings, services):
            people[connection.name] = settings
    found = services.ledger.mailboxes(people) if people else {}
    for name, settings in people.items():
        given = name, settings, Mailbox.from_document(found.get(name)), services
        welcomes += apart(partial(_welcome, *given), connection=name) or 0
        digests += bool(apart(partial(_write, *given), connection=name))
    sent = send_due(services)
    apart.end()
    return {"welcomes": welcomes, "digests": digests, "sent": sent}


def _welcome(
    connection: str, settings: ConnectionSettings, box: Mailbox, services: Services
) -> int:
    """Write to the connection's new addresses; return their number.

    If nothing is ever mailed to the connection, its addresses get no such mail.
    """
    notify, now = settings.notify, services.now()
    if not notify.on and notify.success == "never":
        return 0
    if box.welcome(notify.to, now=now, zone=settings.time_zone)[1] == box:
        return 0
    return services.ledger.transact(
        partial(
            put_welcomes,
            connection=connection,
            settings=settings,
            services=services,
            now=now,
        )
    )


def _write(connection: str, settings: ConnectionSettings, box: Mailbox, services: Services) -> bool:
    """Write a connection's digest if it is due, and there is something to tell."""
    ledger, zone, now = services.ledger, settings.time_zone, services.now()
    covered = box.digest_due(now, zone)
    if covered is None:
        return False
    begin, until = covered
    content = None
    if settings.notify.success == "digest" or box.held:
        which = Which(connection=connection, since=begin, before=until)
        found = ledger.newest(which, limit=READ_AT_MOST)
        content = digest(found, begin=begin, held=box.held, zone=zone)
    return ledger.transact(
        partial(
            _put,
            connection=connection,
            content=content,
            settings=settings,
            services=services,
            until=until,
            now=now,
        )
    )


def _put(
    ledger: LedgerTransaction,
    *,
    connection: str,
    content: Content | None,
    settings: ConnectionSettings,
    services: Services,
    until: datetime,
    now: datetime,
) -> bool:
    box = Mailbox.from_document(ledger.mailbox(connection))
    if box.digest_due(now, settings.time_zone) is None:
        return False  # another sweep has written it
    ledger.put_mailbox(connection, box.digested(until).to_document())
    if content is None:
        return False
    put_digest(ledger, connection, content, settings, services, until=until, now=now)
    return True
