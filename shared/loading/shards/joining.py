"""The last step of a large file: joins the results of its shards, and ends the import."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from shared.core import Problem, SplitLost
from shared.gcp.storage import Unusable
from shared.index import Successor, fingerprint, following, objects
from shared.ledger import (
    Age,
    Claimed,
    Feed,
    LedgerTransaction,
    RowCounts,
    Shard,
    StateObject,
    lease_to_shards,
    next_of,
)
from shared.loading.attempt import Attempt, AttemptResult
from shared.loading.shards.spool import RejectedCells, read_findings
from shared.parsing import Tally, problem_of
from shared.reporting import in_shards

RESULT_READ_BYTES = 64 * 1024
"""Bytes read at a time of a shard's result. The results of all shards are read side by side."""


JOINED = 2_000_000
"""Records of an index that is joined into one object, 96 MB. Small files read an index of this size
again and again, and each object costs a request."""


def join(attempt: Attempt) -> AttemptResult:
    """End the import if all shards have ended; else let the shards continue.

    Raises:
        SplitLost: the shards cannot continue.
        TryAgain: a later attempt may succeed.
        LeaseLost: the import is no longer this worker's.
    """
    ledger, import_, split = attempt.services.ledger, attempt.import_, attempt.claimed.split
    shards = ledger.shards(import_.connection, import_.import_id, split.id)
    feed = ledger.feed_of(import_)
    _make_sure(attempt, feed, shards)
    if any(shard.status != "loaded" for shard in shards):
        current = attempt.hold.change(lambda ledger, now: _give_back(attempt, ledger, now))
        if current.shared:
            return AttemptResult(current)
        shards = ledger.shards(import_.connection, import_.import_id, split.id)
    try:
        return _join(attempt, feed, shards)
    except Unusable as error:
        raise SplitLost("The results of the shards are gone.") from error


def _make_sure(attempt: Attempt, feed: Feed, shards: list[Shard]) -> None:
    """Make sure that the shards can continue.

    Raises:
        SplitLost: the shards cannot continue.
    """
    holder, split = feed.index_held_by, attempt.claimed.split
    if feed.base() != split.base or len(shards) != split.shards:
        raise SplitLost("Another file was loaded in the meantime.")
    if holder is None or holder.under != fingerprint(attempt.found.rules):
        raise SplitLost("The rows would be read differently now.")
    for shard in shards:
        attempt.hold.check()
        for part in (shard.index, shard.result) if shard.result else (shard.rows_object,):
            if part is None or not objects.usable(attempt.services.bucket, part):
                raise SplitLost("What the shards go by is gone.")


def _give_back(attempt: Attempt, ledger: LedgerTransaction, current: Claimed) -> Claimed:
    """Let the shards continue that have not ended, each when its worker's lease is over.

    If all shards have ended meanwhile, the import is still this worker's.
    """
    now, import_, split = attempt.services.now(), current.import_, current.split
    shards = ledger.shards(import_.connection, import_.import_id, split.id)
    feed = ledger.feed_of(import_)
    if len(shards) != split.shards:
        raise SplitLost("Some shards are gone.")
    if all(shard.status == "loaded" for shard in shards):
        return current
    for shard in next_of(split, shards):
        lease = shard.lease
        ledger.put_shard(shard.planned(lease.expires_at if lease and lease.live(now) else now))
    rows = sum((shard.rows for shard in shards), RowCounts(rejected=split.rejected))
    given = lease_to_shards(ledger, import_, feed, now=now).to(
        "loading",
        now=now,
        text=in_shards(split.ended, split.shards),
        rows=replace(rows, read=split.read),
    )
    return Claimed(given)


def _join(attempt: Attempt, feed: Feed, shards: list[Shard]) -> AttemptResult:
    """End the import with the findings of its splitting and of its shards."""
    found, account, split = attempt.found, attempt.account, attempt.claimed.split
    found.read_header()
    found.read, found.rejected = split.read, split.rejected
    _take_verdict(attempt)
    joined = Tally()
    repeated, orphans = 0, []
    refused: dict[int, Problem] = {}
    for shard in shards:
        account.loaded += shard.rows.loaded
        account.unchanged += shard.rows.unchanged
        account.outdated += shard.rows.outdated
        account.refused += shard.rows.rejected
        account.orphaned += shard.rows.orphaned
        findings = next(one for one in _left_by(attempt, shard) if isinstance(one, dict))
        joined.absorb(findings["tally"])
        repeated += findings["repeated"]
        orphans += findings["orphans"]
        refused |= {line: problem_of(one) for line, one in findings["refused"].items()}
    found.note_repeated(repeated)
    found.tally.absorb(joined.dump())
    attempt.note_orphans(orphans)
    repeats = (_repeats(attempt, shard) for shard in shards)
    _reject(attempt, heapq.merge(*repeats, key=lambda row: row[1][0][2] or 0))
    return attempt.end_well(refused, _joined_index(attempt, feed, shards))


def _take_verdict(attempt: Attempt) -> None:
    """Add the findings of the splitting."""
    verdict = attempt.claimed.split.verdict
    for one in read_findings(attempt.services.bucket, verdict, tick=attempt.hold.check):
        if isinstance(one, dict):
            attempt.found.tally.absorb(one["tally"])
            attempt.found.left_out = one.get("leftOut", 0)
        else:
            _reject(attempt, one)


def _reject(attempt: Attempt, rows: Sequence[RejectedCells] | Iterator[RejectedCells]) -> None:
    for cells, problems, export in rows:
        attempt.reject(cells, [*map(problem_of, problems)], export)


def _repeats(attempt: Attempt, shard: Shard) -> Iterator[RejectedCells]:
    """Yield the good rows of a shard that belong in the rejected file, in the order of the file."""
    for one in _left_by(attempt, shard):
        if not isinstance(one, dict):
            yield from one


def _left_by(attempt: Attempt, shard: Shard) -> Iterator[list[RejectedCells] | dict[str, Any]]:
    if shard.result is None:
        raise Unusable(shard.rows_object.object)
    bucket, tick = attempt.services.bucket, attempt.hold.check
    return read_findings(bucket, shard.result, tick=tick, read_bytes=RESULT_READ_BYTES)


def _joined_index(attempt: Attempt, feed: Feed, shards: Sequence[Shard]) -> Successor:
    """Return the index that all shards together leave."""
    before, mark = feed.index, feed.index_held_by
    parts = tuple(shard.index for shard in shards if shard.index is not None)
    after = following(
        before,
        parts=_joined_parts(attempt, parts) if objects.count(parts) <= JOINED else parts,
        newest=Age(attempt.named.exported_at, attempt.import_.generation),
        clean=mark is not None and mark.clean,
        now=attempt.services.now(),
    )
    return Successor(before, mark, after, holder=None)


def _joined_parts(attempt: Attempt, parts: tuple[StateObject, ...]) -> tuple[StateObject, ...]:
    bucket, tick = attempt.services.bucket, attempt.hold.check
    folder = objects.folder(attempt.import_.connection, str(attempt.import_.type))
    blocks = objects.layered(parts, partial(objects.read, bucket, tick=tick))
    return (objects.write(bucket, folder, blocks, tick=tick),)
