"""Removal of objects in the bucket's folder `state/` that are no longer needed.

Objects from the splitting of a file hold rows. An index holds no rows.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from contextlib import suppress
from typing import Any

from shared.core import TryAgain
from shared.files import STATE
from shared.gcp.storage import delete_if_there, list_objects
from shared.index import objects
from shared.ledger import Import
from shared.services import Services


def remove_split(import_: Import, services: Services) -> None:
    """Remove the objects from the splitting of an ended import, except the index.

    Objects that cannot be removed now are removed by the sweep.
    """
    if import_.split is None or import_.type is None:
        return
    prefix = f"{objects.folder(import_.connection, import_.type)}{import_.split.id}"
    with suppress(TryAgain):
        index = services.ledger.feed(import_.connection, import_.type).index
        used = {part.object for part in index.parts} if index else set()
        _remove(services, import_.connection, prefix, but=used)


def remove_rows(services: Services, connection: str) -> None:
    """Remove all rows of a connection that are kept in `state/`, while none of its files is loaded.

    Files that are half loaded are split again.

    Raises:
        TryAgain: Cloud Storage or Firestore could not be reached.
    """
    _remove(services, connection, f"{STATE}/{connection}/")


def _remove(
    services: Services, connection: str, prefix: str, *, but: Container[str] | None = None
) -> None:
    """Remove the objects whose names begin with `prefix`, except those in `but`.

    If `but` is None, remove all that hold rows: all except indexes.
    """
    for blob in verdicts_last(list_objects(services.bucket, prefix)):
        if blob.name.endswith(".index") if but is None else blob.name in but:
            continue
        if is_verdict(blob.name):
            forget_shards(connection, blob.name, services)
        delete_if_there(services.bucket, blob.name, blob.generation)


def verdicts_last(found: Iterable[Any]) -> list[Any]:
    """Sort objects in the order of removal: verdicts last, as they name shards in the ledger."""
    return sorted(found, key=lambda blob: is_verdict(blob.name))


def is_verdict(object: str) -> bool:
    """True for the verdict of a splitting."""
    return object.endswith(".verdict")


def forget_shards(connection: str, verdict: str, services: Services) -> None:
    """Delete the shards of a splitting, named by its verdict's object, from the ledger.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    split = verdict.rpartition("/")[2].removesuffix(".verdict")
    import_id = split.rpartition("-")[0]
    for shard in services.ledger.shards(connection, import_id, split):
        services.ledger.delete_shard(shard)
