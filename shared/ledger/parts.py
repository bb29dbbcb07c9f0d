"""References to objects in the bucket's folder `state/`, and the portions of keys they hold.

Example: of a file in 4 shards, the second holds the portions 64 to 127: the keys whose hashes begin
with the bits 01.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

PORTIONS = 256
"""Number of equal portions of all keys, by the topmost 8 bits of their hashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateObject:
    """An exact reference to one object, which holds the keys of consecutive portions."""

    object: str
    """Full name, e.g. `state/au/customers/4f1c….index`."""
    generation: int
    size: int
    crc32c: str
    """Checksum as Cloud Storage writes it: base64 of 4 bytes."""
    first: int = 0
    last: int = PORTIONS - 1
    """First and last portion of the keys in the object."""

    def within(self, span: Span) -> bool:
        """True if all portions of the object are in the span."""
        return span.first <= self.first and self.last <= span.last

    def overlaps(self, span: Span) -> bool:
        """True if any portion of the object is in the span."""
        return self.first <= span.last and span.first <= self.last


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive portions, from `first` to `last` inclusive."""

    first: int
    last: int

    @property
    def low(self) -> int:
        """Smallest first 64 bits of a key's hash in the span."""
        return self.first * (2**64 // PORTIONS)

    @property
    def end(self) -> int:
        """Smallest first 64 bits of a key's hash after the span; 2**64 after the last portion."""
        return (self.last + 1) * (2**64 // PORTIONS)


def spans(shards: int) -> Iterator[Span]:
    """Yield the span of each shard, in order; `shards` is a power of two, at most `PORTIONS`."""
    width = PORTIONS // shards
    for number in range(shards):
        yield Span(number * width, (number + 1) * width - 1)
