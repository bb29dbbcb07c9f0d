"""Commands for an import that has ended or waits: replay it, or release it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.core import FileRejected, NotPossible
from shared.files.types import all_types
from shared.ledger import ENDED, PENDING, Import, LedgerTransaction
from shared.reporting import resolve_import_alerts, sentences
from shared.scheduling.arrivals import arrival
from shared.scheduling.planning import enqueue, plan_task
from shared.services import Services


def replay(connection: str, import_id: str, services: Services, *, force: bool = False) -> Import:
    """Load an ended import again, from the bytes that were uploaded.

    Rows that this import has written before are written again, also if they had not changed.
    Documents that a newer file has written or confirmed are unchanged. If an index was lost, it may
    be unknown what newer files have confirmed: `force` loads the file even then.

    Returns:
        The import, scheduled.

    Raises:
        NotPossible: there is no such import, it has not ended, or it can never be loaded; or its
            file is no longer in the bucket.
        TryAgain: Cloud Storage, Firestore or the queue could not be reached.
    """
    _make_sure_of_bytes(connection, import_id, services)

    def change(ledger: LedgerTransaction) -> Import:
        now = services.now()
        current = _existing(ledger, connection, import_id)
        if current.exported_at is None:
            raise NotPossible(
                f"{current.file} can never be loaded under its name: {current.status_text} "
                "Upload it under the right one."
            )
        if arrival(current.uploaded_at, services).too_early_for(current.exported_at):
            raise NotPossible(
                f"{import_id}: the time in its name is later than its upload, so every export "
                "until then would count as older. Upload it under the right name."
            )
        if current.status == "superseded":
            raise NotPossible(f"{import_id}: a newer upload has taken over; replay that one.")
        if current.status in PENDING - {"overdue"} or current.status == "loading":
            raise NotPossible(
                f"{import_id} is {current.status} and continues automatically: "
                f"{current.status_text}"
            )
        if current.status == "overdue":
            raise NotPossible(
                f"{import_id} is overdue: it waits for its {current.waits_for} file. "
                "Release it to load it without."
            )
        if ledger.feed(connection, str(current.type)).live(now) == import_id:
            raise NotPossible(f"{import_id} is being undone. Try again when that has ended.")
        again = replace(current, replay=True, force=force, attempt=0, split=None, undone=None)
        return _restart(ledger, again, now=now)

    return enqueue(services.ledger.transact(change), services)


def release(connection: str, import_id: str, services: Services) -> Import:
    """Release a file that waits for another: it is loaded as soon as a worker is free.

    Returns:
        The import, scheduled.

    Raises:
        NotPossible: there is no such import, or it does not wait.
        TryAgain: Firestore or the queue could not be reached.
    """

    def change(ledger: LedgerTransaction) -> Import:
        now = services.now()
        current = _existing(ledger, connection, import_id)
        if current.waits_for is None or current.status not in PENDING - {"received"}:
            waiting = " and ".join(type_.name for type_ in all_types() if type_.waits_for)
            raise NotPossible(
                f"{import_id} is {current.status}: only {waiting} that wait can be released."
            )
        resolve_import_alerts(ledger, current, now=now)
        return _restart(ledger, replace(current, released=True), now=now)

    return enqueue(services.ledger.transact(change), services)


def _existing(ledger: LedgerTransaction, connection: str, import_id: str) -> Import:
    current = ledger.import_(connection, import_id)
    if current is None:
        raise NotPossible(f"There is no import {import_id} in the connection {connection}.")
    return current


def _make_sure_of_bytes(connection: str, import_id: str, services: Services) -> None:
    """Refuse a replay that would end as rejected because the bytes are gone.

    The import may have been loaded well, and would be shown as rejected.

    Raises:
        NotPossible: the file is no longer in the bucket.
    """
    from shared.ledger.uploads import Source  # with it comes Cloud Storage

    import_ = services.ledger.import_(connection, import_id)
    if import_ is None or import_.exported_at is None or import_.status not in ENDED:
        return
    try:
        Source(services.bucket, import_).find()
    except FileRejected as gone:
        raise NotPossible(
            f"{import_id} cannot be loaded again: {gone.problem.message} Upload it again."
        ) from None


def _restart(ledger: LedgerTransaction, current: Import, *, now: datetime) -> Import:
    # While the import waits, its ledger document must not expire. Its end sets the time again.
    planned = plan_task(replace(current, expire_at=None), at=now)
    planned = planned.to("scheduled", now=now, text=sentences.restarted(planned))
    ledger.put(planned)
    return planned
