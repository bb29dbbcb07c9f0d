"""Arrivals: the object in the bucket, limits for its name, and its record in the ledger."""

from __future__ import annotations

from datetime import datetime, tzinfo
from urllib.parse import urlencode

from shared.core import SettingsError
from shared.files import Arrival, ExportFile, Ignored, Misnamed, read_name
from shared.gcp import StorageObject
from shared.ledger import Import
from shared.services import Services


def lying_there(name: str, services: Services) -> StorageObject | None:
    """Return the current generation of an object in the bucket; None if there is none.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    # Imported here: an event for an object that is ignored needs no client.
    from shared.gcp.storage import find_object

    blob = find_object(services.bucket, name)
    return None if blob is None else StorageObject.of_blob(blob, bucket=services.deployment.bucket)


def read_arrived(arrived: StorageObject, services: Services) -> ExportFile | Ignored | Misnamed:
    """Return the export file that an uploaded object's name describes, or why there is none.

    Raises:
        TryAgain: Firestore could not be reached.
    """
    named = read_name(arrived.name, arrival(arrived.uploaded_at, services))
    if isinstance(named, Ignored | ExportFile):
        return named
    # The connection's time zone is read only here: it is needed to suggest a right name.
    zone = zone_of(named.connection, services)
    return read_name(arrived.name, arrival(arrived.uploaded_at, services, zone=zone))


def zone_of(connection: str, services: Services) -> tzinfo:
    """Return a connection's time zone; the deployment's if the settings have errors."""
    try:
        return services.settings_of(connection).time_zone
    except SettingsError:
        return services.deployment.time_zone


def arrival(at: datetime, services: Services, *, zone: tzinfo | None = None) -> Arrival:
    """Return the limits for the name of a file that was uploaded at `at`."""
    deployment = services.deployment
    return Arrival(at, deployment.future_tolerance, zone or deployment.time_zone)


def is_newer(arrived: StorageObject, current: Import, now: datetime) -> bool:
    """Return True if this upload takes over from the one in the ledger; events come in any order.

    A later upload takes over. If the recorded upload does not exist, every other upload takes over:
    it is not in the bucket and its time is in the future.
    """
    gone = current.error is not None and current.error.code == "file.gone"
    if gone and current.uploaded_at > now:
        return arrived.generation != current.generation
    return (arrived.uploaded_at, arrived.generation) > (current.uploaded_at, current.generation)


def recorded(named: ExportFile | Misnamed, arrived: StorageObject, services: Services) -> Import:
    """Return the import of an upload, as yet without a status of its own."""
    url = services.deployment.status_url
    asked = urlencode({"connection": named.connection, "import": named.import_id})
    return Import(
        connection=named.connection,
        import_id=named.import_id,
        file=named.file,
        object=named.object,
        bucket=arrived.bucket,
        generation=arrived.generation,
        type=named.type,
        mode=named.mode,
        exported_at=named.exported_at if isinstance(named, ExportFile) else None,
        uploaded_at=arrived.uploaded_at,
        size=arrived.size,
        crc32c=arrived.crc32c,
        link=f"{url}?{asked}" if url else None,
    )
