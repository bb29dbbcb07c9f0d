"""Stores queues and tasks on disk. Acknowledged changes survive the end of the process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulators.database import open_database, transaction
from local.emulators.tasks.messages import Queue, Task

FILE = "tasks.sqlite3"
"""Name of the database, within the folder of the server."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS queues (name TEXT PRIMARY KEY, message BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tasks (
    name TEXT PRIMARY KEY, message BLOB NOT NULL, executions INTEGER NOT NULL, previous INTEGER
);
CREATE TABLE IF NOT EXISTS tombstones (name TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tombstones_until ON tombstones (until);
"""


@dataclass(slots=True)
class Held:
    """A task, with facts about its attempts for which the message has no field."""

    task: Any
    """The `Task` message, with its body."""
    executions: int = 0
    """Attempts that the handler answered with anything but 5xx."""
    previous: int | None = None
    """HTTP status of the last attempt that ended; 504 where there was no response."""


class Store:
    """The database. Every method is one transaction; it is for one thread at a time."""

    def __init__(self, directory: Path) -> None:
        """Open the database in `directory`, making both where they are missing.

        Raises:
            InUse: another process has it open.
        """
        self._db = open_database(
            directory / FILE, lambda db: db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        )

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def queues(self) -> Iterator[Any]:
        """Yield every queue."""
        for (message,) in self._db.execute("SELECT message FROM queues"):
            yield Queue.FromString(message)

    def tasks(self) -> Iterator[Held]:
        """Yield every task, in order of creation."""
        rows = self._db.execute("SELECT message, executions, previous FROM tasks ORDER BY rowid")
        for message, executions, previous in rows:
            yield Held(Task.FromString(message), executions, previous)

    def put_queue(self, queue: Any) -> None:
        """Keep a queue as it is now."""
        self._db.execute(
            "INSERT INTO queues VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET message = excluded.message",
            (queue.name, queue.SerializeToString()),
        )

    def put_task(self, held: Held) -> None:
        """Keep a task as it is now."""
        self._db.execute(
            "INSERT INTO tasks VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " message = excluded.message, executions = excluded.executions,"
            " previous = excluded.previous",
            (held.task.name, held.task.SerializeToString(), held.executions, held.previous),
        )

    def bury(self, names: Iterable[str], *, now: float, until: float) -> None:
        """Remove queues or tasks, and refuse their names to new ones until `until`."""
        with transaction(self._db):
            self._db.execute("DELETE FROM tombstones WHERE until <= ?", (now,))
            for name in names:
                self._db.execute("DELETE FROM tasks WHERE name = ?", (name,))
                self._db.execute("DELETE FROM queues WHERE name = ?", (name,))
                self._db.execute(
                    "INSERT OR REPLACE INTO tombstones VALUES (?, ?)",
                    (name, until),
                )

    def is_buried(self, name: str, *, now: float) -> bool:
        """Return True if the name of a removed queue or task is still refused."""
        row = self._db.execute(
            "SELECT 1 FROM tombstones WHERE name = ? AND until > ?", (name, now)
        ).fetchone()
        return row is not None
