"""Every query of the ledger has its index in firestore.indexes.json, and every index its query."""

from __future__ import annotations

import json
from datetime import date
from itertools import product
from typing import Any

import pytest

from shared.files.names import TYPES
from shared.reporting.statuses import UNDER_WAY
from shared.status.data import detail, find, overview
from shared.status.query import Asked
from shared.status.search import search
from tests.integration.conftest import Make
from tests.support.imports import at
from tests.support.index_check import DECLARED, Needs

LEDGER = frozenset({"imports", "alerts", "generations", "feeds", "connections", "mail"})


class Recorder:
    """Stands before the client's calls and keeps every query that is sent."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self.asked: set[Needs] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def run_query(self, request: Any, **more: Any) -> Any:
        self.asked.add(Needs.by(request["structured_query"]))
        return self._api.run_query(request=request, **more)

    def run_aggregation_query(self, request: Any, **more: Any) -> Any:
        structured = request["structured_aggregation_query"]
        summed = tuple(one.sum.field.field_path for one in structured.aggregations if "sum" in one)
        self.asked.add(Needs.by(structured.structured_query, summed))
        return self._api.run_aggregation_query(request=request, **more)


@pytest.fixture
def asked_for(make: Make) -> set[Needs]:
    """Ask the ledger everything that the functions and the commands ask; gives the queries."""
    pipeline = make(mail_url="file:/nowhere", mail_from="imports@example.com")
    pipeline.database.document("connections/au").set({"notify": {"to": "ann@example.com"}})
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
    return recorder.asked


def test_every_query_has_its_index(asked_for: set[Needs]) -> None:
    """What needs an index of several fields finds it declared, what needs one field finds that."""
    assert [] == [missing for asked in asked_for if (missing := asked.missing())]


def test_every_index_has_its_query(asked_for: set[Needs]) -> None:
    """No index of the ledger is kept that nothing asks for: each costs with every write."""
    needed = {(asked.group, asked.scope, asked.equal, asked.order) for asked in asked_for}

    unused = []
    for index in DECLARED["indexes"]:
        group, scope = index["collectionGroup"], index["queryScope"]
        fields = tuple((one["fieldPath"], one["order"]) for one in index["fields"])
        ways = {
            (group, scope, frozenset(path for path, _ in fields[:count]), fields[count:])
            for count in range(len(fields) + 1)
        }
        if group in LEDGER and not ways & needed:
            unused.append(index)

    assert [] == unused


def test_no_index_is_declared_twice() -> None:
    """Two entries for one index are refused at deployment."""
    indexes = [json.dumps(index, sort_keys=True) for index in DECLARED["indexes"]]

    assert len(indexes) == len(set(indexes))
