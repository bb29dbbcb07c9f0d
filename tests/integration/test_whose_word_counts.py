"""What a document ends as when rows leave things open, cannot be read, or contradict each other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.integration.conftest import Make
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

CUSTOMERS = "customers_20230501T{}00Z"
ORDERS = "orders_20230501T{}00Z"


def load(pipeline: Pipeline, time: str, *rows: dict[str, object]) -> None:
    """Load a customers file exported at a time of day."""
    pipeline.upload(f"{CUSTOMERS.format(time)}.csv", customers_csv(*rows))
    assert ["loaded"] == pipeline.run_due()


def load_orders(
    pipeline: Pipeline, time: str, *rows: dict[str, object], ends: str = "loaded"
) -> None:
    """Load an orders file exported at a time of day, with a customers file of that time."""
    load(pipeline, time, {"PERIDX": "1"})
    pipeline.upload(f"{ORDERS.format(time)}.csv", orders_csv(*rows))
    pipeline.clock.advance(timedelta(hours=1))
    assert [ends] == pipeline.run_due()


def customer(pipeline: Pipeline, key: str = "1") -> dict[str, Any]:
    """Return a customer, as stored."""
    return pipeline.documents("customers")[key]


GOOD: dict[str, object] = {
    "PERIDX": "1",
    "FIRSTNAME": "Ana",
    "CITY": "Hobart",
    "DOB": "1990-04-24",
    "EMAIL": "ana@example.com",
    "PRIVACY": "No",
}


@pytest.mark.parametrize("blank_means", ["clear", "keep"])
def test_what_cannot_be_read_changes_nothing(make: Make, blank_means: str) -> None:
    """Values that cannot be read stay as they are stored, whatever blank cells mean."""
    pipeline = make(blank_means=blank_means)
    load(pipeline, "1100", GOOD)

    load(pipeline, "1200", {**GOOD, "CITY": "", "DOB": "24/04/1990", "EMAIL": "ana"})

    stored = customer(pipeline)
    assert ("1990-04-24", "ana@example.com") == (stored["dateOfBirth"], stored["email"])
    assert ("address" in stored) == (blank_means == "keep")


def test_what_cannot_be_read_in_a_new_document(make: Make) -> None:
    """A new document lacks what cannot be read; an older file that comes late fills it in."""
    pipeline = make()
    load(pipeline, "1200", {**GOOD, "DOB": "24/04/1990"})
    assert "dateOfBirth" not in customer(pipeline)

    load(pipeline, "1100", {**GOOD, "CITY": "Perth"})

    assert "1990-04-24" == customer(pipeline)["dateOfBirth"]
    assert {"city": "Hobart"} == customer(pipeline)["address"]


def test_cleared_stays_cleared(make: Make) -> None:
    """A cleared value is not filled by an older file after the connection has turned to keep."""
    pipeline = make()
    load(pipeline, "1200", {**GOOD, "CITY": ""})
    pipeline.database.document("connections/main").set({"blankMeans": "keep"})
    load(pipeline, "1300", {**GOOD, "CITY": ""})

    load(pipeline, "1100", GOOD)

    assert "address" not in customer(pipeline)


def test_an_orders_own_fields(make: Make) -> None:
    """Fields of an order that cannot be read keep what is stored."""
    pipeline = make()
    good: dict[str, object] = {
        "ORDER_NUMBER": "D1",
        "CURRENCY": "AUD",
        "EMAIL": "ana@example.com",
    }
    load_orders(pipeline, "1100", good)

    load_orders(pipeline, "1200", {**good, "CURRENCY": "$", "EMAIL": "ana"})

    (stored,) = pipeline.documents("orders").values()
    assert ("AUD", "ana@example.com") == (stored["currency"], stored["email"])
    assert f"{ORDERS.format('1200')}" == stored["source"]["import"]
