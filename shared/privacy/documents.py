"""Every kind of document in Firestore: where it lies, who may read it, and whether it is personal.

`firestore.rules` says the same to Firestore, and docs/security.md to people; tests hold all three,
and what the pipeline really writes, against this table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

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
    holds: str

    def matches(self, path: str) -> bool:
        """Whether a document's path is of this kind."""
        return bool(re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", self.path), path))

    def at(self, connection: str, id: str = "x1") -> str:
        """Return the path of a document of this kind of a connection, every other id being `id`."""
        return re.sub(r"\{\w+\}", id, self.path.replace("{connection}", connection))


KINDS: tuple[DocumentKind, ...] = (
    DocumentKind(
        path="connections/{connection}",
        read_by="staff",
        personal=False,
        holds="the connection's settings, and the team's notes on it",
    ),
    DocumentKind(
        path="connections/{connection}/customers/{person}",
        read_by="connection",
        personal=True,
        holds="a person",
    ),
    DocumentKind(
        path="connections/{connection}/orders/{order}",
        read_by="connection",
        personal=True,
        holds="an order, and whose it is",
    ),
    DocumentKind(
        path="connections/{connection}/rewards/{person}",
        read_by="connection",
        personal=True,
        holds="a person's reward account",
    ),
    DocumentKind(
        path="connections/{connection}/imports/{import}",
        read_by="connection",
        personal=False,
        holds="what became of an export file",
    ),
    DocumentKind(
        path="connections/{connection}/imports/{import}/generations/{generation}",
        read_by="connection",
        personal=False,
        holds="what became of an earlier upload of that file",
    ),
    DocumentKind(
        path="connections/{connection}/imports/{import}/shards/{shard}",
        read_by="staff",
        personal=False,
        holds="how far a part of a large file is, while that is being loaded",
    ),
    DocumentKind(
        path="connections/{connection}/feeds/{type}",
        read_by="staff",
        personal=False,
        holds="the pipeline's own notebook of a type of file",
    ),
    DocumentKind(
        path="alerts/{alert}",
        read_by="staff",
        personal=False,
        holds="what needs somebody's attention, of all connections",
    ),
    DocumentKind(
        path="erasures/{erasure}",
        read_by="staff",
        personal=False,
        holds="that a person was erased, without saying who; what is to be found, until it is done",
    ),
)


def kind_of(path: str) -> DocumentKind | None:
    """Return the kind of the document at a path; None for one that this table does not know."""
    return next((kind for kind in KINDS if kind.matches(path)), None)
