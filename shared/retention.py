"""How long files and reports are kept, and what is deleted when their time is over."""

from __future__ import annotations

from datetime import timedelta

from google.api_core import exceptions
from requests.exceptions import RequestException

from shared.errors import TryAgain
from shared.services import Services

DELETED_AT_ONCE = 1_000
"""Objects that one sweep deletes at most; the rest are left to the next."""


def clean_up(services: Services) -> int:
    """Delete processed files and reports that have been kept long enough; return how many.

    In the cloud the bucket's own lifecycle does the same; whoever comes first, wins.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    deployment = services.deployment
    if not deployment.cleanup:
        return 0
    return _delete(services, "processed/", deployment.processed_retention) + _delete(
        services, "rejected/", deployment.reports_retention
    )


def _delete(services: Services, folder: str, kept: timedelta) -> int:
    deleted = 0
    oldest = services.now() - kept
    try:
        for blob in services.bucket.list_blobs(prefix=folder):
            if blob.time_created < oldest and deleted < DELETED_AT_ONCE:
                try:
                    blob.delete(if_generation_match=blob.generation)
                except (exceptions.NotFound, exceptions.PreconditionFailed):
                    continue
                deleted += 1
    except (exceptions.GoogleAPICallError, exceptions.RetryError, RequestException) as error:
        raise TryAgain(f"Cloud Storage cannot be reached: {type(error).__name__}") from error
    return deleted
