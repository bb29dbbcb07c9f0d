"""The SQLite database of a local server; one process at a time has it open."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path


class InUse(Exception):
    """A database that another process has open."""


def open_database(
    path: Path, prepare: Callable[[sqlite3.Connection], object]
) -> sqlite3.Connection:
    """Open a database, making its file and its folder where they are missing.

    `prepare` makes the tables where they are missing.

    Raises:
        InUse: another process has it open.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(
        path, timeout=0.5, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    try:
        # Held permanently: two servers on one folder would spoil each other's work.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        # Safe if the process is killed; only a power cut could lose the last commits.
        database.execute("PRAGMA synchronous = NORMAL")
        prepare(database)
    except BaseException as error:
        database.close()
        busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
        if busy and isinstance(error, sqlite3.OperationalError):
            raise InUse(f"{path.parent} is in use by another {path.stem} server.") from error
        raise
    return database


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Commit all changes made within, or none."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
