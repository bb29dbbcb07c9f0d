"""Every query of the ledger has its index in firestore.indexes.json, and every index its query."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from google.cloud.firestore_v1.types import StructuredQuery

from shared.files.names import TYPES
from shared.reporting.statuses import UNDER_WAY
from shared.status.data import detail, find, overview
from shared.status.query import Asked
from shared.status.search import search
from tests.support.imports import at
from tests.support.pipeline import Pipeline

DECLARED = json.loads(
    (Path(__file__).resolve().parents[2] / "firestore.indexes.json").read_text(encoding="utf-8")
)

LEDGER = frozenset({"imports", "alerts", "generations", "feeds", "connections"})

Index = tuple[str, str, tuple[tuple[str, str], ...]]
"""Collection id, scope, and fields with their direction."""


def canonical(fields: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Sort the fields before the first time, which are those that must be equal to something."""
    times = [place for place, (path, _) in enumerate(fields) if path.endswith("At")]
    first = times[0] if times else len(fields)
    return (*sorted(fields[:first]), *fields[first:])


def declared() -> set[Index]:
    return {
        (
            index["collectionGroup"],
            index["queryScope"],
            canonical([(field["fieldPath"], field["order"]) for field in index["fields"]]),
        )
        for index in DECLARED["indexes"]
    }


def single(group: str, scope: str, path: str) -> set[str]:
    """Return the orders in which a field by itself is indexed: by an override, or by default."""
    for override in DECLARED["fieldOverrides"]:
        if (override["collectionGroup"], override["fieldPath"]) == (group, path):
            return {index["order"] for index in override["indexes"] if index["queryScope"] == scope}
    return {"ASCENDING", "DESCENDING"} if scope == "COLLECTION" else set()


class Recorder:
    """Stands before the client's calls and keeps every query that is sent."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self.queries: list[tuple[StructuredQuery, tuple[str, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def run_query(self, request: Any, **more: Any) -> Any:
        self.queries.append((request["structured_query"], ()))
        return self._api.run_query(request=request, **more)

    def run_aggregation_query(self, request: Any, **more: Any) -> Any:
        structured = request["structured_aggregation_query"]
        summed = tuple(one.sum.field.field_path for one in structured.aggregations if "sum" in one)
        self.queries.append((structured.structured_query, summed))
        return self._api.run_aggregation_query(request=request, **more)


def filters(where: StructuredQuery.Filter) -> Iterator[tuple[str, str]]:
    """Give the field and the operator of every condition."""
    if "composite_filter" in where:
        for part in where.composite_filter.filters:
            yield from filters(part)
    elif "field_filter" in where:
        yield where.field_filter.field.field_path, where.field_filter.op.name
    elif "unary_filter" in where:
        yield where.unary_filter.field.field_path, "EQUAL"


def needed(query: StructuredQuery, summed: tuple[str, ...]) -> Index | None:
    """Return the index that answers a query: equal fields first, then the order, then the sums.

    None where no index beside the document's own order is needed.
    """
    (source,) = query.from_
    conditions = list(filters(query.where))
    equal = sorted({path for path, operator in conditions if operator in ("EQUAL", "IN")})
    ranges = sorted({path for path, operator in conditions if operator not in ("EQUAL", "IN")})
    order = [
        (one.field.field_path, one.direction.name)
        for one in query.order_by
        if one.field.field_path != "__name__"
    ]
    order += [(path, "ASCENDING") for path in ranges if path not in dict(order)]
    fields = [*((path, "ASCENDING") for path in equal), *order]
    fields += [(path, "ASCENDING") for path in sorted(summed)]
    scope = "COLLECTION_GROUP" if source.all_descendants else "COLLECTION"
    return (source.collection_id, scope, tuple(fields)) if fields else None


@pytest.fixture
def asked_for(pipeline: Pipeline) -> set[Index]:
    """Ask the ledger everything that the functions and the commands ask; gives the indexes."""
    pipeline.upload("au/customers_20230501T115500Z.csv", "PERIDX\r\n1\r\n")
    recorder = Recorder(pipeline.database._firestore_api)
    pipeline.database._firestore_api_internal = recorder
    services = pipeline.services
    for connection, type, status, since, after in product(
        ("", "au"),
        ("", TYPES[0]),
        ("", "failed", "needs_a_look"),
        (None, date(2023, 5, 1)),
        (None, (at("12:00"), "au", "customers_20230501T115500Z")),
    ):
        asked = Asked(
            connection=connection, type=type, status=status, since=since, until=since, after=after
        )
        find(asked, services)
    for connection in ("", "au"):
        overview(Asked(connection=connection), services)
    search("customers_20230501T115500Z.csv", services)
    detail("au", "customers_20230501T115500Z", services)
    for connection_of_alerts, open in product((None, "au"), (None, True)):
        services.ledger.alerts(connection=connection_of_alerts, open=open, limit=10)
    list(services.ledger.with_status(UNDER_WAY))
    pipeline.run_due()
    pipeline.sweep()
    found = {needed(*query) for query in recorder.queries}
    return {index for index in found if index is not None}


def test_every_query_has_its_index(asked_for: set[Index]) -> None:
    """What needs an index of several fields finds it declared, what needs one field finds that."""
    several = {index for index in asked_for if len(index[2]) > 1}
    unserved = {
        (group, scope, fields)
        for group, scope, fields in several - declared()
        # Conditions for equality alone are served by merging the indexes of their fields.
        if any(order == "DESCENDING" for _, order in fields) or "rows.loaded" in dict(fields)
    }
    lone = {
        (group, scope, path, order)
        for group, scope, fields in asked_for
        if len(fields) == 1
        for path, order in fields
        if order not in single(group, scope, path)
    }

    assert set() == unserved
    assert set() == lone


def test_every_index_has_its_query(asked_for: set[Index]) -> None:
    """No index of the ledger is kept that nothing asks for: each costs with every write."""
    assert set() == {index for index in declared() if index[0] in LEDGER} - asked_for


def test_no_index_is_declared_twice() -> None:
    """Two entries for one index are refused at deployment."""
    assert len(DECLARED["indexes"]) == len(declared())
