"""How long files and reports are kept, and what is deleted when their time is over."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import google.cloud.storage as storage

from shared.core import Apart
from shared.gcp.storage import Gone, delete_object, list_objects
from shared.reporting.reports import part_name
from shared.services import Services

BROKEN_OFF = timedelta(days=1)
"""How old a rejected file must be that was never published before it is deleted: longer than any
attempt takes."""

DELETED_AT_ONCE = 1_000
"""Objects that one sweep deletes at most; the rest are left to the next."""


def clean_up(services: Services) -> int:
    """Delete processed files and reports that have been kept long enough; return how many.

    In the cloud the bucket's own lifecycle does the same; whoever comes first, wins. What attempts
    that broke off have left of a rejected file is deleted in any case.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    deployment = services.deployment
    deleted = _delete(services, "rejected/", BROKEN_OFF, ending=part_name(""))
    if deployment.cleanup:
        deleted += _delete(services, "processed/", deployment.processed_retention)
        deleted += _delete(services, "rejected/", deployment.reports_retention)
    return deleted


def _delete(services: Services, folder: str, kept: timedelta, *, ending: str = "") -> int:
    deleted, apart = 0, Apart("An object could not be deleted.")
    oldest = services.now() - kept
    for blob in list_objects(services.bucket, folder):
        if not blob.name.endswith(ending):
            continue
        if blob.time_created >= oldest or deleted >= DELETED_AT_ONCE:
            continue
        act = partial(_delete_one, services.bucket, blob)
        deleted += bool(apart(act, object=blob.name))
    apart.end()
    return deleted


def _delete_one(bucket: storage.Bucket, blob: storage.Blob) -> bool:
    try:
        delete_object(bucket, blob.name, blob.generation)
    except Gone:
        return False
    return True
