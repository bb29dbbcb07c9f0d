"""End of an undoing: removes the import from the index, and records the undoing in the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from shared.core import LeaseLost, TryAgain
from shared.gcp.storage import Unusable
from shared.index import IndexRecords, look_at, merged, objects, stamp_of
from shared.ledger import Age, Import, Index, LedgerTransaction
from shared.reporting import OUTDATED, resolve_alerts
from shared.services import Services
from shared.undoing.affected import AffectedKeys
from shared.undoing.exports import imports_that_count
from shared.undoing.hold import FeedHold
from shared.undoing.provenance import Author


def index_records(import_: Import, services: Services, hold: FeedHold) -> Iterator[IndexRecords]:
    """Yield the records of the present index of the import's feed; none if it cannot be used.

    Raises:
        TryAgain: the index was replaced while it was read.
    """
    index, _ = look_at(services.ledger.feed_of(import_), services, tick=hold.check)
    read = partial(objects.read, services.bucket, tick=hold.check)
    try:
        yield from objects.layered(index.parts if index else (), read)
    except Unusable as error:
        raise TryAgain("The index was lost in the meantime.") from error


def end(
    import_: Import,
    services: Services,
    hold: FeedHold,
    affected: AffectedKeys,
    *,
    gone: Sequence[Import],
    text: str,
) -> None:
    """Write an index without the import, record that the import is undone, and free the feed.

    Args:
        gone: imports whose files could not be read again.
        text: the sentence about the import for the ledger.

    Raises:
        LeaseLost: another import or a newer upload has begun.
        TryAgain: the index was replaced meanwhile.
    """
    mark, age = hold.mark, Author.of(import_).age
    assert mark is not None
    feed = services.ledger.feed_of(import_)
    index, until = look_at(feed, services, tick=hold.check)
    others = imports_that_count(services.ledger, import_)
    newest = max((one.age for one in others if one.age), default=None)
    after = None
    if index is not None and newest is not None:
        after = _index_without(import_, services, hold, affected, gone, index, newest)
    if until is not None and until == age:
        until = newest
    loads = [one.import_id for one in others if one.mode == "load"]
    now = services.now()

    def forget(ledger: LedgerTransaction) -> None:
        current = ledger.import_(import_.connection, import_.import_id)
        there = ledger.feed_of(import_)
        if current is not None and current.undone == now:
            return  # an earlier try, whose answer was lost
        there = hold.held_feed(ledger)
        if current is not None and current.generation != import_.generation:
            raise LeaseLost(f"{import_.import_id}: a newer upload has taken over.")
        if (there.index, there.index_held_by) != (feed.index, mark) or current is None:
            raise TryAgain("The index has been replaced in the meantime.")
        if there.latest == import_.import_id:
            there = replace(there, latest=max(loads, default=None), header=())
        ledger.put_feed(
            replace(
                there,
                index=after,
                index_held_by=None,
                running=None,
                confirmed_until=until,
            )
        )
        about = {"connection": import_.connection, "about": str(import_.type)}
        resolve_alerts(ledger, OUTDATED, now=now, **about)
        ledger.put(replace(current.saying(text, now=now), undone=now))

    services.ledger.transact(forget)
    for old in feed.index.parts if feed.index else ():
        objects.delete(services.bucket, old)


def _index_without(
    import_: Import,
    services: Services,
    hold: FeedHold,
    affected: AffectedKeys,
    gone: Sequence[Import],
    index: Index,
    newest: Age,
) -> Index:
    """Write an index without the import; `newest` is the age of the latest remaining file."""
    mark, age = hold.mark, Author.of(import_).age
    assert mark is not None
    lost = [
        stamp_of(one.age)
        for one in gone
        if one.age is not None and one.age.exported_at < age.exported_at
    ]
    records, table = index_records(import_, services, hold), affected.index_table(lost)
    blocks = merged(records, table, trusted=mark.clean)
    folder = objects.folder(import_.connection, str(import_.type))
    part = objects.write(services.bucket, folder, blocks, tick=hold.check)
    doubted_until = index.doubted_until if mark.clean else services.now()
    return Index(parts=(part,), newest=newest, doubted_until=doubted_until)
