"""Alerts about documents that somebody has changed by hand so that they cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from shared.core import SettingsError
from shared.ledger import PENDING, LedgerTransaction, Status
from shared.reporting import Connection, new_alert, open_once, resolve_alerts
from shared.services import Services

CODE = "unusable"
"""Code of alerts about a document; they are resolved when the document can be used."""

_WATCHED: tuple[Status, ...] = (*sorted(PENDING), "loading")


@dataclass(frozen=True, slots=True)
class _Found:
    """A document that cannot be used."""

    connection: str
    about: str
    """The id of an import, or `settings`."""
    what: str
    todo: str


def watch_documents(connections: Sequence[Connection], services: Services) -> int:
    """Open an alert about every unusable document, and resolve those that can be used again.

    The settings of all connections are checked, and imports that have not ended. Return the number
    of unusable documents.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    found = {(one.connection, one.about): one for one in _find(connections, services)}
    for one in found.values():
        services.ledger.transact(partial(_open, one=one, now=services.now()))
    for id in services.ledger.open_alerts(CODE):
        connection, _, about = id.removesuffix(f"~{CODE}").partition("~")
        if (connection, about) not in found:
            services.ledger.transact(partial(_close, connection, about, services.now()))
    return len(found)


def _find(connections: Sequence[Connection], services: Services) -> Iterator[_Found]:
    for name, import_id in services.ledger.unusable(_WATCHED):
        yield _Found(
            name,
            import_id,
            f"The document connections/{name}/imports/{import_id} cannot be used.",
            "Correct it, or delete it and upload the file again.",
        )
    for connection in connections:
        name = connection.name
        try:
            settings = services.settings_from(name, connection.document)
            if settings.notify_error is not None:
                yield _Found(
                    name,
                    "notify",
                    f"Nobody of {name} is mailed. {settings.notify_error}.",
                    "Correct the setting; files are loaded meanwhile.",
                )
        except SettingsError as error:
            yield _Found(
                name,
                "settings",
                f"No file of {name} can be loaded. {error}.",
                "Correct the setting; then replay the failed imports.",
            )


def _open(ledger: LedgerTransaction, *, one: _Found, now: datetime) -> None:
    alert = new_alert(
        CODE, connection=one.connection, about=one.about, what=one.what, todo=one.todo, now=now
    )
    open_once(ledger, alert)


def _close(connection: str, about: str, now: datetime, ledger: LedgerTransaction) -> None:
    resolve_alerts(ledger, CODE, connection=connection, about=about, now=now)
