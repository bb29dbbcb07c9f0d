"""Claims: decide if a task may begin its import, or its shard, now, and what happens if not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.core import Problem
from shared.files import is_import_id, parse_import_id
from shared.files.types import file_type
from shared.ledger import (
    ENDED,
    Claimed,
    Feed,
    Import,
    Lease,
    LedgerTransaction,
    LoadTask,
    Progress,
    RowCounts,
    Shard,
    Status,
    feed_path,
    import_path,
    lease_to,
    lease_to_shards,
    new_owner,
    release_feed,
    shard_path,
)
from shared.mail import overdue, post_about
from shared.reporting import FAILED_TODO, overdue_todo, raise_alert, sentences
from shared.scheduling import pairing
from shared.scheduling.planning import awaited_file, plan_task, rules
from shared.services import Services

EARLY = timedelta(seconds=2)
"""Time by which a task may be early, by the ledger's clock, and still count as due."""


@dataclass(frozen=True, slots=True)
class NotNow:
    """Answer that there is nothing to load now. The records name the tasks that must exist."""

    why: str
    """Reason in a few words."""
    import_: Import | None = None
    shard: Shard | None = None


def claim(task: LoadTask, services: Services) -> Claimed | NotNow:
    """Claim the import, or the shard, of a task, if it may start now.

    When all shards have ended, the task of a shard claims the whole import, to join the shards.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    owner = new_owner()
    return services.ledger.transact(lambda ledger: claim_within(ledger, task, services, owner))


def claim_within(
    ledger: LedgerTransaction, task: LoadTask, services: Services, owner: str
) -> Claimed | NotNow:
    """Claim in the name of `owner` within a transaction; see `claim`."""
    ledger.fetch(*_needed(task))
    current = ledger.import_(task.connection, task.import_id)
    if current is None:
        return NotNow("unknown import")
    if current.generation != task.generation:
        return NotNow("superseded")
    if current.status in ENDED:
        return NotNow("ended", current)
    if task.split is None:
        return _claim_import(ledger, current, services, owner)
    if current.split is None or current.split.id != task.split:
        return NotNow("split again")
    if current.split.ended == current.split.shards:
        return _claim_import(ledger, current, services, owner)
    shard = ledger.shard(task.connection, task.import_id, task.split, task.shard)
    if shard is None or current.status != "loading" or current.lease is None:
        return NotNow("not loading", current)
    return _claim_shard(ledger, Claimed(current, shard), services, owner)


def _needed(task: LoadTask) -> list[str]:
    """Return the paths of the documents that a claim nearly always reads."""
    where = task.connection, task.import_id
    paths = [import_path(*where)]
    if task.split is not None:
        paths.append(shard_path(*where, task.split, task.shard))
    if is_import_id(task.import_id):
        _, name, _ = parse_import_id(task.import_id)
        of_type = file_type(name)
        types = (name, of_type.waits_for, of_type.goes_after)
        paths += [feed_path(task.connection, type) for type in types if type is not None]
    return paths


# -- the import as a whole ------------------------------------------------------------------------


def _claim_import(
    ledger: LedgerTransaction, current: Import, services: Services, owner: str
) -> Claimed | NotNow:
    now = services.now()
    if current.lease is not None and current.lease.live(now):
        return _look_again(ledger, current, current.lease)
    if current.status != "loading":
        current = replace(current, lease=None)  # of a worker that died while it judged the file
    if current.scheduled_for is not None and current.scheduled_for > now + EARLY:
        return NotNow("not due", current)
    if current.type is None or current.exported_at is None:
        return NotNow("not an export file")
    before, timing = current, rules(services)
    awaited = None
    if current.waits_for is not None:
        # Every arrival of that type writes this document. If one arrives after the search below,
        # Firestore retries this transaction.
        ledger.feed(current.connection, current.waits_for)
        awaited = awaited_file(ledger, current, timing)
        current = replace(current, paired_with=awaited.import_id if awaited else None)
    feed = ledger.feed_of(current)
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
    if isinstance(verdict, pairing.Ready):
        return _begin(ledger, current, feed, services, owner, alone=verdict.alone)
    if feed.running is not None and feed.running.import_id == current.import_id:
        # The worker died, or left the rest to this task. Since then, a file it depends on has
        # changed.
        ledger.put_feed(replace(feed, running=None))
    current = replace(current, split=None)
    if current.status == "loading":
        text = sentences.retrying(current.attempt, services.deployment.max_attempts)
        current = current.to("scheduled", now=now, text=text, lease=None)
    moved = _put_off(current, verdict, awaited, timing, now=now)
    if moved.status == "overdue" and before.status != "overdue":
        _tell_overdue(ledger, moved, services, now)
    same = ("status", "status_text", "task")
    if all(getattr(moved, name) == getattr(before, name) for name in same):
        return NotNow(before.status, before)
    ledger.put(moved)
    return NotNow(moved.status, moved)


def _tell_overdue(
    ledger: LedgerTransaction, import_: Import, services: Services, now: datetime
) -> None:
    raise_alert(ledger, "overdue", import_, todo=overdue_todo(import_), now=now)
    post_about(
        ledger,
        import_,
        "overdue",
        lambda zone: overdue(import_, zone=zone, now=now),
        services,
        now=now,
    )


def _begin(
    ledger: LedgerTransaction,
    current: Import,
    feed: Feed,
    services: Services,
    owner: str,
    *,
    alone: bool,
) -> Claimed | NotNow:
    """Begin an import that may start now; `alone` loads it without the file it waits for."""
    now, deployment = services.now(), services.deployment
    if current.attempt >= deployment.max_attempts:
        problem = Problem(code="system.worker_lost", message=sentences.failed(current.attempt))
        if current.status != "loading":
            current = current.to("loading", now=now, text=problem.message)
        return NotNow("out of attempts", give_up(ledger, current, problem, services))
    attempt = current.attempt + 1
    until, idle = now + deployment.lease, replace(feed, running=None)
    begun = lease_to(ledger, current, owner, until=until, feed=idle).to(
        "loading",
        now=now,
        text=sentences.checking() if current.mode == "test" else sentences.loading(attempt),
        attempt=attempt,
        blocked_by=None,
        started_at=now,
        finished_at=None,
        expire_at=None,
        seconds=None,
        error=None,
        judged=None,
        rows=RowCounts(),
        progress=Progress(),
        warnings=(),
        rejections=(),
    )
    if alone:
        begun = begun.finding([_alone(current)])
    ledger.put(begun)
    return Claimed(begun)


def _put_off(
    current: Import,
    verdict: pairing.StartDecision,
    awaited: Import | None,
    timing: pairing.Timing,
    *,
    now: datetime,
) -> Import:
    """Return the import with the status and the sentence that say why it cannot start now."""
    match verdict:
        case pairing.NotBefore(at):
            moved = plan_task(current, at=at)
            return moved.to("scheduled", now=now, text=sentences.scheduled(moved, now))
        case pairing.Waits():
            text = sentences.waiting(current, timing.window)
            return current.to("waiting", now=now, text=text, task=None, scheduled_for=None)
        case pairing.BlockedBy(import_id):
            moved = replace(current, blocked_by=import_id)
            text = sentences.in_line()
            if not pairing.in_line(moved):
                status = _status_of(awaited, import_id)
                text = sentences.blocked(current, import_id, status, timing.window)
            return moved.to("blocked", now=now, text=text, task=None)
        case _:
            status = _status_of(awaited, current.paired_with)
            text = sentences.overdue(current, timing.deadline, awaited=status, window=timing.window)
            # It is no longer in line. With a blocker in line, the end of its awaited file would not
            # wake it.
            by = None if pairing.in_line(current) else current.blocked_by
            return current.to("overdue", now=now, text=text, task=None, blocked_by=by)


def _status_of(awaited: Import | None, import_id: str | None) -> Status | None:
    return awaited.status if awaited and awaited.import_id == import_id else None


def _look_again(ledger: LedgerTransaction, current: Import, lease: Lease) -> NotNow:
    """Plan a task for the end of the present worker's lease, if none is planned until then.

    The task that came too early is answered as done. If it were refused, it could run out of
    attempts while a slow worker still works.
    """
    if current.scheduled_for is None or current.scheduled_for < lease.expires_at:
        current = plan_task(current, at=lease.expires_at)
        ledger.put(current)
    return NotNow("at work", current)


def _alone(import_: Import) -> dict[str, object]:
    problem = Problem(
        code="order.without_customers_file",
        message=f"Loaded although the matching {import_.waits_for} file has not been loaded.",
    )
    return {**problem.to_document(), "count": 1}


# -- one shard ------------------------------------------------------------------------------------


def _claim_shard(
    ledger: LedgerTransaction, mine: Claimed, services: Services, owner: str
) -> Claimed | NotNow:
    now, deployment = services.now(), services.deployment
    import_, shard = mine.import_, mine.shard
    assert import_.lease is not None
    assert shard is not None
    if shard.status == "loaded":
        return NotNow("ended", import_, shard)
    if shard.lease is not None and shard.lease.live(now):
        # As in `_look_again`, a task that came too early is answered as done.
        if shard.scheduled_for is None or shard.scheduled_for < shard.lease.expires_at:
            shard = shard.planned(shard.lease.expires_at)
            ledger.put_shard(shard)
        return NotNow("at work", import_, shard)
    if shard.scheduled_for is None or shard.scheduled_for > now + EARLY:
        return NotNow("not due", import_, shard)
    if not import_.lease.live(now):
        # The lease was not renewed in time, so the import itself has to be claimed again.
        planned = plan_task(import_, at=now)
        ledger.put(planned)
        return NotNow("not held", planned)
    if not mine.shared:
        return NotNow("another worker sees to all shards")
    feed = ledger.feed_of(import_)
    if feed.base() != mine.split.base:
        return NotNow("split again", split_again(ledger, import_, now=now))
    if shard.attempt >= deployment.max_attempts:
        problem = Problem(code="system.worker_lost", message=sentences.failed(shard.attempt))
        return NotNow("out of attempts", give_up(ledger, import_, problem, services))
    begun = replace(
        shard,
        status="loading",
        attempt=shard.attempt + 1,
        lease=Lease(owner=owner, expires_at=now + deployment.lease),
        started_at=now,
    )
    mine = Claimed(lease_to_shards(ledger, import_, feed, now=now), begun).recounted(RowCounts())
    assert mine.shard is not None
    ledger.put(mine.import_)
    ledger.put_shard(mine.shard)
    return mine


# -- claims that end or begin again ---------------------------------------------------------------


def give_up(
    ledger: LedgerTransaction, import_: Import, problem: Problem, services: Services
) -> Import:
    """End an import as failed, with an alert, within a transaction."""
    now = services.now()
    release_feed(ledger, import_)
    keep = services.deployment.ledger_retention
    failed = import_.end("failed", now=now, text=problem.message, keep=keep, error=problem)
    ledger.put(failed)
    raise_alert(ledger, "failed", failed, todo=FAILED_TODO, now=now)
    return failed


def split_again(ledger: LedgerTransaction, import_: Import, *, now: datetime) -> Import:
    """Schedule an import again whose shards cannot continue, within a transaction."""
    release_feed(ledger, import_)
    sent_back = plan_task(import_, at=now).to(
        "scheduled", now=now, text=sentences.split_anew(), lease=None, split=None
    )
    ledger.put(sent_back)
    return sent_back
