"""What is left in the bucket's folder `state/` that nobody needs any more, and how it is removed.

What splitting a file leaves holds rows, an index does not.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from google.api_core import exceptions
from requests.exceptions import RequestException

from shared import index_objects
from shared.errors import TryAgain
from shared.index_objects import reach
from shared.ledger import ENDED, Import
from shared.names import STATE
from shared.services import Services

ORPHANED = timedelta(days=1)
"""How old an object must be that no feed points at before the sweep removes it: longer than any
import may take from writing it to pointing at it."""


def remove_orphans(services: Services) -> int:
    """Remove what imports that never ended have left in `state/`; return how many objects.

    Raises:
        TryAgain: Cloud Storage or Firestore could not be reached.
    """
    oldest = services.now() - ORPHANED
    removed = 0
    used: dict[tuple[str, str], tuple[set[str], str | None]] = {}
    try:
        for blob in verdicts_last(services.bucket.list_blobs(prefix=f"{STATE}/")):
            _, *where, _ = [*blob.name.split("/"), ""][:4]
            if blob.time_created >= oldest or len(where) != 2:
                continue
            connection, of_type = where
            if (connection, of_type) not in used:
                # Looked at after the object was listed: an old one is not pointed at any more.
                used[connection, of_type] = _used(services, connection, of_type)
            pointed_at, split = used[connection, of_type]
            if blob.name in pointed_at or (
                split and blob.name.rpartition("/")[2].startswith(split)
            ):
                continue
            if is_verdict(blob.name):
                forget_shards(connection, blob.name, services)
            blob.delete(if_generation_match=blob.generation)
            removed += 1
    except (exceptions.NotFound, exceptions.PreconditionFailed):
        return removed  # another sweep is at it
    except (exceptions.GoogleAPICallError, exceptions.RetryError, RequestException) as error:
        raise TryAgain(f"Cloud Storage cannot be reached: {type(error).__name__}") from error
    return removed


def _used(services: Services, connection: str, type: str) -> tuple[set[str], str | None]:
    """Return the names of the objects of a feed's index, and the splitting that is being loaded."""
    feed = services.ledger.feed(connection, type)
    pointed_at = {part.object for part in feed.index.parts} if feed.index else set()
    holder = feed.index_held_by
    if holder is None:
        return pointed_at, None
    where = connection, holder.import_id
    import_ = services.ledger.get_many([where]).get(where)
    if import_ is None or import_.status in ENDED or import_.split is None:
        return pointed_at, None
    return pointed_at, import_.split.id


def remove_split(import_: Import, services: Services) -> None:
    """Remove what the splitting of an import that has ended has left, but for the index.

    What cannot be removed now, the sweep removes.
    """
    if import_.split is None or import_.type is None:
        return
    prefix = f"{index_objects.folder(import_.connection, import_.type)}{import_.split.id}"
    with suppress(TryAgain):
        index = services.ledger.feed(import_.connection, import_.type).index
        used = {part.object for part in index.parts} if index else set()
        _remove(services, import_.connection, prefix, but=used)


def remove_rows(services: Services, connection: str) -> None:
    """Remove all rows of a connection that are kept in `state/`, while none of its files is loaded.

    Files that are half loaded are split anew.

    Raises:
        TryAgain: Cloud Storage or Firestore could not be reached.
    """
    _remove(services, connection, f"{STATE}/{connection}/")


def _remove(
    services: Services, connection: str, prefix: str, *, but: Container[str] | None = None
) -> None:
    """Remove objects whose names begin like this, all but some, or else all that hold rows."""
    found = reach(lambda: list(services.bucket.list_blobs(prefix=prefix)), "looked for")
    for blob in verdicts_last(found):
        if blob.name.endswith(".index") if but is None else blob.name in but:
            continue
        if is_verdict(blob.name):
            forget_shards(connection, blob.name, services)
        try:
            blob.delete(if_generation_match=blob.generation)
        except (exceptions.NotFound, exceptions.PreconditionFailed):
            continue  # somebody else is at it
        except index_objects.FAULTS as error:
            raise TryAgain(f"Rows could not be removed: {type(error).__name__}") from error


def verdicts_last(found: Iterable[Any]) -> list[Any]:
    """Return objects in the order in which they may go: a verdict tells of shards in the ledger."""
    return sorted(found, key=lambda blob: is_verdict(blob.name))


def is_verdict(object: str) -> bool:
    """Whether an object is the verdict of a splitting."""
    return object.endswith(".verdict")


def forget_shards(connection: str, verdict: str, services: Services) -> None:
    """Delete the shards of a splitting from the ledger; it is known by its verdict's object.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    split = verdict.rpartition("/")[2].removesuffix(".verdict")
    import_id = split.rpartition("-")[0]
    for shard in services.ledger.shards(connection, import_id, split):
        services.ledger.delete_shard(shard)
