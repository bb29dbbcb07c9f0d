"""The query for a slice of a collection: by field values, by time, and after a document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Fields = dict[str, Any]
"""The fields of a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A query for documents of a collection, or of a collection group, ordered by a time field.

    Example: imports of all connections with status `failed`, uploaded since 1 May:
    `Slice(group="imports", by="uploadedAt", equals={"status": "failed"}, since=…)`.
    """

    group: str
    """Id of the collection, e.g. `imports`."""
    collection: str | None = None
    """Path of the one collection; None for the whole group."""
    by: str
    """The time field, which gives the order: the latest first."""
    equals: Mapping[str, Any] = field(default_factory=dict)
    """Field -> required value; a tuple means any of its values."""
    since: datetime | None = None
    """Earliest time, inclusive."""
    before: datetime | None = None
    """Latest time, exclusive."""
    after: tuple[datetime, str] | None = None
    """Time and path of the last document of the page before; None for the first page."""
