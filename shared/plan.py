"""Which rows of a file count: of one key the winner, of a grouped document the last."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.schemas import Row

OPEN_ROWS_LIMIT = 50_000
"""Rows of unfinished documents held in memory at most; a file that needs more is read in parts."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = np.iinfo(np.int64).min
_RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("updated", "<i8"), ("ordinal", "<i8")])


class Keys(NamedTuple):
    """Keys of documents as their hashes, each once, sorted by `high`, then `low`."""

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]


class Planner:
    """Sees every good row of a file once and then says which count.

    Keeps 32 bytes a row and no text. Keys are told apart by 128 bits of their BLAKE2b hash.
    """

    def __init__(self) -> None:
        self._parts: list[NDArray[Any]] = []

    def see(self, rows: Iterable[Row]) -> None:
        """Take note of rows; each ordinal is seen once, in rising order."""
        part = np.array(
            [(*halves(row.key), _microseconds(row.last_updated), row.ordinal) for row in rows],
            dtype=_RECORD,
        )
        if len(part):
            self._parts.append(part)

    def plan(self, *, grouped: bool, open_rows_limit: int = OPEN_ROWS_LIMIT) -> Plan:
        """Return the plan for all rows seen."""
        seen = np.concatenate(self._parts) if self._parts else np.empty(0, dtype=_RECORD)
        self._parts.clear()
        size = int(seen["ordinal"][-1]) + 1 if len(seen) else 0
        by = ("ordinal",) if grouped else ("ordinal", "updated")
        order = np.lexsort([*(seen[name] for name in by), seen["low"], seen["high"]])
        seen = seen[order]
        last_of_key = np.ones(len(seen), dtype=bool)
        last_of_key[:-1] = (seen["high"][1:] != seen["high"][:-1]) | (
            seen["low"][1:] != seen["low"][:-1]
        )
        documents = int(last_of_key.sum())
        places = np.full(size, -1, dtype=np.int32)
        places[seen["ordinal"][last_of_key]] = np.arange(documents, dtype=np.int32)
        partitions = 1
        if grouped and len(seen):
            most = _most_open(seen["ordinal"], last_of_key, size=size)
            partitions = -(-most // open_rows_limit)
        return Plan(
            places=places,
            keys=Keys(seen["high"][last_of_key], seen["low"][last_of_key]),
            repeated=len(seen) - documents,
            partitions=max(1, partitions),
        )


class Plan:
    """Says of every row whether it counts."""

    def __init__(
        self, *, places: NDArray[np.int32], keys: Keys, repeated: int, partitions: int
    ) -> None:
        self._places = places
        self.keys = keys
        """The keys of the documents that the file holds, in their order."""
        self.repeated = repeated
        """Rows beyond the first of their key."""
        self.partitions = partitions
        """Parts, by key, in which a grouped file is to be read to keep memory flat."""

    @property
    def documents(self) -> int:
        """How many documents the file holds."""
        return len(self.keys.high)

    def place(self, ordinal: int) -> int:
        """Return where in `keys` the key of a row is that counts."""
        return int(self._places[ordinal])

    def counts(self, ordinal: int) -> bool:
        """Whether the row wins over the others of its key (ungrouped) or completes its document."""
        return bool(self._places[ordinal] >= 0)

    def partition(self, key: str) -> int:
        """Return the part that a key belongs to, from 0."""
        return halves(key)[1] % self.partitions if self.partitions > 1 else 0


def _most_open(ordinals: NDArray[Any], last_of_key: NDArray[np.bool_], *, size: int) -> int:
    """Return the greatest number of rows held at once when each key is let go at its last row.

    `ordinals` are sorted by key, then in file order; `last_of_key` marks each key's last.
    """
    ends = np.flatnonzero(last_of_key)
    rows = np.diff(ends, prepend=-1)
    change = np.zeros(size + 1, dtype=np.int64)
    change[ordinals] = 1
    change[ordinals[ends] + 1] -= rows
    return int(np.cumsum(change).max(initial=0))


def halves(key: str) -> tuple[int, int]:
    """Return the 128 bits that a key is told apart by, as two numbers: high and low."""
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def _microseconds(moment: datetime | None) -> int:
    if moment is None:
        return int(_NEVER)
    span = moment - _EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
