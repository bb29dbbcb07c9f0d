"""What a bucket and an object are, apart from how they are stored or sent."""

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
        """Whether objects that are replaced or deleted stay as noncurrent ones."""
        return (self.settings.get("versioning") or {}).get("enabled") is True


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """One generation of an object. Times are microseconds since 1970."""

    bucket: str
    name: str
    generation: int
    metageneration: int
    live: bool
    """Whether this is the generation that the plain name means."""
    content: str
    """Id of the file with its bytes."""
    size: int
    crc32c: str
    md5: str | None
    """None where the object is composed of others, as in the service."""
    components: int | None
    """Of how many objects it is composed; None where it was uploaded as it is."""
    created: int
    updated: int
    deleted: int | None
    """When it ceased to be live."""
    settings: Mapping[str, Any]
    """The fields of its resource that clients set, such as `contentType`."""
