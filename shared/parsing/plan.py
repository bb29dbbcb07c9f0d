"""Plan of a file's documents: the rows that have one key, and the last of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from shared.parsing.hashing import halves, hashes

NOWHERE = -(2**31)
"""Place of a row that has no part in any document; no key has this place."""

OPEN_ROWS_LIMIT = 50_000
"""Upper bound of the rows of unfinished documents in memory. A file that needs more is read in
parts."""

_RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("ordinal", "<i8")])
_AGED = np.dtype([*_RECORD.descr, ("exported", "<i8")])
_PILES = 16  # as many as four bits tell apart
"""Piles that the keys are sorted on, so that planning needs little more memory than seeing."""
SMALL = 20_000
"""Rows up to which a file is small."""


class Keys(NamedTuple):
    """Keys of documents as their hashes, each once, sorted by `high`, then `low`."""

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]


class Planner:
    """Sees every good row of a file once and then plans the documents.

    Keeps 24 bytes per row and no text. Keys are identified by 128 bits of hashes.
    """

    def __init__(self) -> None:
        self._piles: list[list[NDArray[Any]]] = [[] for _ in range(_PILES)]
        self._size = 0
        self._aged = False

    def see(
        self,
        keys: Sequence[str],
        ordinals: npt.ArrayLike,
        exported: npt.ArrayLike | None = None,
    ) -> None:
        """Record rows; each ordinal is seen once, in rising order.

        `exported` is the time of export of each row, as `micros`, for all rows of a file or for
        none.
        """
        if keys:
            self.see_hashes(hashes(keys), ordinals, exported)

    def see_hashes(
        self,
        found: NDArray[np.uint64],
        ordinals: npt.ArrayLike,
        exported: npt.ArrayLike | None = None,
    ) -> None:
        """Record rows, at least one, by the `hashes` of their keys; otherwise like `see`."""
        self._aged = exported is not None
        rows = np.empty(len(found), _AGED if self._aged else _RECORD)
        if exported is not None:
            rows["exported"] = exported
        rows["high"], rows["low"] = found.T
        rows["ordinal"] = ordinals
        self._size = int(rows["ordinal"][-1]) + 1
        pile = rows["high"] >> np.uint64(60)
        for number, rest in enumerate(self._piles):
            rest.append(rows[pile == number])

    def plan(
        self,
        *,
        rows_of_a_key: int | None = None,
        open_rows_limit: int = OPEN_ROWS_LIMIT,
        without: Sequence[str] = (),
    ) -> Plan:
        """Return the plan for all rows seen, and forget the rows.

        `rows_of_a_key` is the most rows of one key that are held at once; None: all. Rows of the
        keys `without` are treated as if they had not been seen.
        """
        removed = [*map(halves, without)]
        dropped = 0
        places = np.full(self._size, -1, dtype=np.int32)
        opened = np.zeros(self._size + 1, dtype=np.int32)
        high: list[NDArray[np.uint64]] = []
        low: list[NDArray[np.uint64]] = []
        several: list[NDArray[np.bool_]] = []
        documents = repeated = 0
        layers = np.zeros(self._size if self._aged else 0, dtype=np.int32)
        ages: list[_Ages] = []
        # The piles are in the order of their keys. One pile is less work for a small file.
        piles = self._piles if self._size > SMALL else [[*chain.from_iterable(self._piles)]]
        for pile in piles:
            if not pile:
                continue
            whole = np.concatenate(pile)
            pile.clear()
            seen = _sorted(whole, removed, aged=self._aged)
            dropped += len(whole) - len(seen)
            del whole
            if not len(seen):
                continue
            last = last_of_key = _last_of_key(seen)
            place = (
                documents + np.cumsum(last_of_key.astype(np.int32), dtype=np.int32) - last_of_key
            )
            if self._aged:
                last = last_of_key.copy()
                last[:-1] |= seen["exported"][1:] != seen["exported"][:-1]
                layer = _layers(last, last_of_key)
                layers[seen["ordinal"]] = layer
                ages.append(_Ages(place[last], layer[last], seen["exported"][last]))
            _count_open(opened, seen["ordinal"], last, rows_of_a_key)
            repeated += len(seen) - int(last.sum())
            places[seen["ordinal"]] = np.where(last, place, ~place)
            repeats = np.zeros(int(last_of_key.sum()), bool)
            repeats[place[last][np.diff(np.flatnonzero(last), prepend=-1) > 1] - documents] = True
            several.append(repeats)
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
            repeated=repeated,
            dropped=dropped,
            partitions=max(1, -(-most // open_rows_limit)),
            layers=layers if self._aged else None,
            exported=_exported(ages, documents),
        )


class Plan:
    """The document that every row belongs to, and the rows that complete a document."""

    def __init__(
        self,
        *,
        places: NDArray[np.int32],
        several: NDArray[np.bool_],
        keys: Keys,
        repeated: int,
        dropped: int,
        partitions: int,
        layers: NDArray[np.int32] | None,
        exported: Sequence[NDArray[np.int64]],
    ) -> None:
        self._places = places
        self.dropped = dropped
        """Rows that were seen and left out."""
        self._layers = layers
        self.exported = exported
        """Layer -> time of export of each document's rows, as `micros`; empty if all rows are as
        old as the file."""
        self._several = several
        self.keys = keys
        """Keys of the documents that the file holds, in order."""
        self.repeated = repeated
        """Rows beyond the first of their key and export."""
        self.partitions = partitions
        """Parts, by key, in which the file is read to keep memory flat."""

    @property
    def documents(self) -> int:
        """Number of documents in the file."""
        return len(self.keys.high)

    @property
    def layers(self) -> int:
        """Largest number of exports that the rows of one key come from.

        The latest export of each key is in layer 0, the one before it in layer 1. A file of several
        layers is loaded as if each layer was a file of its own.
        """
        return max(1, len(self.exported))

    def in_layer(self, ordinals: npt.ArrayLike, layer: int) -> NDArray[np.bool_]:
        """Mark the rows that are in a layer."""
        where = np.asarray(ordinals, dtype=np.int64)
        if self._layers is None:
            return np.ones(len(where), bool)
        mine: NDArray[np.bool_] = self._layers[where] == layer
        return mine

    def places(self, ordinals: npt.ArrayLike) -> NDArray[np.int64]:
        """Return the places in `keys` of the keys of rows.

        For a row that is not the last of its key and export, the result is `~place`, which is less
        than 0. Only rows that were seen have a place.
        """
        return self._places[np.asarray(ordinals, dtype=np.int64)].astype(np.int64)

    def alone(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Mark the rows, by their `places`, that are the only ones of their key and export."""
        if not self.repeated:
            return np.ones(len(places), bool)
        alone: NDArray[np.bool_] = ~self._several[np.where(places < 0, ~places, places)]
        return alone

    def partition(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """Return the parts that keys belong to, from 0."""
        if self.partitions == 1 or not keys:
            return np.zeros(len(keys), np.int64)
        return (hashes(keys)[:, 1] % np.uint64(self.partitions)).astype(np.int64)


class _Ages(NamedTuple):
    """Times of export of the rows of some documents."""

    places: NDArray[np.int32]
    layers: NDArray[np.int64]
    exported: NDArray[np.int64]


def _sorted(seen: NDArray[Any], without: Iterable[tuple[int, int]], *, aged: bool) -> NDArray[Any]:
    """Return the rows of a pile by key, then by export if they are `aged`, then in file order.

    Rows of the keys `without` are left out.
    """
    for high, low in without:
        seen = seen[(seen["high"] != np.uint64(high)) | (seen["low"] != np.uint64(low))]
    by = ["ordinal", *(["exported"] if aged else []), "low", "high"]
    return seen[np.lexsort([seen[name] for name in by])]


def _last_of_key(seen: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark the last row of each key; the rows are sorted by key."""
    last = np.ones(len(seen), bool)
    high, low = seen["high"], seen["low"]
    last[:-1] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return last


def _layers(last: NDArray[np.bool_], last_of_key: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the layer of each row, sorted by key and export; the last of each are marked."""
    numbers: NDArray[np.int64] = np.cumsum(last) - last  # of the pair of key and export, from 0
    ends = np.flatnonzero(last_of_key)
    latest: NDArray[np.int64] = np.repeat(numbers[ends], np.diff(ends, prepend=-1))
    return latest - numbers


def _exported(ages: Sequence[_Ages], documents: int) -> list[NDArray[np.int64]]:
    """Return `Plan.exported`."""
    count = 1 + max((int(one.layers.max(initial=0)) for one in ages), default=-1)
    exported = [np.zeros(documents, np.int64) for _ in range(count)]
    for layer, found in enumerate(exported):
        for one in ages:
            mine = one.layers == layer
            found[one.places[mine]] = one.exported[mine]
    return exported


def _count_open(
    opened: NDArray[np.int32],
    ordinals: NDArray[Any],
    last_of_key: NDArray[np.bool_],
    rows_of_a_key: int | None,
) -> None:
    """Record at each row the change of the number of rows held.

    Each key is let go at its last row, and at most `rows_of_a_key` rows of a key are held.
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
