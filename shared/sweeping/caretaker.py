"""The sweep: runs all its parts, and gives new tasks to imports that no worker or task handles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

from shared.core import Apart, Deployment, TryAgain, log, log_failure
from shared.ledger import PENDING, Import, LedgerTransaction, Status
from shared.reporting import connections_of, tell
from shared.scheduling import enqueue, pairing, plan_task
from shared.services import Services
from shared.sweeping.feeds import watch_feeds
from shared.sweeping.lateness import watch_load
from shared.sweeping.mailing import send_mails
from shared.sweeping.reconciliation import reconcile
from shared.sweeping.retention import DELETED_AT_ONCE, clean_up
from shared.sweeping.unusable import watch_documents

PATIENCE = timedelta(minutes=10)
"""Time that a task, or a wake-up of a blocked import, may be late before the sweep sends another.
"""

REVIVED_AT_ONCE = 500
"""Largest number of imports that one sweep revives; the next sweep continues."""

WHOLE_EVERY = timedelta(days=1)
"""Time after which a sweep compares old objects, too, and deletes what is older than its retention.
"""

UNATTENDED: tuple[Status, ...] = (*sorted(PENDING - {"overdue"}), "loading")
"""Statuses of imports that may have lost their task or worker."""


def sweep(services: Services) -> dict[str, object]:
    """Run every part of the sweep once.

    The parts are independent: one that fails does not stop the others. A sweep may run at any time,
    at the same time as other sweeps, and may be interrupted.

    Returns:
        Counts by part: `late` imports, `unusable` documents, `revived` imports by status, objects
        `found`, `moved` and put `aside` (under `reconciled`), feeds `stopped`, objects `deleted`,
        `orphans` removed from `state/`, alerts `told`, `mails` sent. `whole` is True for the sweep
        that checks everything, once a day; all others check only what is new.

    Raises:
        TryAgain: a part failed; the next sweep does it again.
    """
    # Listed by the first part that needs the connections; by the next one, if that listing failed.
    connections = cache(partial(connections_of, services))
    begun = services.now()
    compared = cache(partial(_compared, services, begun))
    done: dict[str, object] = {}
    parts: dict[str, Callable[[], object]] = {
        # Before the late imports get new tasks, which change their times.
        "late": lambda: _watch_load(services),
        "unusable": lambda: watch_documents(connections(), services),
        "revived": lambda: revive(services),
        "reconciled": lambda: reconcile(services, compared=compared()),
        "stopped": lambda: watch_feeds(connections(), services),
        "deleted": lambda: clean_up(services) if compared() is None else 0,
        "whole": lambda: compared() is None and _note_whole(services, begun, done),
        "orphans": lambda: _remove_orphans(services),
        # Before the alerts, which may be about mails.
        "mails": lambda: send_mails(connections(), services),
        "told": lambda: tell(services),
    }
    failure: TryAgain | None = None
    for name, part in parts.items():
        try:
            done[name] = part()
        except TryAgain as error:
            log("WARNING", f"The sweep could not do everything: {error}", part=name)
            failure = error
        except Exception as error:
            log_failure("The sweep could not do everything.", error, part=name)
            failure = TryAgain(f"An unexpected error: {type(error).__name__}.")
    if failure is not None:
        raise failure
    return done


def _compared(services: Services, now: datetime) -> datetime | None:
    """Return the time of the last whole sweep; None if another one is due."""
    last = services.ledger.whole_sweep()
    return last if last is not None and last <= now < last + WHOLE_EVERY else None


def _note_whole(services: Services, begun: datetime, done: Mapping[str, Any]) -> bool:
    """Note a whole sweep, unless one of its parts failed, or objects may be left to delete.

    If it is not noted, the next sweep is whole, too.
    """
    if not {"reconciled", "deleted"} <= done.keys() or done["deleted"] >= DELETED_AT_ONCE:
        return False
    services.ledger.transact(lambda ledger: ledger.put_whole_sweep(begun))
    return True


def _watch_load(services: Services) -> int:
    now, deployment = services.now(), services.deployment
    return watch_load(services, partial(neglected, now=now, deployment=deployment))


def _remove_orphans(services: Services) -> int:
    from shared.sweeping.leftovers import remove_orphans  # imports numpy

    return remove_orphans(services)


def revive(services: Services) -> dict[str, int]:
    """Give every neglected import a new task; return the number of imports by status.

    A superfluous task does no harm: it finds the import loading, ended or not yet due.

    Raises:
        TryAgain: Firestore or the queue could not be reached.
    """
    revived: Counter[str] = Counter()
    lines: set[tuple[str, str | None]] = set()
    apart = Apart("An import could not be revived.")
    for import_ in services.ledger.with_status(UNATTENDED):
        if not neglected(import_, now=services.now(), deployment=services.deployment):
            continue
        if import_.status == "blocked" and pairing.in_line(import_):
            # One import per type is enough: each wakes the next when it ends.
            if (import_.connection, import_.type) in lines:
                continue
            lines.add((import_.connection, import_.type))
        named = {"connection": import_.connection, "importId": import_.import_id}
        if apart(partial(_revive, import_, services), **named):
            revived[import_.status] += 1
            if revived.total() >= REVIVED_AT_ONCE:
                break
    apart.end()
    return dict(revived)


def _revive(import_: Import, services: Services) -> bool:
    """Give an import a new task, unless it is no longer neglected; return True if it got one."""
    planned = services.ledger.transact(partial(_plan, import_=import_, services=services))
    if planned is None:
        return False
    log(
        "WARNING",
        f"Revived by the sweep: {import_.status}: {import_.status_text}",
        connection=import_.connection,
        importId=import_.import_id,
        generation=import_.generation,
    )
    enqueue(planned, services)
    return True


def neglected(import_: Import, *, now: datetime, deployment: Deployment) -> bool:
    """True if an import needs a new task: its deadline, task or worker is overdue."""
    deadline = None
    if import_.waits_for is not None:
        deadline = import_.uploaded_at + deployment.orders_deadline
    match import_.status:
        case "received" if import_.task is None:
            return import_.size == 0 and now >= import_.uploaded_at + deployment.empty_grace
        case "received" | "scheduled":
            return import_.scheduled_for is not None and now >= import_.scheduled_for + PATIENCE
        case "waiting":
            if import_.scheduled_for is not None:
                return now >= import_.scheduled_for + PATIENCE
            return deadline is not None and now >= deadline
        case "blocked":
            late = bool(import_.history) and now >= import_.history[-1].at + PATIENCE
            return late or (deadline is not None and now >= deadline)
        case "loading":
            lease = import_.lease
            return lease is None or now >= lease.expires_at + PATIENCE
        case _:
            return False


def _plan(ledger: LedgerTransaction, *, import_: Import, services: Services) -> Import | None:
    now = services.now()
    current = ledger.import_(import_.connection, import_.import_id)
    if (
        current is None
        or current.generation != import_.generation
        or not neglected(current, now=now, deployment=services.deployment)
    ):
        return None
    planned = plan_task(current, at=now)
    ledger.put(planned)
    return planned
