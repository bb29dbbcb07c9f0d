"""Stores documents in SQLite, with every version of the last hour and the clock of commits.

There is one file, one connection and one lock. A commit is one SQLite transaction, so every
acknowledged write survives the end of the process. Reads are by version, not by SQLite snapshot. A
long read takes the lock page by page and still sees one state of the database.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path

from local.emulators.database import open_database
from local.emulators.firestore import indexes
from local.emulators.firestore.fields import Path as FieldPath
from local.emulators.firestore.indexes import Index, Indexes
from local.emulators.firestore.names import Collection, Document, Parent
from local.emulators.firestore.queries import Bounds, Found, Query, Scope
from local.emulators.firestore.values import Key
from local.emulators.firestore.writes import Content

FILE = "firestore.sqlite"
HISTORY_MICROS = 3600 * 1_000_000
"""Microseconds that a read can look back, as in Firestore without point-in-time recovery."""

_FORMAT = 1
_TRIM_EVERY_MICROS = 30 * 1_000_000
_TRIM_ROWS = 20_000
_IDS_A_STATEMENT = 500
_FIRST_READ = 64
_BUILT_AT_ONCE = 2_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS collections (
    id INTEGER PRIMARY KEY, database TEXT NOT NULL, path TEXT NOT NULL, UNIQUE (database, path)
);
CREATE TABLE IF NOT EXISTS documents (
    collection INTEGER NOT NULL, id TEXT NOT NULL,
    created INTEGER NOT NULL, updated INTEGER NOT NULL, fields BLOB NOT NULL,
    UNIQUE (collection, id)
);
CREATE TABLE IF NOT EXISTS history (
    collection INTEGER NOT NULL, id TEXT NOT NULL, until INTEGER NOT NULL,
    created INTEGER NOT NULL, updated INTEGER NOT NULL, fields BLOB NOT NULL,
    UNIQUE (collection, id, until)
);
CREATE INDEX IF NOT EXISTS history_until ON history (until);
CREATE TABLE IF NOT EXISTS clock (only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER);
INSERT OR IGNORE INTO clock VALUES (1, 0);
"""


@dataclass(frozen=True, slots=True)
class Change:
    """Effect of a commit on one document; None stands for a document that does not exist."""

    document: Document
    before: Content | None
    after: Content | None


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that has happened."""

    version: int
    changes: Sequence[Change]


def _prepare(sql: sqlite3.Connection) -> None:
    """Make the tables where they are missing.

    Raises:
        sqlite3.DatabaseError: another version of the server has made them.
    """
    sql.execute("PRAGMA cache_size = -131072")
    sql.execute("PRAGMA temp_store = MEMORY")
    sql.execute("PRAGMA wal_autocheckpoint = 8000")
    (found,) = sql.execute("PRAGMA user_version").fetchone()
    if found not in (0, _FORMAT):
        raise sqlite3.DatabaseError(
            f"{FILE} has format {found}, this server writes {_FORMAT}: move the folder away."
        )
    sql.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_FORMAT}; COMMIT;")


class Store:
    """Databases of one folder."""

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.RLock()
        self._subscribers: list[Callable[[Commit], None]] = []
        self._sql = open_database(folder / FILE, _prepare)
        self._version: int = self._sql.execute("SELECT version FROM clock").fetchone()[0]
        self._committed = self._version
        self._trimmed = 0
        self._ids: dict[Collection, int] = {
            Collection(database, path): number
            for number, database, path in self._sql.execute("SELECT * FROM collections")
        }
        self._by_database: dict[str, list[Collection]] = {}
        for collection in self._ids:
            self._by_database.setdefault(collection.database, []).append(collection)
        self._touched: dict[Collection, int] = {}
        self._indexes = Indexes()

    def close(self) -> None:
        with self._lock:
            self._sql.close()

    def now(self) -> int:
        """Return a version that sees every commit so far and no later one."""
        with self._lock:
            self._version = max(self._version, self._micros())
            return self._version

    def oldest(self) -> int:
        """Return the oldest version that can still be read."""
        return self._micros() - HISTORY_MICROS

    def _micros(self) -> int:
        return int(self._now() * 1_000_000)

    def reader(self, version: int | None = None) -> Reader:
        """Return a view of everything as it was at a version; the latest by default."""
        return Reader(self, self.now() if version is None else version)

    def commit(self, decide: Callable[[Reader, int], Iterable[Change]]) -> Commit:
        """Change documents, all or nothing.

        `decide` gets the latest state and the version of the commit. Nothing else is committed
        meanwhile. If it raises, the exception is passed on and nothing changes.
        """
        with self._lock:
            version = self._version = max(self._version + 1, self._micros())
            changes = [
                change
                for change in decide(Reader(self, version), version)
                if change.before is not change.after
            ]
            commit = Commit(version, changes)
            if changes:
                self._apply(commit)
                for subscriber in self._subscribers:
                    subscriber(commit)
            return commit

    def _apply(self, commit: Commit) -> None:
        version = commit.version
        added: list[Collection] = []
        sql = self._sql
        sql.execute("BEGIN IMMEDIATE")
        try:
            for change in commit.changes:
                collection = change.document.collection
                if collection not in self._ids:
                    cursor = sql.execute(
                        "INSERT INTO collections (database, path) VALUES (?, ?)",
                        (collection.database, collection.path),
                    )
                    self._ids[collection] = cursor.lastrowid or 0
                    added.append(collection)
            ids = self._ids
            sql.executemany(
                "INSERT OR REPLACE INTO history (collection, id, until, created, updated, fields) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (ids[d.collection], d.id, version, old.created, old.updated, old.fields)
                    for d, old in ((c.document, c.before) for c in commit.changes)
                    if old is not None
                ),
            )
            sql.executemany(
                "DELETE FROM documents WHERE collection = ? AND id = ?",
                (
                    (ids[c.document.collection], c.document.id)
                    for c in commit.changes
                    if c.after is None
                ),
            )
            sql.executemany(
                "INSERT INTO documents (collection, id, created, updated, fields) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT (collection, id) DO UPDATE SET "
                "created = excluded.created, updated = excluded.updated, fields = excluded.fields",
                (
                    (ids[d.collection], d.id, new.created, new.updated, new.fields)
                    for d, new in ((c.document, c.after) for c in commit.changes)
                    if new is not None
                ),
            )
            sql.execute("UPDATE clock SET version = ?", (version,))
            self._trim(version)
            sql.execute("COMMIT")
        except BaseException:
            for collection in added:
                del self._ids[collection]
            if sql.in_transaction:
                sql.execute("ROLLBACK")
            raise
        for collection in added:
            self._by_database.setdefault(collection.database, []).append(collection)
        for change in commit.changes:
            self._touched[change.document.collection] = version
        for change in commit.changes:
            self._indexes.change(change.document, change.after.fields if change.after else None)
        self._committed = version

    def _trim(self, version: int) -> None:
        if version - self._trimmed < _TRIM_EVERY_MICROS:
            return
        removed = self._sql.execute(
            "DELETE FROM history WHERE rowid IN "
            "(SELECT rowid FROM history WHERE until < ? LIMIT ?)",
            (version - HISTORY_MICROS - _TRIM_EVERY_MICROS, _TRIM_ROWS),
        ).rowcount
        if removed < _TRIM_ROWS:
            self._trimmed = version

    def subscribe(self, subscriber: Callable[[Commit], None]) -> Callable[[], None]:
        """Call `subscriber` for every commit, in order, until the returned function is called.

        The subscriber runs in the committing thread, so it must return at once.
        """
        with self._lock:
            self._subscribers = [*self._subscribers, subscriber]

        def end() -> None:
            with self._lock:
                self._subscribers = [each for each in self._subscribers if each is not subscriber]

        return end


class Reader:
    """Everything as it was at one version."""

    def __init__(self, store: Store, version: int) -> None:
        self._store = store
        self.version = version

    def _select(
        self, where: str, arguments: Sequence[object], *, most: int | None = None
    ) -> list[tuple[str, int, int, bytes]]:
        """Return documents (id, created, updated, fields) of the version; at most `most`, by id."""
        store = self._store
        chosen = f"SELECT id, created, updated, fields FROM documents WHERE {where}"
        tail, rest = ("", ()) if most is None else (" ORDER BY id LIMIT ?", (most,))
        with store._lock:
            if store._committed <= self.version:
                return store._sql.execute(chosen + tail, (*arguments, *rest)).fetchall()
            chosen += (
                " AND updated <= ? UNION ALL SELECT id, created, updated, fields FROM history "
                f"WHERE {where} AND updated <= ? AND until > ?"
            )
            version = self.version
            return store._sql.execute(
                chosen + tail, (*arguments, version, *arguments, version, version, *rest)
            ).fetchall()

    def get(self, document: Document) -> Content | None:
        return self.get_all([document]).get(document)

    def get_all(self, documents: Sequence[Document]) -> dict[Document, Content]:
        """Return the documents that exist."""
        found: dict[Document, Content] = {}
        for collection, group in groupby(documents, key=lambda document: document.collection):
            number = self._store._ids.get(collection)
            if number is None:
                continue
            ids = [document.id for document in group]
            for start in range(0, len(ids), _IDS_A_STATEMENT):
                part = ids[start : start + _IDS_A_STATEMENT]
                marks = ",".join("?" * len(part))
                for row in self._select(f"collection = ? AND id IN ({marks})", [number, *part]):
                    found[Document(collection, row[0])] = Content(*row[1:])
        return found

    def scan(
        self, collection: Collection, bounds: Bounds, needles: Sequence[bytes], page: int
    ) -> Iterator[Found]:
        """Yield the documents of a collection by id, without those that lack one of the needles.

        At most `page` documents are held at a time.
        """
        number = self._store._ids.get(collection)
        if number is None:
            return
        where = "collection = ?"
        fixed: list[object] = [number]
        if bounds.high is not None:
            where += f" AND id {'<=' if bounds.high_included else '<'} ?"
            fixed.append(bounds.high)
        for needle in needles:
            where += " AND instr(fields, ?) > 0"
            fixed.append(needle)
        low, included = bounds.low or "", bounds.low_included
        while True:
            rows = self._select(
                f"{where} AND id {'>=' if included else '>'} ?", [*fixed, low], most=page
            )
            for document_id, created, updated, fields in rows:
                yield Found(Document(collection, document_id), Content(created, updated, fields))
            if len(rows) < page:
                return
            low, included = rows[-1][0], False

    def named(self, collection: Collection, ids: Iterable[str]) -> Iterator[Found]:
        """Return the existing documents among some ids of a collection, by id."""
        documents = [Document(collection, document_id) for document_id in sorted(ids)]
        found = self.get_all(documents)
        return (Found(each, found[each]) for each in documents if each in found)

    def indexed(self, query: Query) -> Iterator[Found] | None:
        """Return documents in the query's order, all results among them; None without an index."""
        plan = indexes.plan(query)
        stretches = None if plan is None else self._stretches(query, plan)
        if plan is None or stretches is None:
            return None
        found = indexes.in_order(
            stretches, descending=plan.descending, fixed=len(plan.alternatives)
        )
        return self._contents(found)

    def values(self, query: Query, wanted: Sequence[FieldPath]) -> Iterator[Sequence[Key]] | None:
        """Return the keys of the wanted fields of every result that has them all, in no order.

        None if an index alone cannot tell.
        """
        plan = indexes.plan_values(query, wanted)
        stretches = None if plan is None else self._stretches(query, plan)
        if plan is None or stretches is None:
            return None
        first = len(plan.shape.paths) - len(wanted)
        last = len(plan.shape.paths)
        return (entry[first:last] for entry in indexes.fitting(stretches, plan))

    def _stretches(self, query: Query, plan: indexes.Plan) -> list[list[indexes.Entry]] | None:
        """Read an index, made if needed; None if it is not worth making, or for an older state.

        An index knows only the latest state.
        """
        store = self._store
        with store._lock:
            if store._committed > self.version:
                return None
            index = store._indexes.get(plan.shape)
            if index is None:
                collections = self.collections(query.scope)
                documents = sum(self.count(collection) for collection in collections)
                if not indexes.FEWEST <= documents <= indexes.MOST:
                    return None
                everything = chain.from_iterable(
                    self.scan(collection, Bounds(), (), _BUILT_AT_ONCE)
                    for collection in collections
                )
                index = Index(plan.shape, everything)
                store._indexes.keep(index)
            return index.stretches(query, plan)

    def _contents(self, documents: Iterator[Document]) -> Iterator[Found]:
        """Read documents in a given order, in batches that grow."""
        size = _FIRST_READ
        while batch := list(islice(documents, size)):
            contents = self.get_all(sorted(batch, key=lambda each: each.collection.path))
            for document in batch:
                if document in contents:
                    yield Found(document, contents[document])
            size = min(2 * size, _IDS_A_STATEMENT)

    def count(self, collection: Collection) -> int:
        """Return the number of documents in a collection."""
        number = self._store._ids.get(collection)
        if number is None:
            return 0
        store = self._store
        with store._lock:
            if store._committed <= self.version:
                sql = "SELECT count(*) FROM documents WHERE collection = ?"
                return int(store._sql.execute(sql, (number,)).fetchone()[0])
        return sum(1 for _ in self.scan(collection, Bounds(), (), 1000))

    def collections(self, scope: Scope) -> list[Collection]:
        """Return the collections of a scope that may have documents, by path."""
        one = scope.collection
        if one is not None:
            return [one]
        with self._store._lock:
            known = list(self._store._by_database.get(scope.parent.database, ()))
        return sorted(
            (each for each in known if scope.covers(each)), key=lambda each: each.path.split("/")
        )

    def has_documents(self, collection: Collection) -> bool:
        return next(self.scan(collection, Bounds(), (), 1), None) is not None

    def children(self, parent: Parent) -> list[str]:
        """Return the sorted ids directly below a parent that have a document at any depth.

        Below a document, they are collection ids. Below a collection (a path with an odd number of
        ids), they are document ids.
        """
        everything = Scope(Parent(parent.database, ""), "", True)
        found: set[str] = set()
        for collection in self.collections(everything):
            if collection.path.startswith(parent.prefix):
                child = collection.path[len(parent.prefix) :].partition("/")[0]
                if child not in found and self.has_documents(collection):
                    found.add(child)
        return sorted(found)

    def changed_since(self, scope: Scope, version: int) -> bool:
        """Return True if a document of a scope may have changed after a version."""
        with self._store._lock:
            if self._store._committed <= version:
                return False
            one = scope.collection
            if one is not None:
                return self._store._touched.get(one, 0) > version
            return any(
                touched > version and scope.covers(collection)
                for collection, touched in self._store._touched.items()
            )
