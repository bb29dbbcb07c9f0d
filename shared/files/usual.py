"""The usual documents of several rows: what is shared, sorted and added up in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What `FileType.assemble` comes to wherever there is nothing to say of a document's rows.

    That is where they agree on what they share, no two have the same item, and only whole numbers
    are added up, be they integers or doubles. All other documents are left to `assemble`, and what
    it makes of these must be: all items in order, the fields named here, no problem.
    """

    shared: tuple[str, ...] = ()
    """The columns on which all rows of a document agree."""
    known_by: tuple[str, ...] = ()
    """The columns an item is known by: by the first that has a value, so that no other item of the
    document has it there. One without any is an item of its own."""
    sorted_by: str | None = None
    """The column with the whole numbers that items are sorted by, where all of a document's have
    one; they stay in file order where not."""
    count: str | None = None
    """The field that says how many items there are."""
    sums: Mapping[str, str] = field(default_factory=dict)
    """Field -> the column of whose whole numbers, one an item, it is the sum."""

    @property
    def looks_at(self) -> frozenset[str]:
        """The columns whose values are looked at."""
        sorted_by = (self.sorted_by,) if self.sorted_by else ()
        return frozenset((*self.shared, *self.known_by, *sorted_by, *self.sums.values()))

    @property
    def totals(self) -> frozenset[str]:
        """The fields that are made of all items."""
        return frozenset((*self.sums, *((self.count,) if self.count else ())))
