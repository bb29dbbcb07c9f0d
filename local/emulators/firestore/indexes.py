"""Indexes in memory that give documents in order, made when a query first needs one.

An index covers the collections of one scope. It holds the documents that have certain fields,
sorted by the values of these fields. A query for equal values and an order reads a part of the
index instead of every document. Small and very large collections have no index: making one reads
every document, and its entries stay in memory.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from itertools import product
from typing import Any

from local.emulators.firestore import fields, values
from local.emulators.firestore.fields import KEY, DocumentMessage, Path
from local.emulators.firestore.filters import test
from local.emulators.firestore.names import Document
from local.emulators.firestore.queries import Found, Query, Scope
from local.emulators.firestore.values import Key

FEWEST = 1_000
"""Documents of a scope below which it is quicker to read all of them."""
MOST = 250_000
"""Documents of a scope above which an index would take too much time and memory to make."""
KEPT = 12
"""Indexes kept. The least recently used one is dropped first."""

Entry = tuple[Any, ...]
"""The keys of the fields, the key of the name, and the document."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Scope and fields of an index."""

    scope: Scope
    paths: tuple[Path, ...]
    """Fields with an equality condition, then the fields of the order, then fields whose values are
    read from the index itself."""


class Index:
    """The sorted entries of one shape."""

    def __init__(self, shape: Shape, found: Iterable[Found]) -> None:
        self.shape = shape
        self._of: dict[Document, Entry] = {}
        for one in found:
            entry = self._entry(one.document, DocumentMessage.FromString(one.content.fields).fields)
            if entry is not None:
                self._of[one.document] = entry
        self._entries = sorted(self._of.values())

    def change(self, document: Document, stored: Any | None) -> None:
        """Record a document's current fields; None if the document is gone."""
        entry = None if stored is None else self._entry(document, stored)
        before = self._of.pop(document, None)
        if before is not None:
            del self._entries[bisect_left(self._entries, before)]
        if entry is not None:
            self._entries.insert(bisect_left(self._entries, entry), entry)
            self._of[document] = entry

    def stretches(self, query: Query, plan: Plan) -> list[list[Entry]]:
        """Return the parts that hold every result, one for each combination of equal values."""
        return [self._stretch(query, plan, equal) for equal in product(*plan.alternatives)]

    def _stretch(self, query: Query, plan: Plan, equal: tuple[Key, ...]) -> list[Entry]:
        low = self._left(equal)
        high = self._right(equal)
        for operator, key in plan.ranges:
            if operator.startswith("GREATER"):
                low = max(low, self._left((*equal, key)))
            else:
                high = min(high, self._right((*equal, key)))
        first, last = query.start, query.end
        if plan.descending:
            first, last = last, first
        if first is not None and first.keys:
            low = max(low, self._left((*equal, *first.keys)))
        if last is not None and last.keys:
            high = min(high, self._right((*equal, *last.keys)))
        return self._entries[low:high]

    def _left(self, keys: tuple[Key, ...]) -> int:
        return bisect_left(self._entries, keys)

    def _right(self, keys: tuple[Key, ...]) -> int:
        length = len(keys)
        return bisect_right(self._entries, keys, key=lambda entry: entry[:length])

    def _entry(self, document: Document, stored: Any) -> Entry | None:
        keys = []
        for path in self.shape.paths:
            value = fields.get(stored, path)
            if value is None:
                return None
            keys.append(values.key(value))
        return (*keys, values.reference_key(document.name), document)


@dataclass(frozen=True, slots=True)
class Plan:
    """Way to answer a query from an index."""

    shape: Shape
    alternatives: tuple[tuple[Key, ...], ...]
    """Allowed values for each field with an equality condition."""
    ranges: tuple[tuple[str, Key], ...]
    """Operators and limits on the first field of the order."""
    descending: bool


def plan_values(query: Query, wanted: Sequence[Path]) -> Plan | None:
    """Return how to read field values of all results from an index alone; None if impossible."""
    whole = not (query.bounded or query.start or query.end)
    made = plan(query) if query.plain and whole else None
    if made is None:
        return None
    inside = made.shape.paths[len(made.alternatives) :]
    if any(path != inside[0] for path, _, _ in query.ranges):
        return None
    return replace(made, shape=replace(made.shape, paths=(*made.shape.paths, *wanted)))


def plan(query: Query) -> Plan | None:
    """Return how an index would answer a query; None if none would."""
    directions = {order.descending for order in query.orders}
    ordered = tuple(order.path for order in query.orders if order.path != KEY)
    if len(directions) > 1 or query.must_exist or not (query.equals or ordered):
        return None
    equals = sorted(query.equals)
    paths = (*(path for path, _ in equals), *ordered)
    return Plan(
        shape=Shape(query.scope, paths),
        alternatives=tuple(keys for _, keys in equals),
        ranges=tuple(
            (operator, key)
            for path, operator, key in query.ranges
            if ordered and path == ordered[0]
        ),
        descending=directions == {True},
    )


class Indexes:
    """Indexes of a store. The caller holds the store's lock."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Shape, Index] = OrderedDict()

    def get(self, shape: Shape) -> Index | None:
        """Return an index if it is kept."""
        index = self._kept.get(shape)
        if index is not None:
            self._kept.move_to_end(shape)
        return index

    def keep(self, index: Index) -> None:
        """Keep an index that is up to date."""
        self._kept[index.shape] = index
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def change(self, document: Document, content: bytes | None) -> None:
        """Record a commit to a document."""
        concerned = [
            index for index in self._kept.values() if index.shape.scope.covers(document.collection)
        ]
        if not concerned:
            return
        stored = None if content is None else DocumentMessage.FromString(content).fields
        for index in concerned:
            index.change(document, stored)


def fitting(stretches: Sequence[Sequence[Entry]], plan: Plan) -> Iterator[Entry]:
    """Yield the entries that meet the inequalities. Open stretches also hold other types."""
    place = len(plan.alternatives)
    tests = [test(operator, [key]) for operator, key in plan.ranges]
    for stretch in stretches:
        for entry in stretch:
            if all(fits(entry[place]) for fits in tests):
                yield entry


def in_order(
    stretches: Sequence[Sequence[Entry]], *, descending: bool, fixed: int
) -> Iterator[Document]:
    """Yield the documents of several stretches in one order, ignoring the first `fixed` keys."""
    if descending:
        stretches = [stretch[::-1] for stretch in stretches]
    if len(stretches) == 1:
        whole: Iterable[Entry] = stretches[0]
    else:
        whole = merge(*stretches, key=lambda entry: entry[fixed:], reverse=descending)
    return (entry[-1] for entry in whole)
