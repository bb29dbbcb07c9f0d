"""Every kind of document in Firestore: where it lies, who may read it, and whether it is personal.

`firestore.rules` says the same to Firestore, and docs/security.md to people; tests hold all three,
and what the pipeline really writes, against this table.
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
    """Where it lies; `{…}` stands for one id."""
    read_by: Reader
    """`connection`: the users of that connection, and staff. `staff`: staff alone.

    Clients write nothing: the functions, which do, do not come through the rules.
    """
    personal: bool
    """Whether it holds what is known of a person."""

    def matches(self, path: str) -> bool:
        """Whether a document's path is of this kind."""
        return bool(re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", self.path), path))

    def at(self, connection: str, id: str = "x1") -> str:
        """Return the path of a document of this kind of a connection, every other id being `id`."""
        return re.sub(r"\{\w+\}", id, self.path.replace("{connection}", connection))


def _of_type(type_: FileType) -> DocumentKind:
    """Return the kind of the documents that files of a type become."""
    id = "person" if type_.key.person == "id" else type_.document.split()[-1]
    return DocumentKind(
        path=f"connections/{{connection}}/{type_.collection}/{{{id}}}",
        read_by=type_.read_by,
        personal=type_.personal,
    )


KINDS: tuple[DocumentKind, ...] = (
    DocumentKind(
        path="connections/{connection}",
        read_by="staff",
        personal=False,
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
        path="erasures/{erasure}",
        read_by="staff",
        personal=False,
    ),
)


def kind_of(path: str) -> DocumentKind | None:
    """Return the kind of the document at a path; None for one that this table does not know."""
    return next((kind for kind in KINDS if kind.matches(path)), None)
