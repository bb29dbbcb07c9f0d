"""The first step of a large file: reads and judges all rows, and spreads them over shards."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

from shared.core import LeaseLost
from shared.index import fingerprint, look_at, marked, objects
from shared.ledger import (
    Claimed,
    LedgerTransaction,
    Progress,
    RowCounts,
    Shard,
    Split,
    StateObject,
    lease_to_shards,
    shards_of,
)
from shared.loading.attempt import Attempt, AttemptResult
from shared.loading.shards.spool import Spread
from shared.reporting import sentences


def split(attempt: Attempt) -> AttemptResult:
    """Split the file. The import is then leased to its shards.

    Raises:
        FileRejected: see `Attempt.refuse`.
        TryAgain: a later attempt may succeed.
        LeaseLost: the import is no longer this worker's.
    """
    import_, services, found = attempt.import_, attempt.services, attempt.found
    shards = shards_of(import_.size, shard_bytes=services.deployment.shard_bytes)
    folder = objects.folder(import_.connection, str(import_.type))
    id = f"{import_.import_id}-{uuid.uuid4().hex}"
    attempt.note_same_content()
    spread = Spread(services.bucket, f"{folder}{id}", shards)
    attempt.rejects = spread.verdict
    try:
        found.spread(spread)
        verdict, spread_rows = spread.close(
            broken=found.broken,
            too_large=found.too_large,
            findings={"tally": found.tally.dump(), "leftOut": found.left_out},
        )
    finally:
        spread.abandon()
    try:
        return AttemptResult(_open(attempt, id, verdict, spread_rows))
    except LeaseLost:
        # This worker may have given the lease to the shards, and the answer was lost.
        current = services.ledger.import_(import_.connection, import_.import_id)
        if current is None or current.split is None or current.split.id != id:
            raise
        return AttemptResult(Claimed(current))


def _open(
    attempt: Attempt, id: str, verdict: StateObject, spread_rows: Sequence[StateObject]
) -> Claimed:
    """Mark the index, write the shards into the ledger, and lease the import to them."""
    services, found = attempt.services, attempt.found
    deployment = services.deployment
    before = services.ledger.feed_of(attempt.import_)
    index, until = look_at(before, services, tick=attempt.hold.check)

    def change(ledger: LedgerTransaction, current: Claimed) -> Claimed:
        now, import_ = services.now(), current.import_
        feed = ledger.feed_of(import_)
        under = fingerprint(found.rules)
        feed, _ = marked(feed, import_, read=before.index, index=index, until=until, under=under)
        split = Split(
            id=id,
            shards=len(spread_rows),
            at_once=deployment.shards_at_once,
            read=found.read,
            rejected=found.rejected,
            base=feed.base(),
            verdict=verdict,
        )
        for number, object in enumerate(spread_rows):
            ledger.put_shard(
                Shard(
                    connection=import_.connection,
                    import_id=import_.import_id,
                    number=number,
                    split=id,
                    rows_object=object,
                    scheduled_for=now if number < split.at_once else None,
                    expire_at=now + deployment.ledger_retention,
                )
            )
        opened = lease_to_shards(ledger, replace(import_, split=split), feed, now=now)
        return Claimed(
            opened.to(
                "loading",
                now=now,
                text=sentences.in_shards(0, split.shards),
                rows=RowCounts(read=found.read, rejected=found.rejected),
                progress=Progress(bytes_read=import_.size, percent=50),
            )
        )

    return attempt.hold.change(change)
