"""Which part of a collection is asked for: by values, by time, and behind which document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Some documents of a collection, or of a whole group of collections, by a field of times."""

    group: str
    """Id of the collection, e.g. `imports`."""
    collection: str | None = None
    """Path of the one collection; None for all of the group."""
    by: str
    """The field of times."""
    equals: Mapping[str, Any] = field(default_factory=dict)
    """Field -> the value it must have; a tuple lists values of which it must have one."""
    since: datetime | None = None
    """The earliest time that counts."""
    before: datetime | None = None
    """The earliest time that counts no more."""
    after: tuple[datetime, str] | None = None
    """Time and path of a document: those that come after it, the latest first."""
