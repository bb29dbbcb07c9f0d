"""Whether a task may begin its import now, and what becomes of the import if it may not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from shared.core import Problem
from shared.ledger import (
    ENDED,
    Import,
    Lease,
    LedgerTransaction,
    LoadTask,
    Progress,
    RowCounts,
    Running,
    Status,
    new_owner,
)
from shared.reporting import FAILED_TODO, overdue_todo, raise_alert, sentences
from shared.scheduling import pairing
from shared.scheduling.planning import awaited_file, plan_task, rules
from shared.services import Services

EARLY = timedelta(seconds=2)
"""How far a task may run ahead of the ledger's clock and still count as due."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The import is this worker's: it holds the lease that the import names."""

    import_: Import


@dataclass(frozen=True, slots=True)
class Rests:
    """There is nothing to load now; `why` says so in a few words."""

    import_: Import | None
    why: str


def begin(task: LoadTask, services: Services) -> Begun | Rests:
    """Take the import that a task is about, if its time has come.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    owner = new_owner()
    return services.ledger.transact(lambda ledger: begin_within(ledger, task, services, owner))


def begin_within(
    ledger: LedgerTransaction, task: LoadTask, services: Services, owner: str
) -> Begun | Rests:
    """Take an import in the name of `owner` within a transaction; see `begin`."""
    now = services.now()
    deployment = services.deployment
    current = ledger.import_(task.connection, task.import_id)
    if current is None:
        return Rests(None, "unknown import")
    if current.generation != task.generation:
        return Rests(None, "superseded")
    if current.status in ENDED:
        return Rests(current, "ended")
    if current.status == "loading" and current.lease is not None and current.lease.live(now):
        return _look_again(ledger, current, current.lease)
    if current.scheduled_for is not None and current.scheduled_for > now + EARLY:
        return Rests(current, "not due")

    timing = rules(services)
    awaited = None
    if current.waits_for is not None:
        # Every arrival of that type writes this: one that the look below misses begins it again.
        ledger.feed(current.connection, current.waits_for)
        awaited = awaited_file(ledger, current, timing)
        current = replace(current, paired_with=awaited.import_id if awaited else None)
    if current.type is None or current.exported_at is None:
        return Rests(None, "not an export file")
    feed = ledger.feed(current.connection, current.type)
    ahead = None
    if current.goes_after is not None:
        ahead = ledger.feed(current.connection, current.goes_after).live(now)

    verdict = pairing.judge(
        current,
        now=now,
        rules=timing,
        awaited=awaited,
        running=feed.live(now),
        ahead=ahead,
    )
    before = current
    own = feed.running is not None and feed.running.import_id == current.import_id
    idle = replace(feed, running=None) if own else feed
    if own and not isinstance(verdict, pairing.Ready):
        # Its worker died or left the rest to this task, and what it depends on has changed since.
        ledger.put_feed(idle)
    if not isinstance(verdict, pairing.Ready):
        current = replace(current, split=None)
    if current.status == "loading" and not isinstance(verdict, pairing.Ready):
        text = sentences.retrying(current.attempt, deployment.max_attempts)
        current = current.to("scheduled", now=now, text=text, lease=None)
    match verdict:
        case pairing.NotBefore(at):
            moved = plan_task(current, at=at)
            moved = moved.to("scheduled", now=now, text=sentences.scheduled(moved, now))
        case pairing.Waits():
            text = sentences.waiting(current, timing.window)
            moved = current.to("waiting", now=now, text=text, task=None, scheduled_for=None)
        case pairing.BlockedBy(import_id):
            moved = replace(current, blocked_by=import_id)
            if pairing.in_line(moved):
                text = sentences.in_line()
            else:
                status = _status_of(awaited, import_id)
                text = sentences.blocked(current, import_id, status, timing.window)
            moved = moved.to("blocked", now=now, text=text, task=None)
        case pairing.Overdue():
            status = _status_of(awaited, current.paired_with)
            text = sentences.overdue(current, timing.deadline, awaited=status, window=timing.window)
            moved = current.to("overdue", now=now, text=text, task=None)
            if before.status != "overdue":
                raise_alert(ledger, "overdue", moved, todo=overdue_todo(moved), now=now)
        case pairing.Ready(alone):
            if current.attempt >= deployment.max_attempts:
                moved = _give_up(current, services)
                ledger.put(moved)
                ledger.put_feed(idle)
                raise_alert(ledger, "failed", moved, todo=FAILED_TODO, now=now)
                return Rests(moved, "out of attempts")
            lease = Lease(owner=owner, expires_at=now + deployment.lease)
            attempt = current.attempt + 1
            begun = current.to(
                "loading",
                now=now,
                text=sentences.checking() if current.mode == "test" else sentences.loading(attempt),
                lease=lease,
                attempt=attempt,
                blocked_by=None,
                started_at=now,
                finished_at=None,
                expire_at=None,
                seconds=None,
                error=None,
                rows=RowCounts(),
                progress=Progress(),
                warnings=(_alone(current),) if alone else (),
            )
            if current.mode != "test":
                running = Running(
                    import_id=current.import_id, owner=owner, expires_at=lease.expires_at
                )
                ledger.put_feed(replace(feed, running=running))
            ledger.put(begun)
            return Begun(begun)
    same = ("status", "status_text", "task")
    if all(getattr(moved, name) == getattr(before, name) for name in same):
        return Rests(before, before.status)
    ledger.put(moved)
    return Rests(moved, moved.status)


def _status_of(awaited: Import | None, import_id: str | None) -> Status | None:
    return awaited.status if awaited and awaited.import_id == import_id else None


def _look_again(ledger: LedgerTransaction, current: Import, lease: Lease) -> Rests:
    """See to it that somebody looks after the import once its present worker's lease is over.

    The task that came too early is answered as done: were it refused instead, it could run out
    of attempts while a slow worker is still at it.
    """
    if current.scheduled_for is None or current.scheduled_for < lease.expires_at:
        current = plan_task(current, at=lease.expires_at)
        ledger.put(current)
    return Rests(current, "at work")


def _give_up(current: Import, services: Services) -> Import:
    now = services.now()
    text = sentences.failed(current.attempt)
    if current.status != "loading":
        current = current.to("loading", now=now, text=text)
    return current.end(
        "failed",
        now=now,
        text=text,
        keep=services.deployment.ledger_retention,
        error=Problem(code="system.worker_lost", message=text),
    )


def _alone(import_: Import) -> dict[str, object]:
    problem = Problem(
        code="order.without_customers_file",
        message=f"Loaded although the matching {import_.waits_for} file has not been loaded.",
    )
    return {"code": problem.code, "message": problem.message, "hint": problem.hint, "count": 1}
