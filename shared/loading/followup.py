"""Follow-up of an ended import: its file is moved away, imports that waited for it start."""

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


def follow_up(import_: Import, services: Services) -> None:
    """Follow up the end of an import: move its file away, start its dependents.

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
    current = services.ledger.import_(import_.connection, import_.import_id)
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
    ledger, by = services.ledger, import_.import_id
    ended_badly = import_.status in ("rejected", "failed")
    found = ledger.find_any(
        import_.connection,
        ("blockedBy", by),
        ("pairedWith", by),
        ("status", "blocked"),
        *([("status", "overdue")] if import_.awaited_by else []),
    )
    held = [
        one
        for one in found
        if not pairing.in_line(one)
        and (
            (by in (one.blocked_by, one.paired_with) and _waits(one, ended_badly=ended_badly))
            or (one.status in ("blocked", "overdue") and _freed(one, import_, services))
        )
    ]
    for one in held:
        wake = partial(_wake, one=one, by=by, early=ended_badly, services=services)
        enqueue(ledger.transact(wake), services)
    for one in _next_in_line(import_, found):
        enqueue(ledger.transact(partial(_call, one=one, by=by, services=services)), services)


def _waits(one: Import, *, ended_badly: bool) -> bool:
    """Return True for an import that may start because the one that it waited for has ended."""
    return one.status in ("blocked", "overdue") or (
        one.status == "scheduled" and (one.blocked_by is not None or ended_badly)
    )


def _freed(one: Import, loaded: Import, services: Services) -> bool:
    """Return True for an import that may start because a loaded one replaces a rejected one."""
    if loaded.status not in LOADED or one.type not in loaded.awaited_by or not one.exported_at:
        return False
    window = services.deployment.pairing_window
    first, last = pairing.freed_range(loaded.import_id, one.type, window=window)
    return first <= one.import_id <= last


def _next_in_line(import_: Import, found: Sequence[Import]) -> list[Import]:
    """Return the imports whose turn it is after this one: at most one per type that waits."""
    if import_.type is None or import_.mode == "test":
        return []
    nexts = list[Import]()
    for type_ in pairing.lines(import_.type):
        of_type = [one for one in found if one.type == type_]
        # Imports that an earlier call has woken, perhaps without creating the task.
        woken = [
            one
            for one in of_type
            if one.blocked_by == import_.import_id and one.status == "scheduled"
        ]
        if not woken:
            woken = [one for one in of_type if one.status == "blocked" and pairing.in_line(one)]
        nexts += sorted(woken, key=pairing.turn)[:1]
    return pairing.turns(nexts)


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
    feed = ledger.feed_of(one)
    if feed.live(now) not in (None, one.import_id):
        return one
    place = Running(import_id=one.import_id, owner="", expires_at=now + PLACE_KEPT)
    called = _wake(ledger, one=one, by=by, early=False, services=services)
    if called.status == "scheduled":
        ledger.put_feed(replace(feed, running=place))
    return called
