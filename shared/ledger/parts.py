"""An object of the pipeline's own in the bucket's folder `state/`: which one exactly it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PORTIONS = 256
"""Equal portions of all keys, by the topmost bits of their hashes: the smallest cut there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateObject:
    """One object, about the keys of some portions."""

    object: str
    """Its full name."""
    generation: int
    size: int
    crc32c: str
    """Checksum as Cloud Storage writes it."""
    first: int = 0
    last: int = PORTIONS - 1
    """The first and the last of the portions that it is about."""

    def within(self, span: Span) -> bool:
        """Whether it is about no keys but those of a span."""
        return span.first <= self.first and self.last <= span.last

    def overlaps(self, span: Span) -> bool:
        """Whether it is about keys of a span."""
        return self.first <= span.last and span.first <= self.last

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> StateObject:
        """Read it as the ledger keeps it."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Span:
    """Some portions in a row."""

    first: int
    last: int

    @property
    def low(self) -> int:
        """The lowest 64 bits that a key of it may begin with."""
        return self.first * (2**64 // PORTIONS)

    @property
    def end(self) -> int:
        """The lowest 64 bits that a key behind it may begin with."""
        return (self.last + 1) * (2**64 // PORTIONS)


def spans(shards: int) -> Iterator[Span]:
    """Give the spans of so many shards, a power of two, in order."""
    width = PORTIONS // shards
    for number in range(shards):
        yield Span(number * width, (number + 1) * width - 1)
