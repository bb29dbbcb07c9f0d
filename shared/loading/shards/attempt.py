"""The step of one shard: reads its rows, writes them as documents, and counts them."""

from __future__ import annotations

from dataclasses import replace

from shared.core import SplitLost
from shared.gcp.storage import Unusable
from shared.index import IndexPart, Successor, objects
from shared.ledger import (
    Claimed,
    Feed,
    LedgerTransaction,
    Shard,
    Span,
    StateObject,
    lease_to,
    new_owner,
    stay_leased,
    taken,
)
from shared.loading.attempt import Attempt, AttemptResult
from shared.loading.delivery import Delivery
from shared.loading.shards.spool import RejectedRows, SpreadRows
from shared.parsing import Plan, plain_problem
from shared.reporting import sentences

REPEATS = 100
"""Rows of a shard in a box of its result."""


def load_shard(attempt: Attempt) -> AttemptResult:
    """Load a shard, or leave the rest of the shard to a later task.

    Raises:
        FileRejected, Undecidable: the import can only end.
        SplitLost: the file must be split again.
        TryAgain: a later attempt may succeed.
        LeaseLost: the shard is no longer this worker's.
    """
    claimed = attempt.claimed
    shard, bucket = shard_of(claimed), attempt.services.bucket
    folder = objects.folder(claimed.import_.connection, str(claimed.import_.type))
    prefix = f"{folder}{claimed.split.id}-{shard.number:03}-"
    result = RejectedRows(bucket, f"{prefix}{new_owner()}.result", in_box=REPEATS)
    attempt.rejects = result
    part = IndexPart(
        span=Span(shard.rows_object.first, shard.rows_object.last),
        base=claimed.split.base,
        checkpoint=shard.checkpoint,
        prefix=prefix,
    )
    rows = SpreadRows(bucket, shard.rows_object, tick=attempt.hold.check)
    try:
        plan = attempt.found.take_up(rows)
        delivery, in_time = attempt.deliver(plan, part=part)
        counted = attempt.hold.rows
        if in_time and rows.count - plan.dropped != counted.settled:
            raise RuntimeError(f"of {rows.count} rows some are unaccounted for: {counted}")
        left = delivery.leave(ended=in_time)
        if not in_time:
            return _continue_later(attempt, left)
        return _end(attempt, left, result.close(_findings(attempt, plan, delivery), part.span))
    except Unusable as error:
        raise SplitLost("The rows of a shard are gone.") from error


def shard_of(claimed: Claimed) -> Shard:
    """Return the shard that was claimed."""
    if claimed.shard is None:
        raise ValueError("the whole import was claimed")
    return claimed.shard


def _findings(attempt: Attempt, plan: Plan, delivery: Delivery) -> dict[str, object]:
    """Return the findings of the shard that the join of the shards needs, as plain data."""
    return {
        "tally": attempt.found.tally.dump(),
        "repeated": plan.repeated,
        "orphans": delivery.orphans,
        "refused": {line: plain_problem(problem) for line, problem in delivery.refused.items()},
    }


def _end(attempt: Attempt, left: Successor, result: StateObject) -> AttemptResult:
    """Record the shard's end. The worker of the last shard takes over the import."""
    services, hold = attempt.services, attempt.hold
    (index,) = left.after.parts
    next_: Shard | None = None

    def change(ledger: LedgerTransaction, current: Claimed) -> Claimed:
        nonlocal next_
        now = services.now()
        feed = _feed(ledger, current, left)
        current = current.recounted(hold.rows)
        shard = replace(
            shard_of(current),
            status="loaded",
            lease=None,
            checkpoint=None,
            index=index,
            result=result,
            finished_at=now,
        )
        split = replace(current.split, ended=current.split.ended + 1)
        text = sentences.in_shards(split.ended, split.shards)
        import_ = replace(current.import_, split=split, status_text=text)
        next_ = _next_in_lane(ledger, current)
        if next_ is not None and next_.scheduled_for is None:
            next_ = replace(next_, scheduled_for=now)
            ledger.put_shard(next_)
        if split.ended < split.shards or taken(import_, now=now):
            import_ = stay_leased(ledger, import_, feed, now=now)
        else:
            until = now + services.deployment.lease
            import_ = lease_to(ledger, import_, hold.owner, until=until, feed=feed)
        return Claimed(import_, shard)

    changed = hold.change(change, done=lambda one: one.result == result)
    before = shard_of(attempt.claimed)
    for part in (before.checkpoint, before.rows_object):
        if part is not None:
            objects.delete(services.bucket, part)
    return AttemptResult(changed, next_)


def _next_in_lane(ledger: LedgerTransaction, current: Claimed) -> Shard | None:
    """Return the shard that is loaded after this one, if there is one that has not ended."""
    shard = shard_of(current)
    for number in current.split.lane(shard.number)[1:2]:
        after = ledger.shard(shard.connection, shard.import_id, shard.split, number)
        if after is not None and after.status != "loaded":
            return after
    return None


def _continue_later(attempt: Attempt, left: Successor) -> AttemptResult:
    """Leave the rest of a shard to a new task."""
    services, hold = attempt.services, attempt.hold
    before = shard_of(attempt.claimed).checkpoint
    (checkpoint,) = left.after.parts

    def change(ledger: LedgerTransaction, current: Claimed) -> Claimed:
        now = services.now()
        feed = _feed(ledger, current, left)
        current = current.recounted(hold.rows)
        shard = shard_of(current)
        shard = replace(
            shard.planned(now),
            status="scheduled",
            lease=None,
            checkpoint=checkpoint,
            attempt=attempt.attempts_after(shard.attempt),
        )
        return Claimed(stay_leased(ledger, current.import_, feed, now=now), shard)

    changed = hold.change(change, done=lambda one: one.checkpoint == checkpoint)
    if before is not None:
        objects.delete(services.bucket, before)
    return AttemptResult(changed, changed.shard)


def _feed(ledger: LedgerTransaction, current: Claimed, left: Successor) -> Feed:
    """Read the feed of a shard's import; return it with the pace that the shard has found."""
    feed = ledger.feed_of(current.import_)
    if feed.base() != current.split.base:
        raise SplitLost("Another file was loaded in the meantime.")
    return replace(feed, pace=left.pace or feed.pace)
