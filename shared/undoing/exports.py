"""Reads the other exports of a type again, and judges their rows again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.core import ConnectionSettings
from shared.files import ExportFile, Exports, read_name
from shared.files.types import FileType
from shared.index import Origin, age_of, origin_of
from shared.ledger import LOADED, Import, LedgerStore
from shared.ledger.uploads import Source
from shared.parsing import Examination, Incoming, Plan, Watcher
from shared.services import Services
from shared.undoing.affected import AffectedKeys


def ended_imports(ledger: LedgerStore, import_: Import, *statuses: str) -> list[Import]:
    """Return the other imports of the type: the latest-exported first, first loads last."""
    found = [
        one
        for one in ledger.find(import_.connection, type=str(import_.type))
        if one.status in statuses
        and one.mode != "test"
        and one.import_id != import_.import_id
        and one.exported_at is not None
    ]
    return sorted(
        found,
        key=lambda one: (one.mode == "load", one.exported_at, one.generation),
        reverse=True,
    )


def imports_that_count(ledger: LedgerStore, import_: Import) -> list[Import]:
    """Return the other imports of the type that loaded something and were not undone."""
    return [one for one in ended_imports(ledger, import_, *LOADED) if one.undone is None]


@dataclass(frozen=True, slots=True)
class OtherExport:
    """Another export, read and judged again."""

    examination: Examination
    plan: Plan
    places: NDArray[np.int64]
    """Place of each of its documents among the affected keys; -1 for a document that is not
    affected."""
    origin: Origin

    def layers(self) -> Iterator[Iterator[tuple[Incoming, int, Origin]]]:
        """Yield each layer of the plan, as documents, places of their keys, and ages of their rows.

        Only affected keys are included. One layer must be written before the next.
        """
        return (self._said(layer) for layer in range(self.plan.layers))

    def _said(self, layer: int) -> Iterator[tuple[Incoming, int, Origin]]:
        exported = self.plan.exported
        for block in self.examination.documents(self.plan, layer):
            places = self.places[np.array(block.places, np.int64)]
            for at in np.flatnonzero(places >= 0).tolist():
                origin = self.origin
                if exported:
                    exported_at = age_of((int(exported[layer][block.places[at]]), 0))[0]
                    origin = replace(origin, exported_at=exported_at, corrected=True)
                yield block[at], int(places[at]), origin


@dataclass(slots=True)
class HoldRenewal(Watcher):
    """A watcher that renews the hold on the feed while a file is read."""

    check: Callable[[], None]

    def beat(self, bytes_read: int, percent: int) -> None:
        """Make sure that the feed is still held."""
        self.check()


@dataclass(frozen=True, slots=True)
class ExportReader:
    """Reads other exports of a type, with the present settings of the connection."""

    services: Services
    settings: ConnectionSettings
    type: FileType
    check: Callable[[], None]
    """Makes sure that the feed is still held."""

    def read(self, other: Import, affected: AffectedKeys) -> OtherExport | None:
        """Read another export; return None if it holds none of the affected keys.

        Raises:
            FileRejected: its file is gone, or cannot be read.
        """
        self.check()
        named = read_name(other.object)
        if not isinstance(named, ExportFile) or not len(affected):
            return None
        examination = Examination(
            self.type,
            self.settings,
            open=Source(self.services.bucket, other).open,
            size=other.size,
            watcher=HoldRenewal(self.check),
            first_load=other.mode == "bulk",
            exports=Exports(named.type, latest=named.exported_at),
        )
        plan = examination.judge()
        places = affected.places(plan.keys)
        if not (places >= 0).any():
            return None
        return OtherExport(examination, plan, places, origin_of(other, named))
