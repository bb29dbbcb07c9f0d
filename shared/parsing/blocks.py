"""Documents as a file describes them: one of them, or a block of them column by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.firestore.bulk import decode_content

INCOMPLETE = "incomplete"
"""Field that is true in a document with a rejected row."""


@dataclass(slots=True, kw_only=True)
class Incoming:
    """One document as a file describes it."""

    key: str
    wire: bytes = field(repr=False)
    """Document without `source`, as `encode_content` makes it."""
    keep: frozenset[str]
    """Paths of fields that the file leaves open: the stored values are kept."""
    lines: tuple[int, ...]
    """Lines of the rows that the document was made from. The last one is the row that counts."""
    place: int = field(default=0, repr=False)
    """Place of its key among the plan's keys."""
    refers_to: str = field(default="", repr=False)
    """Key of the customer that an order belongs to; "" for other documents."""
    incomplete: bool = False
    """True if a row of the document was rejected, so that it lacks an item."""

    @property
    def line(self) -> int:
        """Line of the row whose content the document has."""
        return self.lines[-1]

    @property
    def content(self) -> dict[str, Any]:
        """Document without `source`."""
        return decode_content(self.wire)


@dataclass(slots=True)
class Block(Sequence[Incoming]):
    """Several documents as a file describes them: lists of one length, like `Incoming`."""

    keys: list[str] = field(default_factory=list)
    wires: list[bytes] = field(default_factory=list, repr=False)
    keep: list[frozenset[str]] = field(default_factory=list)
    lines: list[tuple[int, ...]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    refers_to: list[str] = field(default_factory=list, repr=False)
    """Empty if the documents refer to nothing."""
    incomplete: list[bool] = field(default_factory=list)
    """Empty if all documents are complete."""

    def some(self, which: NDArray[np.bool_]) -> Block:
        """Return the marked documents."""
        if which.all():
            return self
        if not which.any():
            return Block()
        marks = which.tolist()
        return Block(*([*compress(column, marks)] for column in self._columns()))

    def part(self, which: slice) -> Block:
        """Return the documents at some places."""
        return Block(*(column[which] for column in self._columns()))

    def lots(self, size: int) -> Iterator[Block]:
        """Yield the documents in blocks of at most `size`, neighbours in different blocks.

        The database often stores keys that follow each other next to each other, too. Spread like
        this, they are not written at the same time.
        """
        count = -(-len(self) // size)
        for first in range(count):
            yield self if count == 1 else self.part(slice(first, None, count))

    @property
    def rows(self) -> int:
        """Number of rows that the documents were made from."""
        return sum(map(len, self.lines))

    def _columns(self) -> Iterator[list[Any]]:
        return (getattr(self, one.name) for one in fields(self))

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, at: int) -> Incoming:  # type: ignore[override]
        return Incoming(
            key=self.keys[at],
            wire=self.wires[at],
            keep=self.keep[at],
            lines=self.lines[at],
            place=self.places[at],
            refers_to=self.refers_to[at] if self.refers_to else "",
            incomplete=bool(self.incomplete) and self.incomplete[at],
        )

    def __iter__(self) -> Iterator[Incoming]:
        return map(self.__getitem__, range(len(self.keys)))
