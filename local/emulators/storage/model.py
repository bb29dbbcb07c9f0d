"""Values for a bucket and an object, independent of storage and transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket. Times are microseconds since 1970."""

    name: str
    created: int
    updated: int
    metageneration: int
    settings: Mapping[str, Any]
    """The fields of its resource that clients set."""

    @property
    def versioned(self) -> bool:
        """True if replaced or deleted objects are kept as noncurrent ones."""
        return (self.settings.get("versioning") or {}).get("enabled") is True


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """One generation of an object. Times are microseconds since 1970."""

    bucket: str
    name: str
    generation: int
    metageneration: int
    live: bool
    """True if this is the generation that the plain name means."""
    content: str
    """Id of the file with its bytes."""
    size: int
    crc32c: str
    md5: str | None
    """MD5 of the bytes; None for a composed object, as in the service."""
    components: int | None
    """Number of objects it is composed of; None if it was uploaded."""
    created: int
    updated: int
    deleted: int | None
    """Time when the object ceased to be live."""
    settings: Mapping[str, Any]
    """The fields of its resource that clients set, such as `contentType`."""
