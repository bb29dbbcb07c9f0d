"""Keys that an undoing affects, and the findings about each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.index import RECORD, UNKNOWN, IndexRecords, Stamp, Table, age_of, find
from shared.ledger import Age
from shared.parsing import Keys, hashes

_ROWS = np.dtype(
    [
        *(("high", "<u8"), ("low", "<u8")),
        *(("mine", "?"), ("partly", "?"), ("created", "?")),
        *(("exported", "<i8"), ("generation", "<i8")),
    ]
)
_BATCH = 10_000
"""Documents that are turned into rows at once."""


class AffectedDocument(NamedTuple):
    """A document with content from the import that is undone."""

    id: str
    whole: bool
    """True if the import wrote all of the content; False if only values that newer files left
    unchanged."""
    created: bool
    """True if the document was created after the import arrived."""
    stamp: Stamp
    """Age of the file that wrote the document last; zeros if that is the import, or if the document
    is incomplete."""


@dataclass(slots=True)
class AffectedKeys:
    """The keys whose latest known file is the import, or whose content comes from it."""

    keys: Keys
    mine: NDArray[np.bool_]
    """True for a key whose content comes from the import."""
    partly: NDArray[np.bool_]
    """True for a key whose content comes from a newer file that left values of the import
    unchanged."""
    created: NDArray[np.bool_]
    """True for a key whose document was created after the import arrived."""
    found: NDArray[np.bool_]
    """True for a key that another export holds."""
    exported: NDArray[np.int64]
    """Time of the latest of these exports, in microseconds since 1970."""
    generation: NDArray[np.int64]
    """Generation of the upload of that export."""
    incomplete: NDArray[np.bool_]
    """True for a key whose document is incomplete in each of these exports."""
    withdrawn: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    """Path of a consent -> time at which an undone import withdrew it.

    In microseconds since 1970; 0 if no such import withdrew it. The import that is being undone is
    included for keys that are not `mine`.
    """

    @classmethod
    def gather(
        cls, documents: Iterable[AffectedDocument], records: Iterable[IndexRecords], stamp: Stamp
    ) -> AffectedKeys:
        """Collect the keys of the documents, and those that the index knows from the import.

        `stamp` is the age of the import.
        """
        rows = [np.empty(0, _ROWS)]
        batch: list[AffectedDocument] = []
        for document in documents:
            batch.append(document)
            if len(batch) >= _BATCH:
                rows.append(_rows(batch))
                batch.clear()
        rows.append(_rows(batch))
        exported, generation = stamp
        for block in records:
            known = block[
                (block["exported"] == exported) | (np.abs(block["generation"]) == generation)
            ]
            some = np.zeros(len(known), _ROWS)
            some["high"], some["low"] = known["high"], known["low"]
            rows.append(some)
        return cls._of_rows(np.concatenate(rows))

    @classmethod
    def _of_rows(cls, rows: NDArray[Any]) -> AffectedKeys:
        """Combine the rows of each key."""
        rows = rows[np.lexsort((rows["low"], rows["high"]))]
        first = np.ones(len(rows), bool)
        first[1:] = (rows["high"][1:] != rows["high"][:-1]) | (rows["low"][1:] != rows["low"][:-1])
        starts = np.flatnonzero(first)
        count = len(starts)

        def any_(name: str) -> NDArray[np.bool_]:
            empty = np.zeros(0, bool)
            return np.logical_or.reduceat(rows[name], starts) if count else empty

        def highest(name: str) -> NDArray[np.int64]:
            empty = np.zeros(0, np.int64)
            return np.maximum.reduceat(rows[name], starts) if count else empty

        return cls(
            keys=Keys(rows["high"][first].copy(), rows["low"][first].copy()),
            mine=any_("mine"),
            partly=any_("partly"),
            created=any_("created"),
            found=np.zeros(count, bool),
            exported=highest("exported"),
            generation=highest("generation"),
            incomplete=np.zeros(count, bool),
        )

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self.found)

    def places(self, keys: Keys) -> NDArray[np.int64]:
        """Return the place of each key among the affected keys; -1 for one that is not affected."""
        rows = np.zeros(len(keys.high), RECORD)
        rows["high"], rows["low"] = keys
        return find(self.keys, rows)

    def note_found(self, places: NDArray[np.int64]) -> None:
        """Record that another export holds the keys at these places."""
        self.found[places] = True

    def note_age(self, place: int, stamp: Stamp, *, incomplete: bool) -> None:
        """Record the age of a document in another export; a complete document counts before all
        incomplete ones."""
        known = not self.incomplete[place], int(self.exported[place]), int(self.generation[place])
        if not self.exported[place] or (not incomplete, *stamp) > known:
            self.exported[place], self.generation[place] = stamp
            self.incomplete[place] = incomplete

    def note_withdrawn(self, place: int, path: str, micros: int) -> None:
        """Record the time at which an undone import withdrew a consent."""
        stamps = self.withdrawn.setdefault(path, np.zeros(len(self), np.int64))
        stamps[place] = max(stamps[place], micros)

    def withdrawn_at(self, place: int) -> dict[str, Age]:
        """Return the consent that `note_withdrawn` has recorded, with its age.

        The age names no upload (generation 0), so the consent belongs to no import.
        """
        found = {path: int(stamps[place]) for path, stamps in self.withdrawn.items()}
        return {path: age_of((stamp, 0)) for path, stamp in found.items() if stamp}

    def withdrawn_of(self, id: str) -> Mapping[str, Age]:
        """Return the result of `withdrawn_at` for the document with that id."""
        if not self.withdrawn:
            return {}
        row = np.zeros(1, RECORD)
        row["high"], row["low"] = hashes([id]).T
        place = int(find(self.keys, row)[0])
        return self.withdrawn_at(place) if place >= 0 else {}

    def index_table(self, lost: Iterable[Stamp]) -> Table:
        """Return the entries of the next index: the ages that are known, and no contents.

        `lost` are the ages of exports that are older than the import and can no longer be read.
        """
        table = Table(self.keys)
        known = np.flatnonzero(self.exported)
        table.put(
            known,
            content=UNKNOWN,
            updated=0,
            stamp=(self.exported[known], self.generation[known]),  # type: ignore[arg-type]
            incomplete=self.incomplete[known],
        )
        if newest := max(lost, default=None):
            # It is unknown what these exports confirmed, so files older than them must not count.
            unknown = np.flatnonzero(self.exported == 0)
            table.put(unknown, content=UNKNOWN, updated=0, stamp=newest)
        return table


def _rows(documents: Sequence[AffectedDocument]) -> NDArray[Any]:
    rows = np.zeros(len(documents), _ROWS)
    if documents:
        rows["high"], rows["low"] = hashes([one.id for one in documents]).T
        rows["mine"] = [one.whole for one in documents]
        rows["partly"] = [not one.whole for one in documents]
        rows["created"] = [one.created for one in documents]
        rows["exported"] = [one.stamp[0] for one in documents]
        rows["generation"] = [one.stamp[1] for one in documents]
    return rows
