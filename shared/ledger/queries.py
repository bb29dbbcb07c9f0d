"""Queries of the ledger: a filter of imports, and their totals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.firestore import Slice
from shared.ledger.imports import Status
from shared.ledger.paths import import_path, imports_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """A filter of imports; None and empty parts filter nothing."""

    connection: str | None = None
    type: str | None = None
    statuses: tuple[Status, ...] = ()
    """Any of these statuses; empty: any status."""
    since: datetime | None = None
    """Earliest upload, inclusive."""
    before: datetime | None = None
    """Latest upload, exclusive."""
    after: tuple[datetime, str, str] | None = None
    """Upload time, connection and id of the last import of the page before, newest first."""

    def slice(self) -> Slice:
        """Return the filter as a query of the database."""
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
    """Number of files, and of their rows by outcome."""

    files: int = 0
    loaded: int = 0
    unchanged: int = 0
    rejected: int = 0
