"""Detection of documents that are loaded while the one that they refer to is not in Firestore.

A type names what its documents refer to (`FileType.refers_to`). Example: an order of a customer who
is in no customers file yet is loaded, and counted as orphaned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from shared.core import Problem, phrases
from shared.files.types import FileType
from shared.firestore.bulk import LOOKED_UP, KnownDocuments
from shared.parsing import Block

SAMPLES = 10
"""Orphaned documents that the ledger names."""

WAITING = 2_000
"""Documents that wait at most when many refer to one. The limit keeps memory flat."""


class Referring(NamedTuple):
    """A document that refers to another one, and may turn out to be an orphan."""

    place: int
    """Place among the keys of the file."""
    line: int
    key: str


class Orphans:
    """Finds orphans among the documents that an import loads.

    A document waits until there are enough unknown documents for one call.

    Attributes: sample: line and key of the first few found.
    """

    def __init__(
        self, others: KnownDocuments, found: Callable[[Sequence[Referring]], None]
    ) -> None:
        """Begin; `found` is called with each orphan once."""
        self._others = others
        self._found = found
        self._waiting: dict[str, list[Referring]] = {}
        """Waiting documents by the id of the document that they refer to."""
        self._waits = 0
        self.sample: list[tuple[int, str]] = []

    def see(self, documents: Block) -> None:
        """Take documents that are loaded.

        Raises:
            TryAgain: Firestore could not be reached.
        """
        known = self._others.remembered(documents.refers_to)
        if all(known):
            return
        orphans = []
        for at, there in enumerate(known):
            if there:
                continue
            document = Referring(documents.places[at], documents.lines[at][-1], documents.keys[at])
            if there is None:
                self._waiting.setdefault(documents.refers_to[at], []).append(document)
                self._waits += 1
            else:
                orphans.append(document)
        self._tell(orphans)
        if len(self._waiting) >= LOOKED_UP or self._waits >= WAITING:
            self.settle()

    def settle(self) -> None:
        """Look up the documents that all waiting ones refer to.

        Raises:
            TryAgain: Firestore could not be reached.
        """
        waiting, self._waiting, self._waits = self._waiting, {}, 0
        found = self._others.look_up(waiting)
        self._tell([one for id in waiting if not found[id] for one in waiting[id]])

    def _tell(self, orphans: Sequence[Referring]) -> None:
        if orphans:
            self._found(orphans)
            self.sample += [(one.line, one.key) for one in orphans[: SAMPLES - len(self.sample)]]


def orphans_found(type_: FileType, orphaned: int, sample: Iterable[tuple[int, str]]) -> Problem:
    """Return the warning that `orphaned` documents refer to documents that are not in Firestore.

    `sample` is line and key of some of them; the first few are named.
    """
    one, other = type_.orphan
    named = [key for _, key in sorted(sample)[:SAMPLES]]
    return Problem(
        code="order.customer_unknown",
        message=(
            f"{phrases.count(orphaned, one)} loaded whose {other} is not in Firestore, "
            f"among them {', '.join(named)}."
        ),
    )
