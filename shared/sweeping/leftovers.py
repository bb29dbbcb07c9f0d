"""Removes objects in the bucket's folder `state/` that imports without an end have left."""

from __future__ import annotations

from datetime import timedelta

from shared.files import STATE
from shared.gcp.storage import Gone, delete_object, list_objects
from shared.ledger import ENDED
from shared.loading.shards.cleanup import forget_shards, is_verdict, verdicts_last
from shared.services import Services

ORPHANED = timedelta(days=1)
"""Age at which an object that no feed names is removed. It is longer than any import takes from
writing an object to naming it."""


def remove_orphans(services: Services) -> int:
    """Remove old objects in `state/` that no feed or running import uses; return their number.

    Raises:
        TryAgain: Cloud Storage or Firestore could not be reached.
    """
    oldest = services.now() - ORPHANED
    removed = 0
    used: dict[tuple[str, str], tuple[set[str], str | None]] = {}
    try:
        for blob in verdicts_last(list_objects(services.bucket, f"{STATE}/")):
            _, *where, _ = [*blob.name.split("/"), ""][:4]
            if blob.time_created >= oldest or len(where) != 2:
                continue
            connection, of_type = where
            if (connection, of_type) not in used:
                # Read after the listing: an old object that is unused now is never used again.
                used[connection, of_type] = _used(services, connection, of_type)
            pointed_at, split = used[connection, of_type]
            if blob.name in pointed_at or (
                split and blob.name.rpartition("/")[2].startswith(split)
            ):
                continue
            if is_verdict(blob.name):
                forget_shards(connection, blob.name, services)
            delete_object(services.bucket, blob.name, blob.generation)
            removed += 1
    except Gone:
        return removed  # another sweep is removing them at the same time
    return removed


def _used(services: Services, connection: str, type: str) -> tuple[set[str], str | None]:
    """Return the object names of a feed's index, and the id of the splitting being loaded."""
    feed = services.ledger.feed(connection, type)
    pointed_at = {part.object for part in feed.index.parts} if feed.index else set()
    holder = feed.index_held_by
    if holder is None:
        return pointed_at, None
    import_ = services.ledger.import_(connection, holder.import_id)
    if import_ is None or import_.status in ENDED or import_.split is None:
        return pointed_at, None
    return pointed_at, import_.split.id
