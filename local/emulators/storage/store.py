"""Stores buckets, objects, uploads and events on disk. Acknowledged changes survive a kill."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulators.database import open_database, transaction
from local.emulators.storage.model import Bucket, Object

FILE = "storage.sqlite3"
"""Name of the database, within the folder of the server."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (
    name TEXT PRIMARY KEY, created INTEGER NOT NULL, updated INTEGER NOT NULL,
    metageneration INTEGER NOT NULL, settings TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL,
    metageneration INTEGER NOT NULL, live INTEGER NOT NULL, content TEXT NOT NULL,
    size INTEGER NOT NULL, crc32c TEXT NOT NULL, md5 TEXT, components INTEGER,
    created INTEGER NOT NULL, updated INTEGER NOT NULL, deleted INTEGER, settings TEXT NOT NULL,
    PRIMARY KEY (bucket, name, generation)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS live_objects ON objects (bucket, name) WHERE live;
CREATE INDEX IF NOT EXISTS object_contents ON objects (content);
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, created INTEGER NOT NULL, content TEXT NOT NULL, state TEXT NOT NULL,
    plan TEXT NOT NULL, result TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, name TEXT NOT NULL,
    created INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS clock (last_generation INTEGER NOT NULL);
INSERT INTO clock SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM clock);
"""

_OBJECT = (
    "bucket, name, generation, metageneration, live, content, size, crc32c, md5, components,"
    " created, updated, deleted, settings"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A resumable upload."""

    id: str
    created: int
    """Microseconds since 1970."""
    content: str
    """Id of the file with the bytes that have arrived."""
    state: str
    """`open`, `done` or `cancelled`."""
    plan: dict[str, Any]
    """Description of the object to be made; the store does not read it."""
    result: str | None
    """The finished object's resource, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of a new object that is not delivered yet."""

    id: int
    bucket: str
    name: str
    created: int
    """Microseconds since 1970."""
    body: str
    """The object's resource, as JSON."""


class Store:
    """The database. Every use of it is within `transaction` or `reading`."""

    def __init__(self, directory: Path) -> None:
        """Open the database in `directory`, making both where they are missing.

        Raises:
            InUse: another process has it open.
        """
        self._lock = threading.RLock()
        self._db = open_database(
            directory / FILE, lambda db: db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        )

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes made within, or none. Nobody else sees a part of them."""
        with self._lock, transaction(self._db):
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Prevent changes while something is read."""
        with self._lock:
            yield

    def next_generation(self, now: int) -> int:
        """Return `now` in microseconds, or the last generation plus one if that is larger."""
        (last,) = self._db.execute("SELECT last_generation FROM clock").fetchone()
        generation = max(int(last) + 1, now)
        self._db.execute("UPDATE clock SET last_generation = ?", (generation,))
        return generation

    # -- buckets ----------------------------------------------------------------------------

    def bucket(self, name: str) -> Bucket | None:
        """Find a bucket."""
        row = self._db.execute("SELECT * FROM buckets WHERE name = ?", (name,)).fetchone()
        return _bucket(row) if row else None

    def buckets(self) -> list[Bucket]:
        """Return every bucket, by name."""
        return [_bucket(row) for row in self._db.execute("SELECT * FROM buckets ORDER BY name")]

    def put_bucket(self, bucket: Bucket) -> None:
        """Keep a bucket as it is now."""
        self._db.execute(
            "INSERT OR REPLACE INTO buckets VALUES (?, ?, ?, ?, ?)",
            (
                bucket.name,
                bucket.created,
                bucket.updated,
                bucket.metageneration,
                json.dumps(bucket.settings),
            ),
        )

    def drop_bucket(self, name: str) -> None:
        """Forget a bucket."""
        self._db.execute("DELETE FROM buckets WHERE name = ?", (name,))

    # -- objects ----------------------------------------------------------------------------

    def live(self, bucket: str, name: str) -> Object | None:
        """Find the generation that the plain name means."""
        row = self._db.execute(
            f"SELECT {_OBJECT} FROM objects WHERE bucket = ? AND name = ? AND live", (bucket, name)
        ).fetchone()
        return _object(row) if row else None

    def version(self, bucket: str, name: str, generation: int) -> Object | None:
        """Find one generation, live or not."""
        row = self._db.execute(
            f"SELECT {_OBJECT} FROM objects WHERE bucket = ? AND name = ? AND generation = ?",
            (bucket, name, generation),
        ).fetchone()
        return _object(row) if row else None

    def put(self, item: Object) -> None:
        """Keep an object as it is now."""
        self._db.execute(
            f"INSERT OR REPLACE INTO objects ({_OBJECT}) VALUES ({', '.join('?' * 14)})",
            (
                item.bucket,
                item.name,
                item.generation,
                item.metageneration,
                item.live,
                item.content,
                item.size,
                item.crc32c,
                item.md5,
                item.components,
                item.created,
                item.updated,
                item.deleted,
                json.dumps(item.settings),
            ),
        )

    def drop(self, item: Object) -> None:
        """Forget one generation of an object."""
        self._db.execute(
            "DELETE FROM objects WHERE bucket = ? AND name = ? AND generation = ?",
            (item.bucket, item.name, item.generation),
        )

    def scan(
        self, bucket: str, *, name: str, generation: int, versions: bool, limit: int
    ) -> list[Object]:
        """Return the first objects from a name and generation on, by UTF-8 name and generation."""
        rows = self._db.execute(
            f"SELECT {_OBJECT} FROM objects"
            " WHERE bucket = ? AND (name, generation) >= (?, ?) AND (live OR ?)"
            " ORDER BY bucket, name, generation LIMIT ?",
            (bucket, name, generation, versions, limit),
        )
        return [_object(row) for row in rows]

    def is_used(self, content: str) -> bool:
        """Return True if a file of content belongs to an object or an open upload."""
        row = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM objects WHERE content = ?1)"
            " OR EXISTS (SELECT 1 FROM uploads WHERE content = ?1 AND state = 'open')",
            (content,),
        ).fetchone()
        return bool(row[0])

    # -- uploads ----------------------------------------------------------------------------

    def upload(self, id: str) -> Upload | None:
        """Find an upload."""
        row = self._db.execute("SELECT * FROM uploads WHERE id = ?", (id,)).fetchone()
        if row is None:
            return None
        id, created, content, state, plan, result = row
        return Upload(
            id=id,
            created=created,
            content=content,
            state=state,
            plan=json.loads(plan),
            result=result,
        )

    def put_upload(self, upload: Upload) -> None:
        """Keep an upload as it is now."""
        self._db.execute(
            "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?)",
            (
                upload.id,
                upload.created,
                upload.content,
                upload.state,
                json.dumps(upload.plan),
                upload.result,
            ),
        )

    def drop_upload(self, id: str) -> None:
        """Forget an upload."""
        self._db.execute("DELETE FROM uploads WHERE id = ?", (id,))

    def drop_uploads(self, *, before: int) -> None:
        """Forget uploads that began before a moment."""
        self._db.execute("DELETE FROM uploads WHERE created < ?", (before,))

    # -- events -----------------------------------------------------------------------------

    def put_event(self, *, bucket: str, name: str, created: int, body: str) -> None:
        """Keep an event until it is delivered."""
        self._db.execute(
            "INSERT INTO events (bucket, name, created, body) VALUES (?, ?, ?, ?)",
            (bucket, name, created, body),
        )

    def events(self, *, after: int, limit: int) -> list[Event]:
        """Return the first events with a higher id, oldest first."""
        rows = self._db.execute(
            "SELECT id, bucket, name, created, body FROM events WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit),
        )
        return [
            Event(id=id, bucket=bucket, name=name, created=created, body=body)
            for id, bucket, name, created, body in rows
        ]

    def drop_event(self, id: int) -> None:
        """Forget an event."""
        self._db.execute("DELETE FROM events WHERE id = ?", (id,))


def _bucket(row: tuple[Any, ...]) -> Bucket:
    name, created, updated, metageneration, settings = row
    return Bucket(
        name=name,
        created=created,
        updated=updated,
        metageneration=metageneration,
        settings=json.loads(settings),
    )


def _object(row: tuple[Any, ...]) -> Object:
    *fields, settings = row
    item = dict(zip(_OBJECT_FIELDS, fields, strict=False), settings=json.loads(settings))
    return Object(**{**item, "live": bool(item["live"])})


_OBJECT_FIELDS = _OBJECT.split(", ")
