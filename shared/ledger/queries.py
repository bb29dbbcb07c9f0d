"""Queries of the ledger: which imports, and their totals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.firestore import Slice
from shared.ledger.imports import Status

if TYPE_CHECKING:
    pass
from shared.ledger.paths import import_path, imports_path


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
