"""A file comes to the same whether its rows are kept, read again or read in parts."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

import shared.parsing.examination
from shared.parsing.buffer import Kept
from shared.parsing.plan import Plan, Planner
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

ORDERS = orders_csv(
    *(
        {
            "ORDER_NUMBER": f"D{number % 40}",
            "LINE_NUMBER": str(number),
            "SKU": f'{number} "Kīwi"',
            # Every seventh order has a line that is refused, so that its others are sent back too.
            "PRICE": "$5" if number % 40 % 7 == 0 and number < 40 else "9.95",
        }
        for number in range(200)
    )
)


def load(pipeline: Pipeline, connection: str) -> dict[str, Any]:
    """Load an orders file of a connection after its customers; return everything it came to."""
    pipeline.upload(f"{connection}/customers_20230501T115000Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.upload(f"{connection}/orders_20230501T115500Z.csv", ORDERS)
    pipeline.clock.advance(timedelta(hours=1))
    pipeline.run_due()
    import_ = pipeline.import_("orders_20230501T115500Z", connection)
    documents = pipeline.documents("orders", connection)
    for document in documents.values():
        del document["source"]["generation"]
    return {
        "rows": import_.rows,
        "warnings": [one for one in import_.warnings if one["code"] != "file.same_content"],
        "documents": documents,
        "rejected": pipeline.read(import_.reports.rejected or "").splitlines(),
    }


def test_however_rows_are_kept(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept or read again: documents, counts and reports are equal."""
    first = load(pipeline, "kept")
    monkeypatch.setattr(shared.parsing.examination, "Kept", partial(Kept, room=0))
    again = load(pipeline, "again")

    assert len(first["documents"]) == 40
    assert (first["rows"].read, first["rows"].rejected) == (200, 6)
    assert len(first["rejected"]) == 1 + 6 + 6 * 4
    assert first == again


@pytest.mark.parametrize("kept", [True, False])
def test_in_parts(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    """Orders too scattered to be held all at once are put together in parts, none missing."""
    whole = load(pipeline, "whole")
    if not kept:
        monkeypatch.setattr(shared.parsing.examination, "Kept", partial(Kept, room=0))
    plan = Planner.plan
    plans = []

    def in_parts(planner: Planner, **given: Any) -> Plan:
        plans.append(plan(planner, **given, open_rows_limit=50))
        return plans[-1]

    monkeypatch.setattr(Planner, "plan", in_parts)
    parts = load(pipeline, "parts")

    assert plans[-1].partitions > 1
    for outcome in (whole, parts):  # each part repeats the good lines of its own bad orders
        outcome["rejected"].sort()
    assert whole == parts
