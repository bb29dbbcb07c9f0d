"""Records of feeds: what runs, what is newest, who holds the index of one type of a connection."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.ledger.parts import StateObject

if TYPE_CHECKING:
    from shared.firestore.database import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The import of a type that a worker is loading."""

    import_id: str
    owner: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """The age of a file: when it was exported, and which upload it is."""

    exported_at: datetime
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What is remembered of the documents of a type; see `shared.index.session`."""

    parts: tuple[StateObject, ...]
    """Its objects, by the hashes of the keys they hold."""
    newest: Newest
    """The age of the latest file that it knows of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The import that has begun to write since the index was made, and has not ended well."""

    import_id: str
    generation: int
    under: str
    """Fingerprint of the program and the settings that it works under."""
    clean: bool
    """Whether the index said the truth when it began, and nobody else has written since."""
    continued: bool = False
    """Whether the index holds what an earlier task of this import has done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """How fast the documents of a type have been written last."""

    writes_per_second: float
    """What Firestore has been led up to."""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One type of file of a connection: the document `connections/{connection}/feeds/{type}`."""

    connection: str
    type: str
    running: Running | None = None
    """The import being loaded: one of a type runs at a time."""
    received: str | None = None
    """Import id of the file that came last; changes with every arrival, so that an orders file
    and a customers file that arrive at one moment cannot overlook each other."""
    received_at: datetime | None = None
    """When a file to be loaded came last; checks and first loads say nothing of the feed."""
    uploaded: str | None = None
    """Import id of the file to be loaded that came last."""
    latest: str | None = None
    """Import id of the latest-exported file that has been loaded."""
    header: tuple[str, ...] = ()
    """Column names of that file."""
    index: Index | None = None
    """What is remembered of the documents, once a file has been loaded."""
    index_held_by: Holder | None = None
    """Who has begun to write since; None where the index is up to date."""
    confirmed_until: Newest | None = None
    """Where an index was lost: the age of the latest file that it knew of."""
    pace: Paced | None = None
    """How fast the documents have been written last; None where nobody had to know."""

    def live(self, now: datetime) -> str | None:
        """Return the import that a live worker is loading, if any."""
        running = self.running
        return running.import_id if running and now < running.expires_at else None

    def base(self) -> str:
        """Return what tells the index, and the mark on it, from any other."""
        text = repr((self.index and self.index.parts, self.index_held_by))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def to_document(self) -> dict[str, Any]:
        """Return the fields as Firestore keeps them."""
        running = self.running
        return {
            "running": running
            and {
                "import": running.import_id,
                "owner": running.owner,
                "expiresAt": running.expires_at,
            },
            "received": self.received,
            "receivedAt": self.received_at,
            "uploaded": self.uploaded,
            "latest": self.latest,
            "header": list(self.header),
            "index": self.index
            and {
                "parts": [asdict(part) for part in self.index.parts],
                "newest": _newest_document(self.index.newest),
            },
            "indexHeldBy": self.index_held_by
            and {
                "import": self.index_held_by.import_id,
                "generation": self.index_held_by.generation,
                "under": self.index_held_by.under,
                "clean": self.index_held_by.clean,
                "continued": self.index_held_by.continued,
            },
            "confirmedUntil": self.confirmed_until and _newest_document(self.confirmed_until),
            "pace": self.pace
            and {"writesPerSecond": self.pace.writes_per_second, "at": self.pace.at},
        }

    @classmethod
    def from_document(cls, *, connection: str, type: str, data: Mapping[str, Any]) -> Feed:
        """Read the document of a feed."""
        running = data.get("running")
        index = data.get("index")
        holder = data.get("indexHeldBy")
        confirmed_until = data.get("confirmedUntil")
        pace = data.get("pace")
        return cls(
            connection=connection,
            type=type,
            running=running
            and Running(
                import_id=running["import"],
                owner=running["owner"],
                expires_at=running["expiresAt"],
            ),
            received=data.get("received"),
            received_at=data.get("receivedAt"),
            uploaded=data.get("uploaded"),
            latest=data.get("latest"),
            header=tuple(data.get("header") or ()),
            index=index
            and Index(
                parts=tuple(StateObject(**part) for part in index["parts"]),
                newest=_newest(index["newest"]),
            ),
            index_held_by=holder
            and Holder(
                import_id=holder["import"],
                generation=holder["generation"],
                under=holder["under"],
                clean=holder["clean"],
                continued=bool(holder.get("continued")),
            ),
            confirmed_until=confirmed_until and _newest(confirmed_until),
            pace=pace and Paced(writes_per_second=pace["writesPerSecond"], at=pace["at"]),
        )


def _newest(data: Mapping[str, Any]) -> Newest:
    return Newest(exported_at=data["exportedAt"], generation=data["generation"])


def _newest_document(newest: Newest) -> Fields:
    return {"exportedAt": newest.exported_at, "generation": newest.generation}


def without(feed: Feed, owner: str) -> Feed:
    """Return the feed without the worker `owner`, if it is the one that runs."""
    if feed.running is not None and feed.running.owner == owner:
        return replace(feed, running=None)
    return feed
