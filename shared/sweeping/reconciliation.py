"""Reconciliation of bucket and ledger: takes in forgotten objects, moves ended files away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from shared.core import Apart, log
from shared.files import KEPT_FOLDERS, OWN_FOLDERS, REFUSALS, ExportFile, Misnamed, read_name
from shared.gcp import StorageObject
from shared.gcp.storage import list_objects, list_outside
from shared.ledger import ENDED_WELL, Import
from shared.ledger.uploads import put_aside
from shared.loading import follow_up
from shared.scheduling import arrival, is_newer, take_in, take_note
from shared.services import Services

GRACE = timedelta(minutes=10)
"""Age at which an object without an import counts as one whose event was lost."""

MARGIN = timedelta(hours=1)
"""Age of the youngest object that later sweeps need not compare after a sweep that compared all. It
is longer than `GRACE`, and clocks may differ by the rest."""

LOOKED_AT = 50_000
"""Largest number of objects that one sweep compares. Files of ended imports are moved away, so only
rejected and waiting files add up."""

_KEPT = tuple(f"{folder}/" for folder in (*KEPT_FOLDERS, *OWN_FOLDERS))
_BATCH = 200


def reconcile(services: Services, *, compared: datetime | None) -> dict[str, int]:
    """Take in every object whose event was lost, and move files of ended imports away.

    Notes of the gateway whose event was lost are taken, too.

    Args:
        services: bucket, ledger, queue and clock.
        compared: the time at which all objects were compared. Only later objects are compared
            again. None: all.

    Returns:
        Numbers of objects: `found` without an import, `moved` after a good end, and put `aside`
        because a newer upload of another name had superseded them.

    Raises:
        TryAgain: Cloud Storage, Firestore or the queue could not be reached.
    """
    counts = {"found": 0, "moved": 0, "aside": 0}
    apart = Apart("An object could not be compared with the ledger.")
    latest = services.now() - GRACE
    arrivals = _arrivals(services, since=compared and compared - MARGIN)
    objects = islice(arrivals, LOOKED_AT)
    while batch := list(islice(objects, _BATCH)):
        known = services.ledger.get_many(
            {(named.connection, named.import_id) for _, named in batch}
        )
        for arrived, named in batch:
            import_ = known.get((named.connection, named.import_id))
            act = partial(_reconcile, arrived, named, import_, services, latest=latest)
            done = apart(act, object=arrived.name)
            if done is not None:
                counts[done] += 1
    if next(arrivals, None) is not None:
        log(
            "ERROR",
            f"More than {LOOKED_AT:,} files are in the upload folders, and the sweep checks only "
            "that many for lost events: remove files that were rejected long ago.",
        )
    for note in islice(list_objects(services.bucket, f"{REFUSALS}/"), _BATCH):
        if note.time_created <= latest:
            taken = apart(partial(take_note, note.name, services), object=note.name)
            counts["found"] += taken is not None
    apart.end()
    return counts


def _reconcile(
    arrived: StorageObject,
    named: ExportFile | Misnamed,
    import_: Import | None,
    services: Services,
    *,
    latest: datetime,
) -> str | None:
    """Compare one object with its import and act; return the key of `reconcile`'s counts.

    Return None if nothing had to be done.
    """
    if import_ is not None and import_.generation == arrived.generation:
        if import_.status in ENDED_WELL and _over(import_.finished_at, latest):
            follow_up(import_, services)
            return "moved"
        return None
    if arrived.uploaded_at > latest:
        return None
    if import_ is not None and not is_newer(arrived, import_, services.now()):
        if not isinstance(named, ExportFile):
            return None
        put_aside(services.bucket, named, arrived.generation)
        return "aside"
    taken = take_in(arrived, services)
    if taken is None or (import_ is not None and taken.generation == import_.generation):
        return None
    log(
        "WARNING",
        "Found by the sweep: the event of this object never came.",
        object=arrived.name,
        generation=arrived.generation,
    )
    return "found"


def _over(finished: datetime | None, latest: datetime) -> bool:
    return finished is not None and finished <= latest


def _arrivals(
    services: Services, *, since: datetime | None
) -> Iterator[tuple[StorageObject, ExportFile | Misnamed]]:
    """Yield the objects of export files outside the pipeline's own folders; None: of any age."""
    for blob in list_outside(services.bucket, _KEPT):
        if since is not None and blob.time_created < since:
            continue
        named = read_name(blob.name, arrival(blob.time_created, services))
        if isinstance(named, ExportFile | Misnamed):
            yield StorageObject.of_blob(blob, bucket=services.deployment.bucket), named
