"""Where each part of the ledger is kept, and how it is read and changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from shared.ledger import Import, Status
from shared.logs import log
from shared.shard import Shard
from shared.slices import Slice
from shared.state import PORTIONS, Part

if TYPE_CHECKING:
    from shared.database import Database, Fields, Reads

_T = TypeVar("_T")


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
    """What is remembered of the documents of a type; see `shared.indexing`."""

    parts: tuple[Part, ...]
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
                parts=tuple(Part(**part) for part in index["parts"]),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which imports are asked for; what is left out does not matter."""

    connection: str | None = None
    type: str | None = None
    statuses: tuple[Status, ...] = ()
    """They have one of these; of none of them: any."""
    since: datetime | None = None
    """Uploaded then or later."""
    before: datetime | None = None
    """Uploaded earlier than that."""
    after: tuple[datetime, str, str] | None = None
    """Time of upload, connection and id of an import: those that come after it, newest first."""

    def slice(self) -> Slice:
        """Say it in the database's words."""
        equals: dict[str, Any] = {}
        if self.type is not None:
            equals["type"] = self.type
        if len(self.statuses) == 1:
            equals["status"] = self.statuses[0]
        elif self.statuses:
            equals["status"] = self.statuses
        return Slice(
            group="imports",
            collection=imports_path(self.connection) if self.connection else None,
            by="uploadedAt",
            equals=equals,
            since=self.since,
            before=self.before,
            after=self.after and (self.after[0], import_path(*self.after[1:])),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How many files came, and how their rows fared."""

    files: int = 0
    loaded: int = 0
    unchanged: int = 0
    rejected: int = 0


@dataclass(slots=True)
class LedgerTransaction:
    """The ledger as one transaction sees it; what is put is written when the transaction ends."""

    reads: Reads
    writes: dict[str, Fields] = field(default_factory=dict)

    def import_(self, connection: str, import_id: str) -> Import | None:
        """Read an import."""
        data = self.reads.document(import_path(connection, import_id))
        return None if data is None else _import(connection, import_id, data)

    def imports_between(self, connection: str, first: str, last: str) -> list[Import]:
        """Read the imports whose ids lie from `first` to `last`, both included, in that order.

        Misnamed files are left out: their ids are made of paths and may lie anywhere.
        """
        found = self.reads.documents_between(imports_path(connection), first, last)
        imports = [_import(connection, id, data) for id, data in found.items()]
        return [one for one in imports if one is not None and one.exported_at is not None]

    def shard(self, connection: str, import_id: str, split: str, number: int) -> Shard | None:
        """Read a shard."""
        data = self.reads.document(shard_path(connection, import_id, split, number))
        return None if data is None else _shard(connection, import_id, number, data)

    def shards(self, connection: str, import_id: str, split: str) -> list[Shard]:
        """Read all shards of a splitting, in order."""
        found = self.reads.documents_between(
            f"{import_path(connection, import_id)}/shards",
            _shard_id(split, 0),
            _shard_id(split, PORTIONS - 1),
        )
        return [
            _shard(connection, import_id, int(id.rpartition("-")[2]), data)
            for id, data in found.items()
        ]

    def feed(self, connection: str, type: str) -> Feed:
        """Read a feed; one that has never been written is empty."""
        data = self.reads.document(feed_path(connection, type))
        return Feed.from_document(connection=connection, type=type, data=data or {})

    def alert(self, id: str) -> Fields | None:
        """Read an alert's document."""
        return self.reads.document(f"alerts/{id}")

    def connection(self, connection: str) -> Fields | None:
        """Read the settings document of a connection."""
        return self.reads.document(f"connections/{connection}")

    def put_connection(self, connection: str, document: Fields) -> None:
        """Write the settings document of a connection."""
        self.writes[f"connections/{connection}"] = document

    def put(self, import_: Import) -> None:
        """Write an import."""
        path = import_path(import_.connection, import_.import_id)
        self.writes[path] = import_.to_document()

    def put_shard(self, shard: Shard) -> None:
        """Write a shard."""
        path = shard_path(shard.connection, shard.import_id, shard.split, shard.number)
        self.writes[path] = shard.to_document()

    def put_feed(self, feed: Feed) -> None:
        """Write a feed."""
        self.writes[feed_path(feed.connection, feed.type)] = feed.to_document()

    def put_alert(self, id: str, document: Fields) -> None:
        """Write an alert's document."""
        self.writes[f"alerts/{id}"] = document

    def archive(self, import_: Import) -> None:
        """Keep the record of a superseded generation beside the one that took over."""
        path = import_path(import_.connection, import_.import_id)
        self.writes[f"{path}/generations/{import_.generation}"] = import_.to_document()


@dataclass(frozen=True, slots=True)
class LedgerStore:
    """The ledger in Firestore. Every method raises TryAgain when that is out of reach."""

    database: Database

    def within(self, seconds: float) -> LedgerStore:
        """Return the same for somebody who waits no longer than that for an answer to a read."""
        return LedgerStore(self.database.within(seconds))

    def transact(self, change: Callable[[LedgerTransaction], _T]) -> _T:
        """Run `change` in a transaction, again and again until nobody interferes.

        `change` reads first, then puts, and may be called several times; it must check the status
        and the generation it starts from, because an earlier try may have been committed although
        its answer was lost.

        Raises:
            TryAgain: Firestore could not be reached or the contention did not end.
        """

        def attempt(reads: Reads) -> tuple[_T, Mapping[str, Fields]]:
            ledger = LedgerTransaction(reads)
            return change(ledger), ledger.writes

        return self.database.transact(attempt)

    def find(self, connection: str, **equals: Any) -> list[Import]:
        """Return the imports of a connection whose fields have these values (names as stored)."""
        found = self.database.find(imports_path(connection), equals)
        imports = [_import(connection, id, data) for id, data in found.items()]
        return [one for one in imports if one is not None]

    def get_many(self, ids: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Import]:
        """Return (connection, import id) -> import for those that exist."""
        paths = {import_path(*id): id for id in ids}
        found = self.database.documents(paths)
        imports = {paths[path]: _import(*paths[path], data) for path, data in found.items()}
        return {id: one for id, one in imports.items() if one is not None}

    def with_status(self, statuses: Iterable[Status]) -> Iterator[Import]:
        """Give the imports of all connections that have one of these statuses."""
        for path, data in self.database.find_in_group("imports", "status", statuses):
            _, connection, _, import_id = path.split("/")
            if (import_ := _import(connection, import_id, data)) is not None:
                yield import_

    def unusable(self, statuses: Iterable[Status]) -> Iterator[tuple[str, str]]:
        """Give connection and id of imports with these statuses that cannot be read."""
        for path, data in self.database.find_in_group("imports", "status", statuses):
            _, connection, _, import_id = path.split("/")
            if _import(connection, import_id, data, quietly=True) is None:
                yield connection, import_id

    def newest(self, which: Which, *, limit: int) -> Iterator[Import]:
        """Give the imports that were uploaded last, to be shown; see `Import.unusable`."""
        for path, data in self.database.newest(which.slice(), limit=limit):
            _, owner, _, import_id = path.split("/")
            yield _import(owner, import_id, data) or Import.unusable(
                connection=owner, import_id=import_id, data=data
            )

    def feed(self, connection: str, type: str) -> Feed:
        """Return a feed; one that has never been written is empty."""
        path = feed_path(connection, type)
        data = self.database.documents([path]).get(path)
        return Feed.from_document(connection=connection, type=type, data=data or {})

    def totals(self, which: Which) -> Totals:
        """Count imports and their rows."""
        found = self.database.totals(
            which.slice(), ("rows.loaded", "rows.rejected", "rows.unchanged")
        )
        return Totals(
            files=found["count"],
            loaded=found["rows.loaded"],
            unchanged=found["rows.unchanged"],
            rejected=found["rows.rejected"],
        )

    def earlier_uploads(self, connection: str, import_id: str, *, limit: int) -> list[Import]:
        """Return the superseded uploads of an import's name, the latest first."""
        generations = f"{import_path(connection, import_id)}/generations"
        which = Slice(group="generations", collection=generations, by="uploadedAt")
        found = self.database.newest(which, limit=limit)
        imports = [_import(connection, import_id, data) for _, data in found]
        return [one for one in imports if one is not None]

    def feeds(self, ids: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Feed]:
        """Return (connection, type) -> feed for those that exist."""
        paths = {feed_path(*id): id for id in ids}
        feeds = {}
        for path, data in self.database.documents(paths).items():
            connection, type = paths[path]
            with suppress(*UNUSABLE):
                feeds[paths[path]] = Feed.from_document(connection=connection, type=type, data=data)
        return feeds

    def shards(self, connection: str, import_id: str, split: str) -> list[Shard]:
        """Return all shards of a splitting, in order."""
        return self.transact(lambda ledger: ledger.shards(connection, import_id, split))

    def delete_shard(self, shard: Shard) -> None:
        """Delete a shard, if it is there."""
        self.database.delete(
            shard_path(shard.connection, shard.import_id, shard.split, shard.number)
        )

    def connection_document(self, connection: str) -> Fields | None:
        """Return the settings document of a connection, None where there is none."""
        path = f"connections/{connection}"
        return self.database.documents([path]).get(path)

    def connection_documents(self, connections: Iterable[str]) -> dict[str, Fields]:
        """Return connection -> settings document for those that have one."""
        paths = {f"connections/{connection}": connection for connection in connections}
        return {paths[path]: data for path, data in self.database.documents(paths).items()}

    def connections(self) -> Iterator[tuple[str, Fields | None, datetime | None]]:
        """Give every connection: its name, its settings document, and since when it has one."""
        return self.database.list("connections")

    def untold_alerts(self) -> dict[str, Fields]:
        """Return id -> fields of the open alerts that nobody has been told of."""
        return self.database.find("alerts", {"open": True, "toldAt": None})

    def open_alerts(self, code: str) -> list[str]:
        """Return the ids of the open alerts of a kind."""
        return list(self.database.find("alerts", {"open": True, "code": code}))

    def alerts(
        self, *, connection: str | None = None, open: bool | None = None, limit: int
    ) -> dict[str, Fields]:
        """Return id -> fields of the alerts that happened last."""
        given = {"connection": connection, "open": open}
        equals = {name: value for name, value in given.items() if value is not None}
        which = Slice(group="alerts", collection="alerts", by="lastAt", equals=equals)
        return {
            path.removeprefix("alerts/"): data
            for path, data in self.database.newest(which, limit=limit)
        }


UNUSABLE = (ValueError, KeyError, TypeError, AttributeError)
"""What reading a document raises that somebody has changed so that it cannot be used."""


def _import(
    connection: str, import_id: str, data: Fields, *, quietly: bool = False
) -> Import | None:
    """Read an import; None where its document cannot be used, which counts as none at all."""
    try:
        return Import.from_document(connection=connection, import_id=import_id, data=data)
    except UNUSABLE as error:
        if not quietly:
            log(
                "ERROR",
                f"A document of the ledger cannot be used: {type(error).__name__}.",
                connection=connection,
                importId=import_id,
            )
        return None


def _shard(connection: str, import_id: str, number: int, data: Fields) -> Shard:
    return Shard.from_document(connection=connection, import_id=import_id, number=number, data=data)


def _shard_id(split: str, number: int) -> str:
    return f"{split}-{number:03}"


def imports_path(connection: str) -> str:
    """Return the path of the imports of a connection."""
    return f"connections/{connection}/imports"


def import_path(connection: str, import_id: str) -> str:
    """Return the path of one import."""
    return f"{imports_path(connection)}/{import_id}"


def shard_path(connection: str, import_id: str, split: str, number: int) -> str:
    """Return the path of one shard."""
    return f"{import_path(connection, import_id)}/shards/{_shard_id(split, number)}"


def feed_path(connection: str, type: str) -> str:
    """Return the path of one feed."""
    return f"connections/{connection}/feeds/{type}"


def without(feed: Feed, owner: str) -> Feed:
    """Return the feed without the worker `owner`, if it is the one that runs."""
    if feed.running is not None and feed.running.owner == owner:
        return replace(feed, running=None)
    return feed
