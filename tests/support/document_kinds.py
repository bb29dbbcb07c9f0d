"""Kinds of documents in Firestore: path, readers, and if they hold personal data.

Tests compare this table with `firestore.rules`, docs/security.md and the documents that the
pipeline writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from shared.files.types import FileType, all_types

Reader = Literal["connection", "staff"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentKind:
    """One kind of document."""

    path: str
    """Path with `{…}` for each id, e.g. `connections/{connection}/orders/{order}`."""
    read_by: Reader
    """`connection`: the users of that connection, and staff. `staff`: only staff. Shoppers read
    only what `shopper` says.

    Clients never write. The functions write, and the rules do not apply to them.
    """
    shopper: str = ""
    """Place of the id of the person who reads the document: `id` for the document's own id, or a
    field. "" if no shopper reads it."""
    personal: bool
    """True if the documents hold personal data."""

    def matches(self, path: str) -> bool:
        """True if a document's path is of this kind."""
        return bool(re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", self.path), path))

    def at(self, connection: str, id: str = "x1") -> str:
        """Return the path of a document of this kind, with `id` for every id but the connection."""
        return re.sub(r"\{\w+\}", id, self.path.replace("{connection}", connection))


def _of_type(type_: FileType) -> DocumentKind:
    """Return the kind of the documents that a type's files are loaded into."""
    id = "person" if type_.key.person == "id" else type_.document.split()[-1]
    column = type_.column_of("id") if type_.read_by == "connection" else None
    field = column.field if column is not None else ""
    return DocumentKind(
        path=f"connections/{{connection}}/{type_.collection}/{{{id}}}",
        read_by=type_.read_by,
        shopper="id" if column is type_.key else field,
        personal=type_.personal,
    )


KINDS: tuple[DocumentKind, ...] = (
    DocumentKind(
        path="connections/{connection}",
        read_by="staff",
        personal=True,
    ),
    *(_of_type(type_) for type_ in all_types()),
    DocumentKind(
        path="connections/{connection}/imports/{import}",
        read_by="connection",
        personal=False,
    ),
    DocumentKind(
        path="connections/{connection}/imports/{import}/generations/{generation}",
        read_by="connection",
        personal=False,
    ),
    DocumentKind(
        path="connections/{connection}/imports/{import}/shards/{shard}",
        read_by="staff",
        personal=False,
    ),
    DocumentKind(
        path="connections/{connection}/feeds/{type}",
        read_by="staff",
        personal=False,
    ),
    DocumentKind(
        path="alerts/{alert}",
        read_by="staff",
        personal=False,
    ),
    DocumentKind(
        path="mail/{mail}",
        read_by="staff",
        personal=True,
    ),
    DocumentKind(
        path="mailboxes/{connection}",
        read_by="staff",
        personal=True,
    ),
    DocumentKind(
        path="sweeps/{sweep}",
        read_by="staff",
        personal=False,
    ),
    DocumentKind(
        path="erasures/{erasure}",
        read_by="staff",
        personal=False,
    ),
)
