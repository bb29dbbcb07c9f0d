"""Which rows of a file count: of one key the winner, of a grouped document the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from pandas.util import hash_array

OPEN_ROWS_LIMIT = 50_000
"""Rows of unfinished documents held in memory at most; a file that needs more is read in parts."""

_RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("updated", "<i8"), ("ordinal", "<i8")])
_PILES = 16  # as many as four bits tell apart
"""Piles that the keys are sorted on, so that planning needs little more memory than seeing."""


class Keys(NamedTuple):
    """Keys of documents as their hashes, each once, sorted by `high`, then `low`."""

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]


class Planner:
    """Sees every good row of a file once and then says which count.

    Keeps 32 bytes a row and no text. Keys are told apart by 128 bits of hashes.
    """

    def __init__(self) -> None:
        self._piles: list[list[NDArray[Any]]] = [[] for _ in range(_PILES)]
        self._size = 0

    def see(self, keys: Sequence[str], updated: npt.ArrayLike, ordinals: npt.ArrayLike) -> None:
        """Take note of rows; each ordinal is seen once, in rising order.

        `updated` are numbers that rise with the time of the rows' last change.
        """
        if keys:
            self.see_hashes(hashes(keys), updated, ordinals)

    def see_hashes(
        self,
        found: NDArray[np.uint64],
        updated: npt.ArrayLike,
        ordinals: npt.ArrayLike,
    ) -> None:
        """Take note of rows, one at least, by the `hashes` of their keys; else like `see`."""
        rows = np.empty(len(found), _RECORD)
        rows["high"], rows["low"] = found.T
        rows["updated"] = updated
        rows["ordinal"] = ordinals
        self._size = int(rows["ordinal"][-1]) + 1
        pile = rows["high"] >> np.uint64(60)
        for number, rest in enumerate(self._piles):
            rest.append(rows[pile == number])

    def plan(self, *, grouped: bool, open_rows_limit: int = OPEN_ROWS_LIMIT) -> Plan:
        """Return the plan for all rows seen; nothing is left of them here."""
        places = np.full(self._size, -1, dtype=np.int32)
        opened = np.zeros(self._size + 1, dtype=np.int32)
        high: list[NDArray[np.uint64]] = []
        low: list[NDArray[np.uint64]] = []
        documents = rows = 0
        by = ("ordinal",) if grouped else ("ordinal", "updated")
        for pile in self._piles:
            if not pile:
                continue
            seen = np.concatenate(pile)
            pile.clear()
            seen = seen[np.lexsort([*(seen[name] for name in by), seen["low"], seen["high"]])]
            last_of_key = np.ones(len(seen), dtype=bool)
            last_of_key[:-1] = (seen["high"][1:] != seen["high"][:-1]) | (
                seen["low"][1:] != seen["low"][:-1]
            )
            if grouped:
                _count_open(opened, seen["ordinal"], last_of_key)
            rows += len(seen)
            place = documents + np.cumsum(last_of_key, dtype=np.int32) - last_of_key
            places[seen["ordinal"]] = np.where(last_of_key, place, ~place)
            seen = seen[last_of_key]
            documents += len(seen)
            high.append(seen["high"].copy())
            low.append(seen["low"].copy())
        most = int(np.cumsum(opened, out=opened).max(initial=0))
        none = np.empty(0, np.uint64)
        return Plan(
            places=places,
            keys=Keys(np.concatenate([none, *high]), np.concatenate([none, *low])),
            repeated=rows - documents,
            partitions=max(1, -(-most // open_rows_limit)),
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

    def places(self, ordinals: npt.ArrayLike) -> NDArray[np.int64]:
        """Return where in `keys` the keys of rows are; of rows that do not count, `~place`, which
        is less than 0.

        A row counts that wins over the others of its key (ungrouped) or completes its document.
        Only rows that were seen have a place.
        """
        return self._places[np.asarray(ordinals, dtype=np.int64)].astype(np.int64)

    def partition(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """Return the parts that keys belong to, from 0."""
        if self.partitions == 1 or not keys:
            return np.zeros(len(keys), np.int64)
        return (hashes(keys)[:, 1] % np.uint64(self.partitions)).astype(np.int64)


def _count_open(
    opened: NDArray[np.int32], ordinals: NDArray[Any], last_of_key: NDArray[np.bool_]
) -> None:
    """Note at each row by how much it changes the number of rows held, if each key is let go at
    its last row.

    `ordinals` are sorted by key, then in file order; `last_of_key` marks each key's last.
    """
    ends = np.flatnonzero(last_of_key)
    opened[ordinals] += 1
    opened[ordinals[ends] + 1] -= np.diff(ends, prepend=-1).astype(np.int32)


def halves(key: str) -> tuple[int, int]:
    """Return the 128 bits that a key is told apart by, as two numbers: high and low."""
    high, low = hashes([key])[0].tolist()
    return high, low


def hashes(keys: Sequence[str]) -> NDArray[np.uint64]:
    """Return the `halves` of each key, a row a key."""
    return np.stack([hash64(keys, key) for key in _HALVES], axis=1)


def hash64(values: Sequence[str] | Sequence[bytes], key: str) -> NDArray[np.uint64]:
    """Return 64 bits of each value: its SipHash-2-4 with a key of 16 characters.

    What is recorded in the index is made of them: they must be the same for ever.
    """
    found: NDArray[np.uint64] = hash_array(
        np.fromiter(values, object, len(values)), hash_key=key, categorize=False
    )
    return found


_HALVES = ("key of document1", "key of document2")
"""With two keys there are 128 bits, as independent of each other as can be."""
