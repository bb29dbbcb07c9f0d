"""What the ledger says of a file that is loaded in shards: how it was split, how far they are.

A shard is all rows of a file whose keys' hashes begin alike. It is loaded by tasks of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any

from shared.core import camel
from shared.ledger.parts import PORTIONS, StateObject

TOLD = timedelta(seconds=5)
"""How often the shards, whichever of them, tell the import's own document how far they are."""
HELD = timedelta(minutes=10)
"""How long an import stays held on behalf of its shards: longer than a task is late, as a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One splitting of a file."""

    id: str
    """Names it, and holds the import's lease on behalf of the shards."""
    shards: int
    """How many, a power of two."""
    at_once: int
    """How many of them are loaded at a time."""
    ended: int = 0
    read: int
    """Rows of the file."""
    rejected: int
    """Those of them that were found wrong when it was split."""
    base: str
    """What the feed's `base` must be for the shards to go on."""
    verdict: StateObject
    """The object that holds what was found when the file was split."""

    def lane(self, number: int) -> range:
        """Return the shards that are loaded one after the other, from one of them on."""
        return range(number, self.shards, self.at_once)

    def to_document(self) -> dict[str, Any]:
        """Return the fields as Firestore keeps them."""
        return {key: getattr(self, name) for name, key in _KEYS} | {"verdict": asdict(self.verdict)}

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Split:
        """Read the fields."""
        values = {name: data[key] for name, key in _KEYS}
        return cls(**values | {"verdict": StateObject(**data["verdict"])})


_KEYS = tuple((spec.name, camel(spec.name)) for spec in fields(Split))


def shards_of(size: int, *, shard_bytes: int) -> int:
    """Return into how many shards a file of so many bytes is split; 1: it is not."""
    shards = 1
    while shards < PORTIONS and size > shards * shard_bytes:
        shards *= 2
    return shards
