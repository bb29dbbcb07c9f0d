"""Records of feeds. A feed is one type of file of one connection.

Its record has the running import, the newest files, and the index with the import that writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.core import from_fields, to_fields
from shared.ledger.parts import StateObject

if TYPE_CHECKING:
    from shared.firestore import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The import of a type that a worker is loading."""

    import_id: str = field(metadata={"key": "import"})
    owner: str
    expires_at: datetime


class Age(NamedTuple):
    """The age of a file. Files are ordered by export time, then by generation (the upload)."""

    exported_at: datetime
    generation: int
    """0: of no upload."""

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Age:
        """Read an age in the document of a feed."""
        return cls.of(data["exportedAt"], data["generation"])

    @classmethod
    def of(cls, at: datetime, generation: int) -> Age:
        """Return an age. The client's datetime class cannot be encoded in a document."""
        return cls(datetime.combine(at.date(), at.time(), at.tzinfo), generation)

    def to_document(self) -> Fields:
        """Return the fields in the document of a feed."""
        return {"exportedAt": self.exported_at, "generation": self.generation}


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The index of a type's documents; see `shared.index`."""

    parts: tuple[StateObject, ...]
    """Objects of the index. Of several objects with a record of a key, the last one counts."""
    newest: Age
    """Age of the latest file in the index."""
    doubted_until: datetime | None = None
    """Latest time at which an import or an undoing ended that had found the mark of another import;
    None: never. A worker that was thought dead may still change a document that was written before.
    So such a document is written again, even if it says that it is up to date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The mark of an import on the index: it has begun to write, and has not ended well yet."""

    import_id: str = field(metadata={"key": "import"})
    generation: int
    under: str
    """Fingerprint of the code and settings; see `shared.index.fingerprint`."""
    clean: bool
    """True if the index was valid when the import began, and no other import has written since."""
    continued: bool = False
    """True if the index includes the writes of an earlier task of this import."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """The rate at which the documents of a type were last written."""

    writes_per_second: float
    """The rate that the ramp had reached; see `shared.firestore.bulk.pacing`."""
    at: datetime
    """End of the writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """The last upload of a type that was loaded, a first load included."""

    import_id: str = field(metadata={"key": "import"})
    uploaded_at: datetime
    rejected: int = 0
    """Rows of it that were rejected."""


ARRIVALS_KEPT = 12
"""Arrivals in the record of a feed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One type of file of a connection: the document `connections/{connection}/feeds/{type}`."""

    connection: str
    type: str
    running: Running | None = None
    """The import being loaded: one of a type runs at a time."""
    received: str | None = None
    """Import id of the file that arrived last, of any mode. Every arrival changes this field, so
    that an orders file and a customers file that arrive at once cannot overlook each other."""
    received_at: datetime | None = None
    """Arrival of the last file to load; files in `test/` and `bulk/` do not count."""
    uploaded: str | None = None
    """Import id of that file."""
    arrivals: tuple[datetime, ...] = ()
    """Times of the last arrivals of files to load, the oldest first."""
    success: Success | None = None
    """None until a file has been loaded; feeds of earlier versions have none before the next."""
    latest: str | None = None
    """Import id of the latest-exported file that was loaded."""
    header: tuple[str, ...] = ()
    """Column names of the file `latest`."""
    index: Index | None = None
    """Index of the type's documents; None until a file has been loaded."""
    index_held_by: Holder | None = None
    """Mark of the import that has written since the index; None: the index is up to date."""
    confirmed_until: Age | None = None
    """Age of the latest file in an index that was lost; None: no index was lost."""
    pace: Paced | None = None
    """Rate of the last writes; None: not recorded."""

    def live(self, now: datetime) -> str | None:
        """Return the id of the import with a live lease; None if there is none."""
        running = self.running
        return running.import_id if running and now < running.expires_at else None

    def base(self) -> str:
        """Return a hash of the index and its mark; another index or mark has another hash."""
        text = repr((self.index and self.index.parts, self.index_held_by))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def arrived(self, import_id: str, at: datetime) -> Feed:
        """Return the feed after the arrival of a file to load."""
        arrivals = (*self.arrivals, at)[-ARRIVALS_KEPT:]
        return replace(self, received_at=at, uploaded=import_id, arrivals=arrivals)

    def loaded(self, success: Success) -> Feed:
        """Return the feed after a file was loaded; an upload that is not the newest counts not."""
        newest = self.success
        if newest is not None and newest.uploaded_at > success.uploaded_at:
            return self
        return replace(self, success=success)

    def to_document(self) -> dict[str, Any]:
        """Return the fields as stored in Firestore."""
        return to_fields(self, without=("connection", "type"))

    @classmethod
    def from_document(cls, *, connection: str, type: str, data: Mapping[str, Any]) -> Feed:
        """Return the feed of a stored document.

        Raises:
            KeyError, TypeError, AttributeError: the document cannot be used.
        """
        return from_fields(cls, data, connection=connection, type=type)


def without(feed: Feed, owner: str) -> Feed:
    """Return the feed without a running import, if its worker is `owner`; else unchanged."""
    if feed.running is not None and feed.running.owner == owner:
        return replace(feed, running=None)
    return feed
