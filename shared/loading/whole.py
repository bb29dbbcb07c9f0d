"""Load of a whole file in one task, which is the usual case."""

from __future__ import annotations

from itertools import chain

from shared.index import Successor
from shared.ledger import Claimed, LedgerTransaction
from shared.loading.attempt import Attempt, AttemptResult
from shared.reporting import sentences
from shared.scheduling import plan_task


def load(attempt: Attempt) -> AttemptResult:
    """Load a file, or leave the rest of the file to a later task.

    Raises:
        FileRejected, Undecidable: the import can only end.
        TryAgain: a later attempt may succeed.
        LeaseLost: the import is no longer this worker's.
    """
    attempt.note_same_content()
    plan = attempt.found.judge()
    if attempt.import_.mode == "test":
        for block in chain.from_iterable(attempt.found.layers(plan)):
            attempt.account.unchanged += sum(map(len, block.lines))
        return attempt.end_well()
    if not plan.documents:
        return attempt.end_well()
    delivery, in_time = attempt.deliver(plan)
    attempt.note_orphans(delivery.orphans)
    left = delivery.leave(ended=in_time)
    if in_time:
        return attempt.end_well(delivery.refused, left)
    return _continue_later(attempt, left)


def _continue_later(attempt: Attempt, checkpoint: Successor) -> AttemptResult:
    """Leave the rest of a file to a new task."""
    services, hold = attempt.services, attempt.hold
    now = services.now()

    def change(ledger: LedgerTransaction, current: Claimed) -> Claimed:
        import_ = current.import_
        # The feed is this import's until its next task has begun.
        ledger.put_feed(checkpoint.installed_in(ledger.feed_of(import_)))
        return Claimed(
            plan_task(import_, at=now).to(
                "scheduled",
                now=now,
                text=sentences.goes_on(hold.rows),
                lease=None,
                attempt=attempt.attempts_after(import_.attempt),
                rows=hold.rows,
                progress=hold.progress,
            )
        )

    changed = hold.change(change)
    checkpoint.clean_up(services)
    return AttemptResult(changed)
