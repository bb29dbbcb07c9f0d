"""The part of an index that the worker of one shard of a large file reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.core import SplitLost
from shared.ledger import Age, Feed, Holder, Index, Span, StateObject


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPart:
    """One shard's part of an index; the worker that split the file has marked the feed."""

    span: Span
    """The keys of the shard."""
    base: str
    """What the feed's `base` was when the file was split."""
    checkpoint: StateObject | None
    """The part as an earlier task of the shard left it."""
    prefix: str
    """The beginning of the names of new objects."""

    def index(self, feed: Feed, *, own: Age) -> Index | None:
        """Return the part of a feed's index; `own` is the age of the file itself.

        Raises:
            SplitLost: the index is not the one that the file was split under.
        """
        if feed.base() != self.base:
            raise SplitLost("Another file was loaded in the meantime.")
        index = feed.index
        if self.checkpoint is not None:
            return Index(parts=(self.checkpoint,), newest=index.newest if index else own)
        if index is None:
            return None
        return replace(index, parts=tuple(part for part in index.parts if part.overlaps(self.span)))

    def mark(self, feed: Feed, under: str) -> Holder:
        """Return the mark of the feed, under which the shard is written; see `marked`.

        Raises:
            SplitLost: the program or the settings are no longer those of the splitting.
        """
        holder = feed.index_held_by
        if holder is None or holder.under != under:
            raise SplitLost("The rows would be read differently now.")
        return holder if self.checkpoint is None else replace(holder, clean=True, continued=True)
