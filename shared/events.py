"""What a storage event says: which object, which generation of it, how large, and since when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.errors import BadRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageObject:
    """One generation of one object, as an event or a listing of the bucket describes it."""

    bucket: str
    """Name of the bucket."""
    name: str
    """Full name of the object in it."""
    generation: int
    """Cloud Storage's number of this content; a later upload has a greater one."""
    size: int
    """Bytes as stored."""
    crc32c: str
    """Checksum of the bytes, base64 as Cloud Storage writes it."""
    uploaded_at: datetime
    """When this generation came into being, UTC."""


def read_event(data: object) -> StorageObject:
    """Read the data of a `google.cloud.storage.object.v1.finalized` event.

    Raises:
        BadRequest: it does not describe a finalized object.
    """
    if not isinstance(data, Mapping):
        raise BadRequest("The event carries no storage object.")
    try:
        return StorageObject(
            bucket=_text(data, "bucket"),
            name=_text(data, "name"),
            generation=int(data["generation"]),
            size=int(data.get("size") or 0),
            crc32c=str(data.get("crc32c") or ""),
            uploaded_at=_time(data.get("timeCreated") or data.get("updated")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadRequest(f"The event does not describe a storage object: {error!r}") from None


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is not a text")
    return value


def _time(text: object) -> datetime:
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError("the time has no zone")
    return moment
