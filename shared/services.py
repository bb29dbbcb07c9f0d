"""Where the dependencies meet: clients, queue, settings and clock of a running function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shared.core import Deployment

# Google's libraries take far longer to import than all else that a function does with an event
# that is none of its business: each is imported when its client is first used.
if TYPE_CHECKING:
    import google.cloud.storage as storage

    from shared.firestore.bulk import Lookups
    from shared.ledger import LedgerStore, Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything the handlers need from outside."""

    deployment: Deployment
    ledger: LedgerStore
    documents: Lookups
    """The calls that read and write the retailers' documents."""
    bucket: storage.Bucket
    """The bucket that the uploads land in."""
    queue: Queue
    now: Callable[[], datetime]
    paced: bool = False
    """Whether the database is Firestore itself, which has to be led up to many writes."""
