"""The store of the ledger in Firestore: reads, queries and transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from shared.core import log
from shared.firestore import Fields, Slice
from shared.ledger.feeds import Feed
from shared.ledger.imports import Import, Status
from shared.ledger.parts import PORTIONS
from shared.ledger.paths import _shard_id, feed_path, import_path, imports_path, shard_path
from shared.ledger.queries import Totals, Which
from shared.ledger.shards import Shard

if TYPE_CHECKING:
    from shared.firestore.database import Database, Reads

_T = TypeVar("_T")

_WHOLE_SWEEP = "sweeps/whole"


@dataclass(slots=True)
class LedgerTransaction:
    """The ledger in one transaction: reads happen at once, writes at the end of the transaction."""

    reads: Reads
    writes: dict[str, Fields] = field(default_factory=dict)

    def fetch(self, *paths: str) -> None:
        """Read documents in one call; later reads of these documents need no call."""
        self.reads.fetch(paths)

    def import_(self, connection: str, import_id: str) -> Import | None:
        """Return an import; None if there is none, or its document cannot be used."""
        data = self.reads.document(import_path(connection, import_id))
        return None if data is None else _import(connection, import_id, data)

    def imports_between(self, connection: str, first: str, last: str) -> list[Import]:
        """Return the imports with ids from `first` to `last` inclusive, sorted by id.

        Misnamed files are left out: their ids are paths, which may sort anywhere.
        """
        found = self.reads.documents_between(imports_path(connection), first, last)
        return [one for one in _imports(connection, found) if one.exported_at is not None]

    def shard(self, connection: str, import_id: str, split: str, number: int) -> Shard | None:
        """Return a shard; None if there is none."""
        data = self.reads.document(shard_path(connection, import_id, split, number))
        return None if data is None else _shard(connection, import_id, number, data)

    def shards(self, connection: str, import_id: str, split: str) -> list[Shard]:
        """Return all shards of a splitting, sorted by number."""
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
        """Return a feed; a feed that was never written is empty."""
        data = self.reads.document(feed_path(connection, type))
        return Feed.from_document(connection=connection, type=type, data=data or {})

    def feed_of(self, import_: Import) -> Feed:
        """Return the feed of an import that has a type."""
        return self.feed(import_.connection, str(import_.type))

    def alert(self, id: str) -> Fields | None:
        """Return an alert's document; None if there is none."""
        return self.reads.document(f"alerts/{id}")

    def connection(self, connection: str) -> Fields | None:
        """Return the settings document of a connection; None if there is none."""
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

    def mail(self, id: str) -> Fields | None:
        """Return a mail's document; None if there is none."""
        return self.reads.document(f"mail/{id}")

    def put_mail(self, id: str, document: Fields) -> None:
        """Write a mail's document."""
        self.writes[f"mail/{id}"] = document

    def mailbox(self, connection: str) -> Fields | None:
        """Return the record of the mails to a connection; None if there is none."""
        return self.reads.document(f"mailboxes/{connection}")

    def put_mailbox(self, connection: str, document: Fields) -> None:
        """Write the record of the mails to a connection."""
        self.writes[f"mailboxes/{connection}"] = document

    def put_whole_sweep(self, begun: datetime) -> None:
        """Write the time at which a sweep began that has checked everything."""
        self.writes[_WHOLE_SWEEP] = {"begunAt": begun}

    def archive(self, import_: Import) -> None:
        """Write the record of a superseded generation, below the import that replaces it."""
        path = import_path(import_.connection, import_.import_id)
        self.writes[f"{path}/generations/{import_.generation}"] = import_.to_document()


@dataclass(frozen=True, slots=True)
class LedgerStore:
    """The ledger in Firestore. Every method raises TryAgain if Firestore cannot be reached."""

    database: Database

    def within(self, seconds: float) -> LedgerStore:
        """Return this ledger with `seconds` as the longest wait for a read."""
        return LedgerStore(self.database.within(seconds))

    def transact(self, change: Callable[[LedgerTransaction], _T]) -> _T:
        """Run `change` in a transaction, and return its result.

        A transaction that others interfered with is retried. So `change` may run several times. It
        must read before it writes. It must also check the status and generation that it starts
        from: an earlier attempt may have been committed, with its answer lost.

        Raises:
            TryAgain: Firestore could not be reached, or others interfered with every attempt.
        """

        def attempt(reads: Reads) -> tuple[_T, Mapping[str, Fields]]:
            ledger = LedgerTransaction(reads)
            return change(ledger), ledger.writes

        return self.database.transact(attempt)

    def find(self, connection: str, **equals: Any) -> list[Import]:
        """Return a connection's imports with these field values, e.g. `find("au", file="…")`.

        Names of fields are those in Firestore; `run.crc32c` is a field of the map `run`.
        """
        return _imports(connection, self.database.find(imports_path(connection), equals))

    def find_any(self, connection: str, *alternatives: tuple[str, str]) -> list[Import]:
        """Return a connection's imports with any of these field values, e.g. `("status", "x")`."""
        return _imports(connection, self.database.find_any(imports_path(connection), alternatives))

    def import_(self, connection: str, import_id: str) -> Import | None:
        """Return an import; None if there is none, or its document cannot be used."""
        return self.get_many([(connection, import_id)]).get((connection, import_id))

    def get_many(self, ids: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Import]:
        """Return (connection, import id) -> import for the imports that exist."""
        paths = {import_path(*id): id for id in ids}
        found = self.database.documents(paths)
        imports = {paths[path]: _import(*paths[path], data) for path, data in found.items()}
        return {id: one for id, one in imports.items() if one is not None}

    def with_status(self, statuses: Iterable[Status]) -> Iterator[Import]:
        """Return the imports of all connections that have one of these statuses."""
        return self._in_all("status", statuses)

    def of_file(self, file: str) -> Iterator[Import]:
        """Return the imports of all connections whose file has this name, without folders."""
        return self._in_all("file", [file])

    def _in_all(self, field: str, values: Iterable[str]) -> Iterator[Import]:
        for path, data in self.database.find_in_group("imports", field, values):
            if (import_ := _import(*_ids(path), data)) is not None:
                yield import_

    def unusable(self, statuses: Iterable[Status]) -> Iterator[tuple[str, str]]:
        """Yield connection and id of imports with these statuses whose documents cannot be used."""
        for path, data in self.database.find_in_group("imports", "status", statuses):
            if _import(*_ids(path), data, quietly=True) is None:
                yield _ids(path)

    def newest(self, which: Which, *, limit: int) -> Iterator[Import]:
        """Yield at most `limit` imports to show, latest upload first; see `Import.unusable`."""
        for path, data in self.database.newest(which.slice(), limit=limit):
            connection, import_id = _ids(path)
            yield _import(connection, import_id, data) or Import.unusable(
                connection=connection, import_id=import_id, data=data
            )

    def feed(self, connection: str, type: str) -> Feed:
        """Return a feed; a feed that was never written is empty."""
        path = feed_path(connection, type)
        data = self.database.documents([path]).get(path)
        return Feed.from_document(connection=connection, type=type, data=data or {})

    def feed_of(self, import_: Import) -> Feed:
        """Return the feed of an import that has a type."""
        return self.feed(import_.connection, str(import_.type))

    def whole_sweep(self) -> datetime | None:
        """Return the time at which the last sweep began that has checked everything."""
        found = self.database.documents([_WHOLE_SWEEP]).get(_WHOLE_SWEEP, {}).get("begunAt")
        return found if isinstance(found, datetime) else None

    def totals(self, which: Which) -> Totals:
        """Return the number of imports, and of their rows by outcome."""
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
        """Return at most `limit` superseded uploads of an import's name, the latest first."""
        generations = f"{import_path(connection, import_id)}/generations"
        which = Slice(group="generations", collection=generations, by="uploadedAt")
        found = self.database.newest(which, limit=limit)
        imports = [_import(connection, import_id, data) for _, data in found]
        return [one for one in imports if one is not None]

    def feeds(self, ids: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Feed]:
        """Return (connection, type) -> feed for the feeds that exist and can be used."""
        paths = {feed_path(*id): id for id in ids}
        feeds = {}
        for path, data in self.database.documents(paths).items():
            connection, type = paths[path]
            with suppress(*UNUSABLE):
                feeds[paths[path]] = Feed.from_document(connection=connection, type=type, data=data)
        return feeds

    def shards(self, connection: str, import_id: str, split: str) -> list[Shard]:
        """Return all shards of a splitting, sorted by number."""
        return self.transact(lambda ledger: ledger.shards(connection, import_id, split))

    def delete_shard(self, shard: Shard) -> None:
        """Delete a shard, if it exists."""
        self.database.delete(
            shard_path(shard.connection, shard.import_id, shard.split, shard.number)
        )

    def connection_document(self, connection: str) -> Fields | None:
        """Return the settings document of a connection; None if there is none."""
        path = f"connections/{connection}"
        return self.database.documents([path]).get(path)

    def connection_and_feed(self, connection: str, type: str) -> tuple[Fields | None, Feed]:
        """Return the settings document of a connection (None if there is none), and a feed."""
        of_connection, of_feed = f"connections/{connection}", feed_path(connection, type)
        found = self.database.documents([of_connection, of_feed])
        feed = Feed.from_document(connection=connection, type=type, data=found.get(of_feed) or {})
        return found.get(of_connection), feed

    def connection_documents(self, connections: Iterable[str]) -> dict[str, Fields]:
        """Return connection -> settings document for connections that have a document."""
        paths = {f"connections/{connection}": connection for connection in connections}
        return {paths[path]: data for path, data in self.database.documents(paths).items()}

    def connections(self) -> Iterator[tuple[str, Fields | None, datetime | None]]:
        """Yield each connection: name, settings document, and the document's creation time.

        A connection without a settings document has None for the document and the time.
        """
        return self.database.list("connections")

    def untold_alerts(self) -> dict[str, Fields]:
        """Return id -> fields of the open alerts that have not been sent yet."""
        return self.database.find("alerts", {"open": True, "toldAt": None})

    def open_alerts(self, code: str) -> list[str]:
        """Return the ids of the open alerts with this code, e.g. `feed_stopped`."""
        return list(self.database.find("alerts", {"open": True, "code": code}))

    def alerts(
        self, *, connection: str | None = None, open: bool | None = None, limit: int
    ) -> dict[str, Fields]:
        """Return id -> fields of at most `limit` alerts, the latest first.

        None as `connection` or `open` means any.
        """
        given = {"connection": connection, "open": open}
        equals = {name: value for name, value in given.items() if value is not None}
        which = Slice(group="alerts", collection="alerts", by="lastAt", equals=equals)
        return {
            path.removeprefix("alerts/"): data
            for path, data in self.database.newest(which, limit=limit)
        }

    def mails(self, *states: str) -> dict[str, Fields]:
        """Return id -> fields of the mails whose delivery has one of these states."""
        found: dict[str, Fields] = {}
        for state in states:
            found |= self.database.find("mail", {"delivery.state": state})
        return found

    def mail(self, id: str) -> Fields | None:
        """Return a mail's document; None if there is none."""
        return self.database.documents([f"mail/{id}"]).get(f"mail/{id}")

    def newest_mails(self, *, connection: str, limit: int) -> dict[str, Fields]:
        """Return id -> fields of at most `limit` mails to a connection, the latest first.

        Mails that another sender has not begun to send are left out.
        """
        return self._mails({"connection": connection}, None, limit)

    def delayed_mails(self, *, before: datetime, limit: int) -> dict[str, Fields]:
        """Return id -> fields of mails that will be tried again, and were begun `before`."""
        return self._mails({"delivery.state": "RETRY"}, before, limit)

    def _mails(
        self, equals: Mapping[str, str], before: datetime | None, limit: int
    ) -> dict[str, Fields]:
        by = "delivery.startTime"
        which = Slice(group="mail", collection="mail", by=by, equals=equals, before=before)
        found = self.database.newest(which, limit=limit)
        return {path.removeprefix("mail/"): data for path, data in found}

    def mailboxes(self, connections: Iterable[str]) -> dict[str, Fields]:
        """Return connection -> record of its mails, for connections that have one."""
        paths = {f"mailboxes/{connection}": connection for connection in connections}
        return {paths[path]: data for path, data in self.database.documents(paths).items()}


UNUSABLE = (ValueError, KeyError, TypeError, AttributeError)
"""Errors from reading a document that somebody has changed by hand so that it cannot be used."""


def _ids(path: str) -> tuple[str, str]:
    """Return the connection and the import id in the path of an import's document."""
    _, connection, _, import_id = path.split("/")
    return connection, import_id


def _imports(connection: str, found: Mapping[str, Fields]) -> list[Import]:
    """Return the imports of documents by id, without those that cannot be used."""
    imports = [_import(connection, id, data) for id, data in found.items()]
    return [one for one in imports if one is not None]


def _import(
    connection: str, import_id: str, data: Fields, *, quietly: bool = False
) -> Import | None:
    """Return the import of a document; None if the document cannot be used.

    Unless `quietly`, such a document is logged as an error.
    """
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
