"""Retention: deletes processed files and reports that are older than their settings allow."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from shared.core import Apart
from shared.gcp.storage import delete_if_there, list_objects
from shared.reporting.reports import part_name
from shared.services import Services

BROKEN_OFF = timedelta(days=1)
"""Age at which an unpublished rejected file is deleted: longer than any attempt takes."""

DELETED_AT_ONCE = 1_000
"""Largest number of objects that one sweep deletes per folder. The next sweep continues."""


def clean_up(services: Services) -> int:
    """Delete processed files and reports after their retention; return the number of objects.

    In the cloud the bucket's lifecycle does the same. Unpublished rejected files of interrupted
    attempts are deleted even with `CLEANUP=off`.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    deployment = services.deployment
    deleted = _delete(services, "rejected/", BROKEN_OFF, ending=part_name(""))
    if deployment.cleanup:
        deleted += _delete(services, "processed/", deployment.processed_retention)
        for folder in ("rejected/", "reports/"):
            deleted += _delete(services, folder, deployment.reports_retention)
    return deleted


def _delete(services: Services, folder: str, kept: timedelta, *, ending: str = "") -> int:
    deleted, apart = 0, Apart("An object could not be deleted.")
    oldest = services.now() - kept
    for blob in list_objects(services.bucket, folder):
        if not blob.name.endswith(ending):
            continue
        if blob.time_created >= oldest or deleted >= DELETED_AT_ONCE:
            continue
        act = partial(delete_if_there, services.bucket, blob.name, blob.generation)
        deleted += bool(apart(act, object=blob.name))
    apart.end()
    return deleted
