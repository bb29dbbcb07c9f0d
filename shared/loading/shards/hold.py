"""Who may work on a shard: its tasks, and a worker's hold on it, begun, renewed and given up.

As long as its shards are at work, an import is held in the name of its splitting: each of them
renews that, so that no other import of the type begins; none of them needs the others for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.core import Problem, SplitLost, TryAgain
from shared.ledger import (
    ENDED,
    HELD,
    TOLD,
    Feed,
    Hold,
    Import,
    Lease,
    LedgerStore,
    LedgerTransaction,
    LoadTask,
    RowCounts,
    Running,
    Shard,
    Split,
    new_owner,
    recounted,
    release_feed,
)
from shared.reporting import FAILED_TODO, raise_alert, sentences
from shared.scheduling import EARLY, Begun, Rests, begin_within, plan_task
from shared.services import Services


@dataclass(frozen=True, slots=True)
class ShardBegun:
    """The shard is this worker's: it holds the lease that the shard names."""

    import_: Import
    shard: Shard


@dataclass(frozen=True, slots=True)
class ShardRests:
    """There is nothing to do for the shard now; some tasks are to be made sure of."""

    import_: Import
    shard: Shard
    why: str


def begin_shard(task: LoadTask, services: Services) -> ShardBegun | ShardRests | Begun | Rests:
    """Take the shard that a task is about, or the whole import if all its shards have ended.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    owner = new_owner()
    return services.ledger.transact(lambda ledger: _begin(ledger, task, services, owner))


def _begin(
    ledger: LedgerTransaction, task: LoadTask, services: Services, owner: str
) -> ShardBegun | ShardRests | Begun | Rests:
    now = services.now()
    deployment = services.deployment
    current = ledger.import_(task.connection, task.import_id)
    if current is None:
        return Rests(None, "unknown import")
    if current.generation != task.generation:
        return Rests(None, "superseded")
    if current.status in ENDED:
        return Rests(current, "ended")
    split = current.split
    if split is None or split.id != task.split:
        return Rests(None, "split anew")
    if split.ended == split.shards:
        return begin_within(ledger, task, services, owner)
    shard = ledger.shard(task.connection, task.import_id, split.id, task.shard)
    if shard is None or current.status != "loading" or current.lease is None:
        return Rests(current, "not loading")
    if shard.status == "loaded":
        return ShardRests(current, shard, "ended")
    if shard.lease is not None and shard.lease.live(now):
        # See `shared.scheduling.beginning`: a task that came too early is answered as done.
        if shard.scheduled_for is None or shard.scheduled_for < shard.lease.expires_at:
            shard = shard.planned(shard.lease.expires_at)
            ledger.put_shard(shard)
        return ShardRests(current, shard, "at work")
    if shard.scheduled_for is None or shard.scheduled_for > now + EARLY:
        return ShardRests(current, shard, "not due")
    if not current.lease.live(now):
        # Nobody has said anything for long: whether the import may go on is decided anew.
        planned = plan_task(current, at=now)
        ledger.put(planned)
        return Rests(planned, "not held")
    if current.lease.owner != split.id:
        return Rests(None, "another worker sees to all shards")
    feed = ledger.feed(current.connection, str(current.type))
    if feed.base() != split.base:
        return Rests(split_anew(ledger, current, now=now), "split anew")
    if shard.attempt >= deployment.max_attempts:
        return Rests(_give_up(ledger, current, shard, services), "out of attempts")
    current, shard = recounted(current, shard, RowCounts())
    shard = replace(
        shard,
        status="loading",
        attempt=shard.attempt + 1,
        lease=Lease(owner=owner, expires_at=now + deployment.lease),
        started_at=now,
    )
    current = hold_on(ledger, current, feed, now=now)
    ledger.put(current)
    ledger.put_shard(shard)
    return ShardBegun(current, shard)


def _give_up(
    ledger: LedgerTransaction, current: Import, shard: Shard, services: Services
) -> Import:
    text = sentences.failed(shard.attempt)
    return fail(
        ledger, current, Problem(code="system.worker_lost", message=text), services=services
    )


def fail(
    ledger: LedgerTransaction, current: Import, problem: Problem, *, services: Services
) -> Import:
    """End an import as failed because one of its shards cannot be loaded."""
    now = services.now()
    release_feed(ledger, current)
    failed = current.end(
        "failed",
        now=now,
        text=problem.message,
        keep=services.deployment.ledger_retention,
        error=problem,
    )
    ledger.put(failed)
    raise_alert(ledger, "failed", failed, todo=FAILED_TODO, now=now)
    return failed


def split_anew(ledger: LedgerTransaction, current: Import, *, now: datetime) -> Import:
    """Send an import back whose shards cannot go on."""
    release_feed(ledger, current)
    sent_back = plan_task(current, at=now).to(
        "scheduled", now=now, text=sentences.split_anew(), lease=None, split=None
    )
    ledger.put(sent_back)
    return sent_back


def hold_on(
    ledger: LedgerTransaction,
    current: Import,
    feed: Feed,
    *,
    now: datetime,
    owner: str | None = None,
    span: timedelta = HELD,
) -> Import:
    """Return the import held for so long by a worker, or else in the name of its splitting.

    Raises:
        TryAgain: another import of the type has begun.
    """
    if feed.running is not None and feed.running.import_id != current.import_id:
        raise TryAgain(f"{feed.running.import_id} has begun in the meantime.")
    if owner is None:
        if current.split is None:
            raise ValueError("the import has no shards")
        owner = current.split.id
    expires_at = now + span
    running = Running(import_id=current.import_id, owner=owner, expires_at=expires_at)
    ledger.put_feed(replace(feed, running=running))
    return replace(current, lease=Lease(owner=owner, expires_at=expires_at))


def taken(current: Import, *, now: datetime) -> bool:
    """Whether one worker has the whole import, to see to all its shards."""
    lease, split = current.lease, current.split
    return lease is not None and lease.live(now) and split is not None and lease.owner != split.id


def still_held(ledger: LedgerTransaction, current: Import, feed: Feed, *, now: datetime) -> Import:
    """Return the import held on in the name of its splitting, unless a worker has it.

    Raises:
        TryAgain: another import of the type has begun.
    """
    if taken(current, now=now):
        ledger.put_feed(feed)
        return current
    return hold_on(ledger, current, feed, now=now)


def next_of(split: Split, shards: Iterable[Shard]) -> Iterator[Shard]:
    """Give of each lane the first shard that has not ended."""
    by_number = {shard.number: shard for shard in shards}
    for first in range(min(split.at_once, split.shards)):
        for number in split.lane(first):
            shard = by_number.get(number)
            if shard is not None and shard.status != "loaded":
                yield shard
                break


def enqueue_shard(import_: Import, shard: Shard, services: Services) -> None:
    """Create the task that the ledger has decided upon for a shard.

    Raises:
        TryAgain: the queue could not be reached.
    """
    services.queue.create(
        LoadTask.of_shard(import_, shard), at=shard.scheduled_for or services.now()
    )


def enqueue_shards(import_: Import, services: Services) -> None:
    """Create the tasks that the ledger has decided upon for the shards that are to be next.

    Raises:
        TryAgain: Firestore or the queue could not be reached.
    """
    split = import_.split
    if split is None:
        return
    shards = services.ledger.shards(import_.connection, import_.import_id, split.id)
    for shard in next_of(split, shards):
        enqueue_shard(import_, shard, services)


ShardChange = Callable[[LedgerTransaction, Import, Shard], tuple[Import, Shard]]


class ShardHold(Hold):
    """The lease of a worker that is at work on a shard.

    Its `check` makes sure of the whole import, too.
    """

    def __init__(
        self,
        ledger: LedgerStore,
        begun: ShardBegun,
        *,
        now: Callable[[], datetime],
        lease: timedelta,
    ) -> None:
        super().__init__(ledger, begun.import_, now=now, lease=lease, held=begun.shard.lease)
        self.shard = begun.shard

    def change_shard(
        self, change: ShardChange, *, done: Callable[[Shard], bool] = lambda shard: False
    ) -> tuple[Import, Shard]:
        """Change import and shard in a transaction that makes sure the shard is this worker's.

        `done` says whether this has been done before: the answer may have been lost.

        Raises:
            LeaseLost: it is not, or the import is over; nothing was changed.
            TryAgain: Firestore could not be reached.
        """
        mine, split = self.shard, self.import_.split

        def owned(ledger: LedgerTransaction) -> tuple[Import, Shard] | None:
            current = ledger.import_(mine.connection, mine.import_id)
            if (
                current is None
                or current.generation != self.import_.generation
                or current.status != "loading"
                or current.split is None
                or split is None
                or current.split.id != split.id
            ):
                return None
            shard = ledger.shard(mine.connection, mine.import_id, split.id, mine.number)
            if shard is not None and done(shard):
                return current, shard
            if shard is None or shard.lease is None or shard.lease.owner != self._owner:
                return None
            changed, shard = change(ledger, current, shard)
            if changed != current:
                ledger.put(changed)
            ledger.put_shard(shard)
            return changed, shard

        found = self._ledger.transact(owned)
        if found is None:
            raise self._lose()
        return found

    def _renew(self) -> Import:
        def renew(ledger: LedgerTransaction, current: Import, shard: Shard) -> tuple[Import, Shard]:
            now = self._now()
            shard = replace(shard, lease=Lease(owner=self._owner, expires_at=now + self._lease))
            lease, split = current.lease, current.split
            if lease is None or split is None:
                raise TryAgain("The import is not held.")
            own = lease.owner == split.id
            if (own and lease.expires_at < now + HELD - TOLD) or not lease.live(now):
                feed = ledger.feed(current.connection, str(current.type))
                if feed.base() != split.base:
                    raise SplitLost("Another file was loaded in the meantime.")
                current, shard = recounted(current, shard, self.rows)
                current = hold_on(ledger, current, feed, now=now)
            return current, shard

        import_, self.shard = self.change_shard(renew)
        return import_
