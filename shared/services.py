"""The dependencies of every handler: ledger, documents, bucket, queue, settings and clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.core import ConnectionSettings, Deployment

# Google's libraries are slow to import. So each is imported when its client is first used, and an
# event that a function ignores needs none of them.
if TYPE_CHECKING:
    import google.cloud.storage as storage

    from shared.firestore.bulk import Lookups
    from shared.ledger import LedgerStore, Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The dependencies of a handler. Tests pass their own."""

    deployment: Deployment
    ledger: LedgerStore
    documents: Lookups
    """Calls that read and write the retailers' documents."""
    bucket: storage.Bucket
    """Bucket of the uploads."""
    queue: Queue
    now: Callable[[], datetime]
    paced: bool = False
    """True if the database is Firestore itself, whose rate of writes must grow slowly."""

    def settings_of(self, connection: str) -> ConnectionSettings:
        """Read the settings of a connection.

        Raises:
            SettingsError: a setting cannot be used.
            TryAgain: Firestore could not be reached.
        """
        return self.settings_from(connection, self.ledger.connection_document(connection))

    def settings_from(
        self, connection: str, document: Mapping[str, Any] | None
    ) -> ConnectionSettings:
        """Return the settings of a connection from its document, which was read already.

        Raises:
            SettingsError: a setting cannot be used.
        """
        return ConnectionSettings.from_document(
            document, connection=connection, deployment=self.deployment
        )
