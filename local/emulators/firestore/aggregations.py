"""Aggregations: counts, sums and averages over the results of a query."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from local.emulators.firestore import fields, queries, values
from local.emulators.firestore.fields import KEY, DocumentMessage, Path, Value
from local.emulators.firestore.queries import Found
from local.emulators.firestore.refusals import invalid
from local.emulators.firestore.values import Key

MAX_AGGREGATIONS = 5
_MAX_INTEGER = 2**63 - 1
_MIN_INTEGER = -(2**63)


@dataclass(frozen=True, slots=True)
class Aggregation:
    alias: str
    kind: str
    """`count`, `sum` or `avg`."""
    path: Path | None
    """The field that is summed; None for a count."""
    up_to: int | None
    """Number at which a count stops."""


class _Total:
    """The running sum of one field."""

    def __init__(self) -> None:
        self.count = 0
        self.exact = 0
        self.inexact: list[float] = []

    def add(self, value: Any) -> None:
        match value.WhichOneof("value_type"):
            case "integer_value":
                self.exact += value.integer_value
            case "double_value":
                self.inexact.append(value.double_value)
            case _:
                return
        self.count += 1

    def add_key(self, key: Key) -> None:
        """Add a value by its key, as an index holds it."""
        match key:
            case (values.NUMBER, int() as number):
                self.exact += number
            case (values.NUMBER, number):
                self.inexact.append(number)
            case (values.NAN,):
                self.inexact.append(math.nan)
            case _:
                return
        self.count += 1

    def sum(self) -> int | float:
        if not self.inexact and _MIN_INTEGER <= self.exact <= _MAX_INTEGER:
            return self.exact
        total = float(self.exact)
        for number in self.inexact:
            total += number
        return total


def parse(parent: str, message: Any) -> tuple[queries.Query, list[Aggregation]]:
    """Read a `google.firestore.v1.StructuredAggregationQuery`."""
    query = queries.parse(parent, message.structured_query)
    if not message.aggregations:
        raise invalid("Aggregations can not be empty.")
    if len(message.aggregations) > MAX_AGGREGATIONS:
        raise invalid(f"Aggregations can not have more than {MAX_AGGREGATIONS} entries.")
    aggregations: list[Aggregation] = []
    unnamed = 0
    for each in message.aggregations:
        alias = each.alias
        if not alias:
            unnamed += 1
            alias = f"field_{unnamed}"
        if fields.is_reserved(alias):
            raise invalid(f'The property.name "{alias}" is reserved.')
        if any(other.alias == alias for other in aggregations):
            raise invalid(f"Aggregation aliases contain duplicate alias: {alias}.")
        aggregations.append(_parse(alias, each))
    return query, aggregations


def _parse(alias: str, message: Any) -> Aggregation:
    kind = message.WhichOneof("operator")
    match kind:
        case "count":
            up_to = message.count.up_to.value if message.count.HasField("up_to") else None
            return Aggregation(alias, kind, None, up_to)
        case "sum" | "avg":
            path = fields.parse(getattr(message, kind).field.field_path)
            if path == KEY:
                raise invalid("Aggregations are not supported for the property: __key__")
            return Aggregation(alias, kind, path, None)
        case _:
            raise invalid("Unknown Aggregation operator.")


def compute(aggregations: Sequence[Aggregation], found: Iterator[Found]) -> dict[str, Any]:
    """Return the values by alias. Documents without one of the summed fields do not count."""
    totals = {each.path: _Total() for each in aggregations if each.path is not None}
    count = 0
    if not totals:
        count = sum(1 for _ in found)
    else:
        for row in found:
            stored = DocumentMessage.FromString(row.content.fields).fields
            summed = [(total, fields.get(stored, path)) for path, total in totals.items()]
            if any(value is None for _total, value in summed):
                continue
            count += 1
            for total, value in summed:
                total.add(value)
    return report(aggregations, count=count, totals=totals)


def paths(aggregations: Sequence[Aggregation]) -> list[Path]:
    """Return the fields that are summed."""
    return list(dict.fromkeys(each.path for each in aggregations if each.path is not None))


def compute_keys(
    aggregations: Sequence[Aggregation], rows: Iterator[Sequence[Key]]
) -> dict[str, Any]:
    """Return the values by alias, from the keys of the summed fields, in the order of `paths`."""
    totals = {path: _Total() for path in paths(aggregations)}
    count = 0
    for keys in rows:
        count += 1
        for total, key in zip(totals.values(), keys, strict=True):
            total.add_key(key)
    return report(aggregations, count=count, totals=totals)


def report(
    aggregations: Sequence[Aggregation], *, count: int, totals: dict[Path, _Total] | None = None
) -> dict[str, Any]:
    """Return the result values by alias, from the counts and sums."""
    result: dict[str, Any] = {}
    for each in aggregations:
        value = Value()
        if each.path is None:
            value.integer_value = count if each.up_to is None else min(count, each.up_to)
        else:
            total = (totals or {})[each.path]
            number = total.sum()
            if each.kind == "avg":
                if total.count:
                    value.double_value = float(number) / total.count
                else:
                    value.null_value = 0
            elif isinstance(number, int):
                value.integer_value = number
            else:
                value.double_value = number
        result[each.alias] = value
    return result
