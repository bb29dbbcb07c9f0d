"""The record of the splitting of a file into shards, in its import's document.

A shard is the rows of a file whose keys' hashes begin with the same bits. Each shard is loaded by
its own tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from shared.ledger.parts import PORTIONS, StateObject

TOLD = timedelta(seconds=5)
"""Time between two updates of the import's progress by its shards."""
HELD = timedelta(minutes=10)
"""Length of the import's lease for its shards: longer than a task is usually late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One splitting of a file."""

    id: str
    """Unique id, which is also the owner of the import's lease for the shards."""
    shards: int
    """Number of shards, a power of two."""
    at_once: int
    """Number of shards that are loaded at the same time."""
    ended: int = 0
    """Number of shards that have ended."""
    read: int
    """Rows of the file."""
    rejected: int
    """Rows that were rejected when the file was split."""
    base: str
    """The feed's `base` when the file was split; if it changes, the shards cannot continue."""
    verdict: StateObject
    """The object that holds the checks' result from when the file was split."""

    def lane(self, number: int) -> range:
        """Return the shards that run one after the other, beginning with `number`.

        Example: of 8 shards, 3 at once, the lane from 1 is 1, 4, 7.
        """
        return range(number, self.shards, self.at_once)


def shards_of(size: int, *, shard_bytes: int) -> int:
    """Return the number of shards for a file of `size` bytes; 1: the file is not split.

    Example: 100 MiB with shards of 32 MiB give 4 shards.
    """
    shards = 1
    while shards < PORTIONS and size > shards * shard_bytes:
        shards *= 2
    return shards
