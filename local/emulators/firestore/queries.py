"""Parses structured queries, and finds and sorts the matching documents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol

from google.cloud.firestore_v1.types import query as query_types

from local.emulators.firestore import fields, names, values
from local.emulators.firestore.fields import KEY, DocumentMessage, Mask, Path
from local.emulators.firestore.filters import Filters, Limit, Predicate, anything
from local.emulators.firestore.names import Collection, Document, Parent
from local.emulators.firestore.refusals import failed_precondition, invalid, unimplemented
from local.emulators.firestore.values import Key
from local.emulators.firestore.writes import Content

_DESCENDING = query_types.StructuredQuery.pb().Direction.Value("DESCENDING")


class Found(NamedTuple):
    """A document and its content."""

    document: Document
    content: Content


@dataclass(frozen=True, slots=True)
class Scope:
    """The collections that a query looks at."""

    parent: Parent
    collection_id: str
    """Empty for every collection id."""
    descendants: bool
    """True for collections at any depth below the parent, False for its direct ones only."""

    @property
    def collection(self) -> Collection | None:
        """The one collection of the scope; None for a collection group."""
        if self.descendants or not self.collection_id:
            return None
        return self.parent.collection(self.collection_id)

    def covers(self, collection: Collection) -> bool:
        prefix = self.parent.prefix
        if collection.database != self.parent.database or not collection.path.startswith(prefix):
            return False
        below = collection.path[len(prefix) :]
        return (self.descendants or "/" not in below) and (
            not self.collection_id or below.rpartition("/")[2] == self.collection_id
        )


@dataclass(frozen=True, slots=True)
class Bounds:
    """A range of document ids within a collection; an end that is None is open."""

    low: str | None = None
    low_included: bool = True
    high: str | None = None
    high_included: bool = True

    def above(self, low: str, *, included: bool) -> Bounds:
        """Return the part of the range that begins at `low`."""
        if self.low is not None and (self.low, not self.low_included) >= (low, not included):
            return self
        return Bounds(low, included, self.high, self.high_included)

    def below(self, high: str, *, included: bool) -> Bounds:
        """Return the part of the range that ends at `high`."""
        if self.high is not None and (self.high, self.high_included) <= (high, included):
            return self
        return Bounds(self.low, self.low_included, high, included)


class Source(Protocol):
    """Source of the documents."""

    def collections(self, scope: Scope) -> Sequence[Collection]: ...

    def scan(
        self, collection: Collection, bounds: Bounds, needles: Sequence[bytes], page: int
    ) -> Iterator[Found]:
        """Yield the documents of a collection by id, without those that lack one of the needles."""

    def named(self, collection: Collection, ids: Iterable[str]) -> Iterator[Found]:
        """Return the existing documents among some ids of a collection, by id."""

    def indexed(self, query: Query) -> Iterator[Found] | None:
        """Return documents in the query's order, all results among them; None without an index."""


@dataclass(frozen=True, slots=True)
class Order:
    path: Path
    descending: bool


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in the results: right before or right after the values of the first orders."""

    keys: tuple[Key, ...]
    before: bool


_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A valid query."""

    scope: Scope
    matches: Predicate
    unfiltered: bool
    needles: tuple[bytes, ...]
    """Bytes that the serialized fields of every result contain."""
    limits: tuple[Limit, ...]
    orders: tuple[Order, ...]
    """Complete order, which ends with the name."""
    must_exist: tuple[Path, ...]
    start: Cursor | None
    end: Cursor | None
    offset: int
    limit: int | None
    mask: Mask | None
    equals: tuple[tuple[Path, tuple[Key, ...]], ...] = ()
    """Fields with their allowed values in every result. At most one field has several values."""
    ranges: tuple[tuple[Path, str, Key], ...] = ()
    """Field, operator and operand of inequalities that every result meets."""
    named: tuple[Key, ...] | None = None
    """Only documents that can be results, if a condition names them; otherwise None."""
    plain: bool = False
    """True if `equals` and `ranges` are all the conditions."""

    @property
    def bounded(self) -> bool:
        """True if a document can enter or leave the results because of another one."""
        return self.limit is not None or self.offset > 0

    @property
    def countable(self) -> bool:
        """True if counting the documents of the scope is enough to count the results."""
        return self.unfiltered and not (
            self.must_exist or self.start or self.end or len(self.orders) > 1
        )

    def keys(self, document: Document, content: Content) -> tuple[Key, ...] | None:
        """Return the sort keys of a document; None if it is not a result.

        Offset and limit are ignored, because they depend on other documents.
        """
        name = document.name
        if self.unfiltered and len(self.orders) == 1 and not self.must_exist:
            keys: tuple[Key, ...] = (values.reference_key(name),)
        else:
            found = DocumentMessage.FromString(content.fields).fields
            if not self.matches(found, name):
                return None
            if any(fields.get(found, path) is None for path in self.must_exist):
                return None
            collected: list[Key] = []
            for order in self.orders:
                if order.path == KEY:
                    collected.append(values.reference_key(name))
                    continue
                value = fields.get(found, order.path)
                if value is None:
                    return None
                collected.append(values.key(value))
            keys = tuple(collected)
        if self.start is not None:
            side = self._compare(keys, self.start)
            if side < 0 or (side == 0 and not self.start.before):
                return None
        if self.end is not None:
            side = self._compare(keys, self.end)
            if side > 0 or (side == 0 and self.end.before):
                return None
        return keys

    def results(self, source: Source) -> Iterator[Found]:
        """Return the documents found, in order."""
        stop = None if self.limit is None else self.offset + self.limit
        if stop == 0:
            return iter(())
        indexed = source.indexed(self)
        if indexed is not None:
            fitting = (row for row in indexed if self.keys(row.document, row.content) is not None)
            return islice(fitting, self.offset, stop)
        collections = source.collections(self.scope)
        if len(collections) <= 1 and self.orders == (Order(KEY, False),):
            found: Iterator[Found] = self._in_name_order(source, collections, stop)
        else:
            found = self._sorted(source, collections, stop)
        return islice(found, self.offset, stop)

    def _in_name_order(
        self, source: Source, collections: Sequence[Collection], stop: int | None
    ) -> Iterator[Found]:
        page = _PAGE if stop is None or not self.unfiltered else min(stop, _PAGE)
        for collection in collections:
            for row in self._candidates(source, collection, page):
                if self.keys(row.document, row.content) is not None:
                    yield row

    def _sorted(
        self, source: Source, collections: Sequence[Collection], stop: int | None
    ) -> Iterator[Found]:
        rows: list[tuple[tuple[Key, ...], Found]] = []
        enough = math.inf if stop is None else 2 * stop + 1000
        for collection in collections:
            for row in self._candidates(source, collection, _PAGE):
                keys = self.keys(row.document, row.content)
                if keys is not None:
                    rows.append((keys, row))
                    if len(rows) > enough:
                        self._sort(rows)
                        del rows[stop:]
        self._sort(rows)
        return (row for _keys, row in rows)

    def _candidates(self, source: Source, collection: Collection, page: int) -> Iterator[Found]:
        if self.named is None:
            return source.scan(collection, self._bounds(collection), self.needles, page)
        prefix = values.reference_key(collection.document(""))[:-1]
        depth = len(prefix)
        own = (name for name in self.named if len(name) == depth + 1 and name[:depth] == prefix)
        return source.named(collection, {name[depth] for name in own})

    def _sort(self, rows: list[tuple[tuple[Key, ...], Found]]) -> None:
        if not any(order.descending for order in self.orders):
            rows.sort(key=lambda row: row[0])
            return
        for position in reversed(range(len(self.orders))):
            rows.sort(
                key=lambda row, position=position: row[0][position],  # type: ignore[misc]
                reverse=self.orders[position].descending,
            )

    def _compare(self, keys: tuple[Key, ...], cursor: Cursor) -> int:
        for own, given, order in zip(keys, cursor.keys, self.orders, strict=False):
            if own != given:
                return -1 if (own < given) != order.descending else 1
        return 0

    def _bounds(self, collection: Collection) -> Bounds:
        """Return the range of ids that can be results, by the conditions on the name."""
        limits = list(self.limits)
        if self.orders[0] == Order(KEY, False):
            if self.start is not None and self.start.keys:
                limits.append(Limit("GREATER_THAN_OR_EQUAL", self.start.keys[0]))
            if self.end is not None and self.end.keys:
                limits.append(Limit("LESS_THAN_OR_EQUAL", self.end.keys[0]))
        bounds = Bounds()
        prefix = values.reference_key(collection.document(""))[:-1]
        for limit in limits:
            if limit.reference[: len(prefix)] != prefix or len(limit.reference) == len(prefix):
                continue
            document_id = limit.reference[len(prefix)]
            deeper = len(limit.reference) > len(prefix) + 1
            if limit.operator in ("GREATER_THAN", "GREATER_THAN_OR_EQUAL", "EQUAL"):
                strict = deeper or limit.operator == "GREATER_THAN"
                bounds = bounds.above(document_id, included=not strict)
            if limit.operator in ("LESS_THAN", "LESS_THAN_OR_EQUAL", "EQUAL"):
                strict = not deeper and limit.operator == "LESS_THAN"
                bounds = bounds.below(document_id, included=not strict)
        return bounds


def parse(parent: str, message: Any) -> Query:
    """Read a `google.firestore.v1.StructuredQuery`, refusing what the API refuses."""
    if message.HasField("find_nearest"):
        raise unimplemented("Vector search is not supported here.")
    if message.offset < 0:
        raise invalid("offset is negative")
    if message.limit.value < 0:
        raise invalid("limit is negative")
    scope = _parse_scope(names.parse_parent(parent), message.from_)
    filters = Filters(message.where) if message.HasField("where") else None
    orders, must_exist = _parse_orders(message.order_by, filters)
    mask = None
    if message.HasField("select"):
        mask = Mask(reference.field_path for reference in message.select.fields)
    explicit = len(message.order_by)
    return Query(
        scope=scope,
        matches=filters.predicate if filters else anything,
        unfiltered=filters is None,
        needles=tuple(filters.needles) if filters else (),
        limits=tuple(filters.limits) if filters else (),
        orders=orders,
        must_exist=must_exist,
        start=_parse_cursor(message.start_at, orders[:explicit])
        if message.HasField("start_at")
        else None,
        end=_parse_cursor(message.end_at, orders[:explicit])
        if message.HasField("end_at")
        else None,
        offset=message.offset,
        limit=message.limit.value if message.HasField("limit") else None,
        mask=mask,
        equals=tuple(filters.equals.items()) if filters else (),
        ranges=tuple(filters.ranges) if filters else (),
        named=filters.named if filters else None,
        plain=filters is None or filters.plain,
    )


def _parse_scope(parent: Parent, selectors: Sequence[Any]) -> Scope:
    if len(selectors) > 1:
        raise invalid("StructuredQuery.from cannot have more than one collection selector.")
    if not selectors:
        return Scope(parent, "", False)
    names.check_id(selectors[0].collection_id, "Collection id")
    return Scope(parent, selectors[0].collection_id, selectors[0].all_descendants)


def _parse_orders(
    messages: Sequence[Any], filters: Filters | None
) -> tuple[tuple[Order, ...], tuple[Path, ...]]:
    """Return the complete order, and the fields that must exist without being part of it."""
    orders: list[Order] = []
    for message in messages:
        path = fields.parse(message.field.field_path)
        if orders and orders[-1].path == KEY:
            raise invalid("order by clause cannot contain more fields after the key")
        if any(order.path == path for order in orders):
            raise invalid(
                "order by clause cannot contain duplicate fields " + message.field.field_path
            )
        orders.append(Order(path, message.direction == _DESCENDING))
    only_names = filters is None or filters.only_names
    if orders and orders[0] == Order(KEY, True) and only_names:
        raise failed_precondition("Firestore does not support descending key scans")
    descending = bool(orders and orders[-1].descending)
    sorted_by = {order.path for order in orders}
    unsorted = sorted((filters.inequalities if filters else set()) - sorted_by - {KEY})
    if KEY in sorted_by:
        return tuple(orders), tuple(unsorted)
    orders.extend(Order(path, descending) for path in unsorted)
    orders.append(Order(KEY, descending))
    return tuple(orders), ()


def _parse_cursor(message: Any, orders: Sequence[Order]) -> Cursor:
    if len(message.values) > len(orders):
        raise invalid("Cursor has too many values.")
    keys = []
    for value, order in zip(message.values, orders, strict=False):
        if order.path == KEY:
            if value.WhichOneof("value_type") != "reference_value":
                raise invalid("Cursor __key__ value is not a document reference.")
            names.parse_document(value.reference_value, what="Resource name")
        keys.append(values.key(value))
    return Cursor(tuple(keys), message.before)
