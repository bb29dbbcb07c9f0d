"""Finds out which rows of a file have one key, and which of them is the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from pandas.util import hash_array

OPEN_ROWS_LIMIT = 50_000
"""Rows of unfinished documents held in memory at most; a file that needs more is read in parts."""

_RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("ordinal", "<i8")])
_PILES = 16  # as many as four bits tell apart
"""Piles that the keys are sorted on, so that planning needs little more memory than seeing."""


class Keys(NamedTuple):
    """Keys of documents as their hashes, each once, sorted by `high`, then `low`."""

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]


class Planner:
    """Sees every good row of a file once and then says which documents they make.

    Keeps 24 bytes a row and no text. Keys are told apart by 128 bits of hashes.
    """

    def __init__(self) -> None:
        self._piles: list[list[NDArray[Any]]] = [[] for _ in range(_PILES)]
        self._size = 0

    def see(self, keys: Sequence[str], ordinals: npt.ArrayLike) -> None:
        """Take note of rows; each ordinal is seen once, in rising order."""
        if keys:
            self.see_hashes(hashes(keys), ordinals)

    def see_hashes(self, found: NDArray[np.uint64], ordinals: npt.ArrayLike) -> None:
        """Take note of rows, one at least, by the `hashes` of their keys; else like `see`."""
        rows = np.empty(len(found), _RECORD)
        rows["high"], rows["low"] = found.T
        rows["ordinal"] = ordinals
        self._size = int(rows["ordinal"][-1]) + 1
        pile = rows["high"] >> np.uint64(60)
        for number, rest in enumerate(self._piles):
            rest.append(rows[pile == number])

    def plan(
        self, *, rows_of_a_key: int | None = None, open_rows_limit: int = OPEN_ROWS_LIMIT
    ) -> Plan:
        """Return the plan for all rows seen; nothing is left of them here.

        `rows_of_a_key` is how many rows of one key are held at once at most; None: all.
        """
        places = np.full(self._size, -1, dtype=np.int32)
        opened = np.zeros(self._size + 1, dtype=np.int32)
        high: list[NDArray[np.uint64]] = []
        low: list[NDArray[np.uint64]] = []
        several: list[NDArray[np.bool_]] = []
        documents = rows = 0
        for pile in self._piles:
            if not pile:
                continue
            seen = np.concatenate(pile)
            pile.clear()
            seen = seen[np.lexsort([seen["ordinal"], seen["low"], seen["high"]])]
            last_of_key = np.ones(len(seen), dtype=bool)
            last_of_key[:-1] = (seen["high"][1:] != seen["high"][:-1]) | (
                seen["low"][1:] != seen["low"][:-1]
            )
            _count_open(opened, seen["ordinal"], last_of_key, rows_of_a_key)
            rows += len(seen)
            place = documents + np.cumsum(last_of_key, dtype=np.int32) - last_of_key
            places[seen["ordinal"]] = np.where(last_of_key, place, ~place)
            several.append(np.diff(np.flatnonzero(last_of_key), prepend=-1) > 1)
            seen = seen[last_of_key]
            documents += len(seen)
            high.append(seen["high"].copy())
            low.append(seen["low"].copy())
        most = int(np.cumsum(opened, out=opened).max(initial=0))
        none = np.empty(0, np.uint64)
        return Plan(
            places=places,
            several=np.concatenate([np.empty(0, bool), *several]),
            keys=Keys(np.concatenate([none, *high]), np.concatenate([none, *low])),
            repeated=rows - documents,
            partitions=max(1, -(-most // open_rows_limit)),
        )


class Plan:
    """Says of every row to which document it belongs, and whether it completes that."""

    def __init__(
        self,
        *,
        places: NDArray[np.int32],
        several: NDArray[np.bool_],
        keys: Keys,
        repeated: int,
        partitions: int,
    ) -> None:
        self._places = places
        self._several = several
        self.keys = keys
        """The keys of the documents that the file holds, in their order."""
        self.repeated = repeated
        """Rows beyond the first of their key."""
        self.partitions = partitions
        """Parts, by key, in which the file is to be read to keep memory flat."""

    @property
    def documents(self) -> int:
        """How many documents the file holds."""
        return len(self.keys.high)

    def places(self, ordinals: npt.ArrayLike) -> NDArray[np.int64]:
        """Return where in `keys` the keys of rows are; of rows that are not the last of their key,
        `~place`, which is less than 0.

        Only rows that were seen have a place.
        """
        return self._places[np.asarray(ordinals, dtype=np.int64)].astype(np.int64)

    def alone(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Mark the rows, by their `places`, that are the only ones of their key."""
        if not self.repeated:
            return np.ones(len(places), bool)
        alone: NDArray[np.bool_] = ~self._several[np.where(places < 0, ~places, places)]
        return alone

    def partition(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """Return the parts that keys belong to, from 0."""
        if self.partitions == 1 or not keys:
            return np.zeros(len(keys), np.int64)
        return (hashes(keys)[:, 1] % np.uint64(self.partitions)).astype(np.int64)


def _count_open(
    opened: NDArray[np.int32],
    ordinals: NDArray[Any],
    last_of_key: NDArray[np.bool_],
    rows_of_a_key: int | None,
) -> None:
    """Note at each row by how much it changes the number of rows held, if each key is let go at
    its last row, and of each key no more than `rows_of_a_key` are held.

    `ordinals` are sorted by key, then in file order; `last_of_key` marks each key's last.
    """
    ends = np.flatnonzero(last_of_key)
    sizes = np.diff(ends, prepend=-1)
    if rows_of_a_key is None:
        opened[ordinals] += 1
    else:
        nth = np.arange(len(ordinals)) - np.repeat(ends + 1 - sizes, sizes)
        opened[ordinals] += nth < rows_of_a_key
        sizes = np.minimum(sizes, rows_of_a_key)
    opened[ordinals[ends] + 1] -= sizes.astype(np.int32)


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
