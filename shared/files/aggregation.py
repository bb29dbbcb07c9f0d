"""Aggregation of several rows into one document: shared columns, order, count and sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """Rules by which usual documents of a type are made of their rows, many at a time.

    The rows of a usual document have no problem. They agree on the shared columns, no two have the
    same item, and all added numbers are whole, as integers or as doubles. All other documents are
    left to `FileType.assemble`. For a usual document `assemble` must give the same: all items in
    order, the fields named here, and no problem.
    """

    shared: tuple[str, ...] = ()
    """Columns on which all rows of a document agree."""
    item_keys: tuple[str, ...] = ()
    """Columns that identify an item. The first one with a value counts; no other item of the
    document has the same value there. An item without any value is an item of its own."""
    sorted_by: str | None = None
    """Column with the whole numbers that items are sorted by. If an item of the document has none,
    the items are in file order."""
    count: str | None = None
    """Field with the number of items."""
    sums: Mapping[str, str] = field(default_factory=dict)
    """Field -> column whose whole numbers, one per item, are added up in it."""

    @property
    def looks_at(self) -> frozenset[str]:
        """Columns whose values are read."""
        sorted_by = (self.sorted_by,) if self.sorted_by else ()
        return frozenset((*self.shared, *self.item_keys, *sorted_by, *self.sums.values()))

    @property
    def totals(self) -> frozenset[str]:
        """Fields that are calculated from all items."""
        return frozenset((*self.sums, *((self.count,) if self.count else ())))
