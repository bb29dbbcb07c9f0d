"""Consequences of an import's end: its file is moved away, imports that waited for it start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from shared.core import FileRejected, log
from shared.ledger import ENDED_WELL, LOADED, Import, LedgerTransaction, Running
from shared.ledger.uploads import Source
from shared.reporting import sentences, tell
from shared.scheduling import enqueue, lying_there, pairing, plan_task, take_in
from shared.services import Services

PLACE_KEPT = timedelta(minutes=5)
"""Time that the next in line has to start, before others may start instead."""


def settle(import_: Import, services: Services) -> None:
    """Carry out what follows the end of an import: move its file away, start its dependents.

    Raises:
        TryAgain: a part could not be done. All parts may be done again.
    """
    if import_.status in ENDED_WELL:
        try:
            Source(services.bucket, import_).move_to_processed(
                present=partial(_present, import_, services)
            )
        except FileRejected:
            log(
                "WARNING",
                "The file is no longer there to be put away.",
                connection=import_.connection,
                importId=import_.import_id,
            )
    if import_.split is not None:
        from shared.loading.shards.cleanup import remove_split  # numpy comes with it

        remove_split(import_, services)
    wake_dependents(import_, services)
    if import_.error is not None and import_.error.code == "file.gone":
        _take_in_another(import_, services)
    if import_.status in ("failed", "rejected") or import_.rows.outdated:
        tell(services)


def _take_in_another(import_: Import, services: Services) -> None:
    """Take in the upload that replaced the import's file; its event may never arrive."""
    arrived = lying_there(import_.object, services)
    if arrived is not None and arrived.generation != import_.generation:
        take_in(arrived, services)


def _present(import_: Import, services: Services) -> bool:
    where = import_.connection, import_.import_id
    current = services.ledger.get_many([where]).get(where)
    return current is not None and current.generation == import_.generation


def wake_dependents(import_: Import, services: Services) -> None:
    """Create a task for each import that may start now because this one has ended.

    These are the files that wait for this one, as orders do for customers. Of the files in line,
    only the next is started; the end of that file starts its own successor.

    Files whose awaited file will not be loaded get a task at once, too, and find that out. So do
    files whose awaited file was rejected, if this one may replace it.

    Raises:
        TryAgain: Firestore or the queue could not be reached.
    """
    ledger = services.ledger
    ended_badly = import_.status in ("rejected", "failed")
    held = {
        one.import_id: one
        for one in (
            *ledger.find(import_.connection, blockedBy=import_.import_id),
            *ledger.find(import_.connection, pairedWith=import_.import_id),
        )
        if not pairing.in_line(one)
        and (
            one.status in ("blocked", "overdue")
            or (one.status == "scheduled" and (one.blocked_by is not None or ended_badly))
        )
    }
    for type_ in import_.awaited_by if import_.status in LOADED else ():
        window = services.deployment.pairing_window
        freed = pairing.freed_range(import_.import_id, type_, window=window)
        for one in ledger.transact(partial(_between, import_.connection, *freed)):
            if one.status in ("blocked", "overdue") and not pairing.in_line(one):
                held[one.import_id] = one
    by = import_.import_id
    for one in held.values():
        wake = partial(_wake, one=one, by=by, early=ended_badly, services=services)
        enqueue(ledger.transact(wake), services)
    for one in _next_in_line(import_, services):
        enqueue(ledger.transact(partial(_call, one=one, by=by, services=services)), services)


def _between(connection: str, first: str, last: str, ledger: LedgerTransaction) -> Sequence[Import]:
    return ledger.imports_between(connection, first, last)


def _next_in_line(import_: Import, services: Services) -> list[Import]:
    """Return the imports whose turn it is after this one: at most one per type that waits."""
    if import_.type is None or import_.mode == "test":
        return []
    ledger, found = services.ledger, list[Import]()
    for type_ in pairing.lines(import_.type):
        # Imports that an earlier call has woken, perhaps without creating the task.
        woken = ledger.find(
            import_.connection, blockedBy=import_.import_id, status="scheduled", type=type_
        )
        if not woken:
            blocked = ledger.find(import_.connection, status="blocked", type=type_)
            woken = [one for one in blocked if pairing.in_line(one)]
        found += sorted(woken, key=pairing.turn)[:1]
    return pairing.turns(found)


def _wake(
    ledger: LedgerTransaction, *, one: Import, by: str, early: bool, services: Services
) -> Import:
    now = services.now()
    current = ledger.import_(one.connection, one.import_id)
    if current is None:
        return one
    early = early and current.scheduled_for is not None and current.scheduled_for > now
    if current.status not in ("blocked", "overdue") and not (
        early and current.status == "scheduled"
    ):
        return current
    woken = plan_task(current, at=now)
    woken = woken.to("scheduled", now=now, text=sentences.scheduled(woken, now), blocked_by=by)
    ledger.put(woken)
    return woken


def _call(ledger: LedgerTransaction, *, one: Import, by: str, services: Services) -> Import:
    """Wake the next in line and keep its place: no other import starts before its task has run.

    If another import has started already, that one wakes its successor at its own end.
    """
    now = services.now()
    feed = ledger.feed(one.connection, one.type or "")
    if feed.live(now) not in (None, one.import_id):
        return one
    place = Running(import_id=one.import_id, owner="", expires_at=now + PLACE_KEPT)
    called = _wake(ledger, one=one, by=by, early=False, services=services)
    if called.status == "scheduled":
        ledger.put_feed(replace(feed, running=place))
    return called
