"""Record of an erasure: its time and operator, but not the person, of whom it has a hash.

Until the erasure is complete, the record also has the e-mail addresses and order numbers to search
for. So an interrupted erasure can be finished, even if the documents with these values are gone.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.firestore import Fields
from shared.firestore.database import Database, Reads
from shared.privacy.traces import Person

_COST = (16_384, 8, 1)


@dataclass(frozen=True, slots=True)
class ErasureRecord:
    """The document `erasures/{id}`."""

    id: str
    data: Fields

    @classmethod
    def new(cls, connection: str, person_id: str, *, by: str, now: datetime) -> ErasureRecord:
        """Return the record of an erasure that begins; `by` is the operator."""
        data = {
            "connection": connection,
            "person": _hash(person_id, secrets.token_bytes(16)),
            "by": by,
            "startedAt": now,
            "finishedAt": None,
            "erased": {},
            "looked": {},
            "trail": None,
        }
        return cls(secrets.token_hex(10), data)

    @property
    def path(self) -> str:
        """Path of the document."""
        return f"erasures/{self.id}"

    @property
    def finished_at(self) -> datetime | None:
        """End of the erasure; None until it is complete."""
        at: datetime | None = self.data["finishedAt"]
        return at

    def followed(self, person: Person) -> Person:
        """Return a person with the e-mail addresses and orders that were still to search for."""
        trail = self.data.get("trail") or {}
        return person.knowing(emails=trail.get("emails", ()), orders=trail.get("orders", ()))

    def write(self, database: Database, person: Person | None, **changes: Any) -> ErasureRecord:
        """Write the record with changed fields; `person` as who is still to search for, if any."""
        trail = person and {"emails": sorted(person.emails), "orders": sorted(person.orders)}
        data = {**self.data, **changes, "trail": trail}
        write_document(database, self.path, data)
        return ErasureRecord(self.id, data)


def write_document(database: Database, path: str, data: Mapping[str, Any]) -> None:
    """Write a document, whatever it holds."""

    def change(_: Reads) -> tuple[None, dict[str, Fields]]:
        return None, {path: dict(data)}

    database.transact(change)


def records_of(connection: str, person_id: str, database: Database) -> list[ErasureRecord]:
    """Return the records of all erasures of this person."""
    return [
        ErasureRecord(id, data)
        for id, data in database.find("erasures", {"connection": connection}).items()
        if hmac.compare_digest(
            _hash(person_id, bytes.fromhex(data["person"].split("$")[4])), data["person"]
        )
    ]


def _hash(person_id: str, salt: bytes) -> str:
    """Return a salted scrypt hash of an id.

    The hash is slow on purpose: with a fast hash all ids could be tried, because there are few.
    """
    n, r, p = _COST
    digest = hashlib.scrypt(person_id.encode(), salt=salt, n=n, r=r, p=p, dklen=32)
    return f"scrypt${n}${r}${p}${salt.hex()}${digest.hex()}"
