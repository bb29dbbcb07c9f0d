"""Notes of the gateway about names that it has refused: each becomes an entry of the ledger.

A note is an object such as `refusals/au/20241120T03-6f1c2a9d04be77aa.json` with the content
`{"object": "pending/au/cust_20nov.csv"}`. It is taken like an upload of that name, of which nothing
was kept, and deleted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from shared.core import log
from shared.files import LONGEST_OBJECT, Misnamed
from shared.gcp import StorageObject
from shared.ledger import Import
from shared.scheduling.intake import lying_there, read_arrived, refuse
from shared.services import Services

LONGEST_NOTE = 8 * LONGEST_OBJECT
"""Bytes of the largest note: JSON writes a byte of a name in at most six."""


def take_note(name: str, services: Services) -> Import | None:
    """Record the name that a note tells as refused, and delete the note.

    Safe to call any number of times.

    Returns:
        The import of the refused name; None if there is no such note, or it cannot be used.

    Raises:
        TryAgain: Cloud Storage or Firestore could not be reached.
    """
    from shared.gcp.storage import Gone, delete_object  # only notes need it here

    note = lying_there(name, services)
    if note is None:
        return None
    refused = _take(note, services)
    with suppress(Gone):
        delete_object(services.bucket, name, note.generation)
    return refused


def _take(note: StorageObject, services: Services) -> Import | None:
    object_name = _read(note, services)
    if object_name is None:
        log("WARNING", "A note in refusals/ cannot be used.", object=note.name)
        return None
    arrived = replace(note, name=object_name, size=0, crc32c="")
    named = read_arrived(arrived, services)
    if not isinstance(named, Misnamed):
        log(
            "WARNING",
            "The gateway has refused a name that is right: its settings are not those of the "
            "functions.",
            object=object_name,
        )
        return None
    return refuse(named, arrived, services, at_door=True)


def _read(note: StorageObject, services: Services) -> str | None:
    """Return the object name in a note; None if the note is not one of the gateway's."""
    from shared.gcp.storage import read_object

    if note.size > LONGEST_NOTE:
        return None
    try:
        told = json.loads(read_object(services.bucket, note.name, note.generation))
        name = told["object"] if isinstance(told, Mapping) else None
        usable = isinstance(name, str) and 0 < len(name.encode()) <= LONGEST_OBJECT
    except (ValueError, KeyError, RecursionError):
        return None
    return name if usable else None
