"""The alert about due imports that no worker begins: a sign that `load` cannot be reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from shared.core import phrases
from shared.ledger import Import, LedgerTransaction, Status
from shared.reporting import LATE, alert_id, new_alert, open_once, resolve_alerts
from shared.services import Services

EVERYWHERE = "*"
"""The connection of an alert about all connections."""

LOAD = "load"
"""The subject of the alert, part of its id."""

TODO = (
    "Read the log of load. Check that the queue is not paused and that load accepts its tasks. If "
    "all instances of load are busy, give it more."
)

_DUE: tuple[Status, ...] = ("received", "scheduled", "loading")


def due_since(import_: Import) -> datetime | None:
    """Return the time since which an import waits for a worker; None if it needs no worker.

    An import whose worker has gone silent is due since the end of the worker's lease.
    """
    if import_.status == "loading":
        return import_.lease.expires_at if import_.lease else None
    return import_.scheduled_for if import_.status in _DUE else None


def watch_load(services: Services, neglected: Callable[[Import], bool]) -> int:
    """Raise or resolve the alert about the oldest late import; return the number of late ones.

    `neglected` returns True for imports that have waited too long. Call this function before they
    get new tasks, because a new task changes the time for which an import is scheduled. An open
    alert stays open until a worker has begun the import that it names.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    late = [
        (since, import_.connection, import_.import_id)
        for import_ in services.ledger.with_status(_DUE)
        if (since := due_since(import_)) is not None and neglected(import_)
    ]
    change = partial(_open, oldest=min(late), count=len(late)) if late else _close
    services.ledger.transact(partial(change, now=services.now()))
    return len(late)


def _open(
    ledger: LedgerTransaction, *, oldest: tuple[datetime, str, str], count: int, now: datetime
) -> None:
    since, connection, import_id = oldest
    imports = "import is" if count == 1 else "imports are"
    what = (
        f"{count} {imports} due and no worker has begun. The oldest is {import_id} of the "
        f"connection {connection}, due since {phrases.moment(since)}."
    )
    alert = new_alert(
        LATE,
        connection=EVERYWHERE,
        about=LOAD,
        import_id=import_id,
        what=what,
        todo=TODO,
        now=now,
    )
    open_once(ledger, replace(alert, connection=connection))


def _close(ledger: LedgerTransaction, *, now: datetime) -> None:
    data = ledger.alert(alert_id(LATE, connection=EVERYWHERE, about=LOAD))
    if data is None or data.get("resolvedAt") is not None:
        return
    import_ = ledger.import_(data["connection"], data["importId"])
    begun = import_ is not None and import_.started_at and import_.started_at >= data["firstAt"]
    if import_ is None or import_.status not in _DUE or begun:
        resolve_alerts(ledger, LATE, connection=EVERYWHERE, about=LOAD, now=now)
