"""What a file says about documents: one of them, or a block of them column by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import compress
from typing import Any

from shared.encoding import decode_content


@dataclass(slots=True, kw_only=True)
class Incoming:
    """What a file says about one document."""

    key: str
    wire: bytes = field(repr=False)
    """The document without `source`, as `shared.encoding.encode_content` makes it."""
    keep: frozenset[str]
    """Field paths that the file leaves open: what is stored there stays."""
    lines: tuple[int, ...]
    """The lines of the rows that it was made of, the last of which is the one that counts."""
    place: int = field(default=0, repr=False)
    """Where in the plan's keys its key is."""
    refers_to: str = field(default="", repr=False)
    """The key of the customer whom it belongs to, where it is an order."""

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

    def some(self, which: Sequence[bool]) -> Block:
        """Return those of the documents that are marked."""
        columns = (getattr(self, one.name) for one in fields(self))
        return Block(*([*compress(column, which)] for column in columns))

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
        )

    def __iter__(self) -> Iterator[Incoming]:
        return map(self.__getitem__, range(len(self.keys)))
