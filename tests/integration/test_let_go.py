"""The rows of a file are freed when its task ends, and need no garbage collection."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.index.session import Indexing
from shared.loading.attempt import Attempt
from shared.loading.delivery import Delivery
from shared.parsing.examination import Examination
from shared.undoing.attempt import undo
from tests.integration.conftest import Make
from tests.support.pipeline import customers_csv, orders_csv

CUSTOMERS, ORDERS = "customers_20230501T115000Z", "orders_20230501T115500Z"


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Have no garbage collected, so that what is in a cycle stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held() -> list[str]:
    """Return the types of the objects that hold a file's rows, of all that are in memory."""
    kinds = (Attempt, Delivery, Examination, Indexing)
    return [type(one).__name__ for one in gc.get_objects() if isinstance(one, kinds)]


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("settings", [{}, {"shard_bytes": 500}], ids=["whole", "in shards"])
def test_a_load(make: Make, settings: dict[str, Any]) -> None:
    """Customers, orders without their customer and with bad rows, a refused file, an undo."""
    pipeline = make(**settings)
    orders = [
        {"ORDER_NUMBER": f"D{number}", "PERIDX": "7", "PRICE": "$5" if number < 2 else "5"}
        for number in range(40)
    ]
    pipeline.upload(f"{CUSTOMERS}.csv", customers_csv({"PERIDX": "1"}, {"PERIDX": "2"}))
    pipeline.upload(f"{ORDERS}.csv", orders_csv(*orders))
    pipeline.upload("rewards_20230501T115500Z.csv", "MEMBER\r\n1\r\n")
    pipeline.judge()
    pipeline.clock.advance(timedelta(hours=1))
    for _ in range(4):
        pipeline.run_due()
    undone = undo("main", ORDERS, pipeline.services)

    assert pipeline.import_(ORDERS).status == "loaded_with_rejects"
    assert pipeline.import_(ORDERS).rows.orphaned == 38
    assert pipeline.import_("rewards_20230501T115500Z").status == "rejected"
    assert undone.documents == 38
    assert held() == []
