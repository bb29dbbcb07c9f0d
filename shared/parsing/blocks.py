"""What a file says about documents: one of them, or a block of them column by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.firestore.bulk import decode_content

INCOMPLETE = "incomplete"
"""The field that is true in a document one of whose rows was rejected."""


@dataclass(slots=True, kw_only=True)
class Incoming:
    """What a file says about one document."""

    key: str
    wire: bytes = field(repr=False)
    """The document without `source`, as `encode_content` makes it."""
    keep: frozenset[str]
    """Field paths that the file leaves open: what is stored there stays."""
    lines: tuple[int, ...]
    """The lines of the rows that it was made of, the last of which is the one that counts."""
    place: int = field(default=0, repr=False)
    """Where in the plan's keys its key is."""
    refers_to: str = field(default="", repr=False)
    """The key of the customer whom it belongs to, where it is an order."""
    incomplete: bool = False
    """Whether a row of it was rejected, so that it lacks an item."""

    @property
    def line(self) -> int:
        """The line of the row whose content it has."""
        return self.lines[-1]

    @property
    def content(self) -> dict[str, Any]:
        """The document without `source`."""
        return decode_content(self.wire)


@dataclass(slots=True)
class Block(Sequence[Incoming]):
    """What a file says about some documents: lists of one length, as the fields of `Incoming`."""

    keys: list[str] = field(default_factory=list)
    wires: list[bytes] = field(default_factory=list, repr=False)
    keep: list[frozenset[str]] = field(default_factory=list)
    lines: list[tuple[int, ...]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    refers_to: list[str] = field(default_factory=list, repr=False)
    """Empty where the documents refer to nothing."""
    incomplete: list[bool] = field(default_factory=list)
    """Empty where all are complete."""

    def some(self, which: NDArray[np.bool_]) -> Block:
        """Return those of the documents that are marked."""
        if which.all():
            return self
        if not which.any():
            return Block()
        marks = which.tolist()
        return Block(*([*compress(column, marks)] for column in self._columns()))

    def part(self, which: slice | Sequence[int]) -> Block:
        """Return the documents at some places."""
        if isinstance(which, slice):
            return Block(*(column[which] for column in self._columns()))
        return Block(*([column[at] for at in which if column] for column in self._columns()))

    def lots(self, size: int) -> Iterator[Block]:
        """Give the documents in blocks of at most so many, neighbours in different ones.

        Keys that follow each other are often written next to each other by the database, too:
        spread like this, they do not come all at once.
        """
        count = -(-len(self) // size)
        for first in range(count):
            yield self if count == 1 else self.part(slice(first, None, count))

    @property
    def rows(self) -> int:
        """How many rows the documents were made of."""
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
