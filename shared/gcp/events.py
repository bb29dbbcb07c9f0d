"""Storage events: the object, its generation, its size and its time of upload."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.core import BadRequest

if TYPE_CHECKING:
    import google.cloud.storage as storage

FINALIZED = "google.cloud.storage.object.v1.finalized"
"""Type of the events that are read."""

NAME_BYTES = 1_024
"""Bytes of UTF-8 in the longest name of an object."""

UPLOADED = "uploaded-at"
"""Metadata key of an object that the pipeline has rewritten: time of the first upload."""

_DIGITS = re.compile(r"[0-9]{1,19}")
_CRC32C = re.compile(r"[A-Za-z0-9+/]{6}==")


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageObject:
    """One generation of one object, as an event or a listing of the bucket describes it."""

    bucket: str
    """Name of the bucket."""
    name: str
    """Full name of the object in the bucket."""
    generation: int
    """Cloud Storage's number of this content. A later upload has a greater number."""
    size: int
    """Bytes as stored."""
    crc32c: str
    """Checksum of the bytes, base64 as Cloud Storage writes it."""
    uploaded_at: datetime
    """Time when the bytes were uploaded, UTC.

    The pipeline rewrites an upload to erase a person from it. The rewritten generation keeps the
    time of that upload.
    """

    @classmethod
    def of_blob(cls, blob: storage.Blob, *, bucket: str) -> StorageObject:
        """Describe an object as the bucket lists it."""
        before = (blob.metadata or {}).get(UPLOADED)
        return cls(
            bucket=bucket,
            name=blob.name,
            generation=int(blob.generation),
            size=int(blob.size or 0),
            crc32c=blob.crc32c or "",
            uploaded_at=datetime.fromisoformat(before) if before else blob.time_created,
        )


def read_event(data: object, *, type: str = FINALIZED) -> StorageObject:
    """Read the data of a `google.cloud.storage.object.v1.finalized` event.

    Data that is accepted can be an object in Cloud Storage and a record in the ledger. Other data
    would be refused again, however often the event is repeated.

    Raises:
        BadRequest: the data does not describe a finalized object.
    """
    if type != FINALIZED:
        raise BadRequest(f"The event is not of the type {FINALIZED}.")
    if not isinstance(data, Mapping):
        raise BadRequest("The event carries no storage object.")
    return StorageObject(
        bucket=_text(data, "bucket"),
        name=_text(data, "name"),
        generation=_number(data, "generation"),
        size=_number(data, "size") if data.get("size") is not None else 0,
        crc32c=_sum(data, "crc32c"),
        uploaded_at=_time(data, "timeCreated" if data.get("timeCreated") else "updated"),
    )


def _text(data: Mapping[str, Any], key: str) -> str:
    """Read a text that can be a name in Cloud Storage: valid Unicode, up to 1,024 bytes."""
    value = data.get(key)
    try:
        usable = isinstance(value, str) and 0 < len(value.encode()) <= NAME_BYTES
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise _bad(key)
    return str(value)


def _number(data: Mapping[str, Any], key: str) -> int:
    """Read a number, which JSON from Google carries as a text."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _bad(key)
    if not _DIGITS.fullmatch(str(value)) or int(value) >= 2**63:
        raise _bad(key)
    return int(value)


def _sum(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not _CRC32C.fullmatch(value):
        raise _bad(key)
    return value


def _time(data: Mapping[str, Any], key: str) -> datetime:
    value = data.get(key)
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
        # Far enough from both ends of time for whatever is added or taken off.
        usable = moment.tzinfo is not None and 2000 <= moment.year < 3000
    except ValueError:
        usable = False
    if not usable:
        raise _bad(key)
    return moment


def _bad(key: str) -> BadRequest:
    return BadRequest(f"The event does not describe a storage object: its {key} cannot be used.")
