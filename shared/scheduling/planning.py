"""Plans of tasks: which import starts when, and the task that starts it."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.ledger import ENDED, PENDING, Import, LedgerTransaction, LoadTask, Shard, next_of
from shared.reporting import sentences
from shared.scheduling import pairing
from shared.services import Services

SOON = timedelta(minutes=1)
"""Time to the start of an import within which its file is not judged before."""


def rules(services: Services) -> pairing.Timing:
    """Return the lengths of time that pairing uses in this deployment."""
    deployment = services.deployment
    return pairing.Timing(
        delay=deployment.orders_delay,
        window=deployment.pairing_window,
        deadline=deployment.orders_deadline,
        without_customers=deployment.orders_without_customers,
    )


def plan_task(import_: Import, *, at: datetime) -> Import:
    """Return the import with its next task, which is created after the transaction."""
    task = LoadTask.of(import_, number=import_.task_number + 1)
    return import_.next_task(at=at, task_id=task.task_id)


def enqueue(import_: Import, services: Services) -> Import:
    """Create the tasks that the ledger has planned for this import and for its dependents.

    The ledger is written first, then the queue. After a crash in between, the tasks can be created
    from the ledger. A task is created once, however often it is asked for.

    Raises:
        TryAgain: Firestore or the queue could not be reached.
    """
    planned = [import_] if import_.task and import_.status not in ENDED else []
    if import_.awaited_by:
        planned += [
            dependent
            for dependent in services.ledger.find(import_.connection, pairedWith=import_.import_id)
            if dependent.task and dependent.status in ("received", "waiting", "scheduled")
        ]
    for one in planned:
        services.queue.create(
            LoadTask.of(one, number=one.task_number), at=one.scheduled_for or services.now()
        )
    for one in planned:
        if one.status in ("received", "waiting"):
            marked = mark_scheduled(one, services)
            if one is import_:
                import_ = marked
    return import_


def enqueue_judging(import_: Import, services: Services) -> None:
    """Create the task that judges a file now, if the file must wait and has not been judged.

    Raises:
        TryAgain: the queue could not be reached.
    """
    now = services.now()
    soon = import_.task and import_.scheduled_for and import_.scheduled_for <= now + SOON
    if is_unjudged(import_) and import_.lease is None and not soon and not pairing.in_line(import_):
        services.queue.create(LoadTask.to_judge(import_), at=now)


def is_unjudged(import_: Import) -> bool:
    """Return True for a file that may have to wait for another and has not been read yet.

    A file without content has no task until the time for its content is over.
    """
    return (
        import_.waits_for is not None
        and (import_.size > 0 or import_.task_number > 0)
        and import_.status in PENDING
        and import_.attempt == 0
        and import_.judged is None
    )


def enqueue_shard(import_: Import, shard: Shard, services: Services) -> None:
    """Create the task that the ledger has planned for a shard.

    Raises:
        TryAgain: the queue could not be reached.
    """
    services.queue.create(
        LoadTask.of_shard(import_, shard), at=shard.scheduled_for or services.now()
    )


def enqueue_shards(import_: Import, services: Services) -> None:
    """Create the tasks that the ledger has planned for the shards that are next.

    Raises:
        TryAgain: Firestore or the queue could not be reached.
    """
    if import_.split is None:
        return
    shards = services.ledger.shards(import_.connection, import_.import_id, import_.split.id)
    for shard in next_of(import_.split, shards):
        enqueue_shard(import_, shard, services)


def mark_scheduled(import_: Import, services: Services) -> Import:
    """Record that the import's task is in the queue, unless the import has changed since.

    Raises:
        TryAgain: Firestore could not be reached.
    """

    def change(ledger: LedgerTransaction) -> Import:
        now = services.now()
        current = ledger.import_(import_.connection, import_.import_id)
        if (
            current is None
            or current.generation != import_.generation
            or current.task != import_.task
            or current.status not in ("received", "waiting", "overdue", "blocked")
        ):
            return current or import_
        marked = current.to("scheduled", now=now, text=sentences.scheduled(current, now))
        ledger.put(marked)
        return marked

    return services.ledger.transact(change)


def awaited_file(
    ledger: LedgerTransaction, waiting: Import, timing: pairing.Timing
) -> Import | None:
    """Return the file that an import waits for; None until it has arrived.

    If that file was rejected, return the loaded file that replaces it, if there is one.
    """
    first, last = pairing.awaited_range(waiting.import_id, window=timing.window)
    candidates = {
        candidate.import_id: candidate
        for candidate in ledger.imports_between(waiting.connection, first, last)
        if candidate.size
    }
    matching = pairing.matching_id(waiting.import_id, candidates, window=timing.window)
    if not matching:
        return None
    found = candidates[matching]
    if found.status == "rejected":
        later = pairing.later_range(found.import_id, window=timing.window)
        others = ledger.imports_between(waiting.connection, *later)
        return pairing.stand_in(found, others, window=timing.window) or found
    return found
