"""Every advice that a retailer is given, followed to the letter: all rows are loaded in the end."""

from __future__ import annotations

from typing import Any

import pytest

from shared.reporting.summary import summary_name
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

NAME = "customers_20230501T100000Z.csv"
LATER = "customers_20230501T110000Z.csv"
KEYS = [str(number) for number in range(1, 21)]
WHOLE = customers_csv(*({"PERIDX": key} for key in KEYS))
ORDERS = orders_csv(*({"ORDER_NUMBER": key, "PERIDX": key} for key in KEYS))


def spoilt(*keys: str) -> str:
    """Return the file with the ids of some customers damaged."""
    return customers_csv(*({"PERIDX": f"{key}x" if key in keys else key} for key in KEYS))


def summary(pipeline: Pipeline, import_id: str) -> str:
    """Return what the retailer reads about a file, on one line."""
    report = pipeline.import_(import_id).reports.report
    assert report is not None
    return " ".join(pipeline.read(summary_name(report)).split())


@pytest.mark.parametrize(
    "faulty",
    [
        spoilt(*KEYS[:8]),
        spoilt(*KEYS),
        WHOLE[: len(WHOLE) // 2],
        WHOLE.replace("PERIDX", "NUMBER", 1),
        WHOLE.partition("\r\n")[2],
        '"' + WHOLE,
    ],
    ids=["bad rows", "no good row", "half", "no key column", "no header", "open quote"],
)
def test_a_file_that_was_rejected_whole(pipeline: Pipeline, faulty: str) -> None:
    """Corrected and sent again under the same name it is loaded whole, and nothing newer is lost.

    There are no rejected rows beside the report that could be sent instead of the file.
    """
    pipeline.upload(NAME, faulty)
    assert pipeline.run_due() == ["rejected"]
    withdrawn = customers_csv({"PERIDX": "3", "PRIVACY": "Yes"})
    pipeline.clock.advance("12:10")
    pipeline.upload(LATER, withdrawn)
    pipeline.run_due()

    assert f"upload it again under the same name: {NAME}." in summary(pipeline, NAME[:-4])
    assert f"rejected/{NAME[:-4]}.rejected.csv" not in pipeline.objects()
    pipeline.upload(NAME, WHOLE)

    assert pipeline.run_due() == ["loaded"]
    documents = pipeline.documents("customers")
    assert sorted(KEYS) == sorted(documents)
    assert [key for key in KEYS if not documents[key]["subscribed"]] == ["3"]


def test_a_file_that_was_checked(pipeline: Pipeline) -> None:
    """Its rows are fixed in the file itself, which is then uploaded whole where the advice says."""
    pipeline.upload(f"test/{NAME}", spoilt("5", "6"))
    assert pipeline.run_due() == ["checked"]

    advice = summary(pipeline, f"test_{NAME[:-4]}")
    assert f"Then upload the whole file: pending/{NAME}." in advice
    pipeline.upload(f"pending/{NAME}", WHOLE)

    assert pipeline.run_due() == ["loaded"]
    assert sorted(KEYS) == sorted(pipeline.documents("customers"))


def test_rows_that_were_rejected(pipeline: Pipeline) -> None:
    """Fixed in the rejected file and sent under the name that the summary and a refusal suggest,
    they are loaded beside the others."""
    pipeline.upload(NAME, spoilt("5", "6"))
    pipeline.run_due()
    rows = f"rejected/{NAME[:-4]}.rejected.csv"
    fixed = pipeline.read(rows).replace("5x", "5").replace("6x", "6")
    pipeline.clock.advance("12:10")

    refused = pipeline.upload(f"pending/{rows.rpartition('/')[2]}", fixed)
    assert refused is not None
    name = "customers_20230501T100001Z.csv"
    assert f"upload it as {name}." in summary(pipeline, NAME[:-4])
    assert f"The right name would be pending/{name}." in refused.status_text
    pipeline.upload(f"pending/{name}", fixed)

    assert pipeline.run_due() == ["loaded"]
    assert sorted(KEYS) == sorted(pipeline.documents("customers"))


@pytest.mark.parametrize(
    "name",
    [
        "Customers_20230501T100000Z.csv",
        "customers_20230501T100000Z.CSV",
        "customers_20230501T100000Z (1).csv",
        "customers_20230501T200000+1000.csv",
        "customers_20230501T100000.csv",
        "customers-20230501T100000Z.csv",
        "20230501T100000Z_customers.csv",
        "Pending/customers_20230501T100000Z.csv",
    ],
)
def test_a_file_with_a_wrong_name(pipeline: Pipeline, name: str) -> None:
    """Uploaded under the suggested name it is loaded."""
    refused = pipeline.upload(name, WHOLE)
    assert refused is not None
    assert refused.error is not None
    suggested = refused.error.message.rpartition("The right name would be ")[2].rstrip(".")

    pipeline.upload(f"{suggested}", WHOLE)

    assert pipeline.run_due() == ["loaded"]
    assert sorted(KEYS) == sorted(pipeline.documents("customers"))


def test_a_file_that_is_gone(pipeline: Pipeline) -> None:
    """Uploaded again it is loaded."""
    pipeline.upload(NAME, WHOLE)
    pipeline.services.bucket.blob(NAME).delete()
    assert pipeline.run_due() == ["rejected"]
    pipeline.clock.advance("12:10")

    assert f"upload it again under the same name: {NAME}." in summary(pipeline, NAME[:-4])
    pipeline.upload(NAME, WHOLE)

    assert pipeline.run_due() == ["loaded"]
    assert sorted(KEYS) == sorted(pipeline.documents("customers"))


def test_an_order_with_a_rejected_line(pipeline: Pipeline) -> None:
    """With its bad line fixed in the rejected file and the others kept beside it, it is whole."""
    orders: list[dict[str, Any]] = [
        {"ORDER_NUMBER": key, "PERIDX": key, "LINE_NUMBER": str(line)}
        for key in KEYS
        for line in (1, 2)
    ]
    pipeline.upload(NAME, WHOLE)
    pipeline.run_due()
    pipeline.clock.advance("12:30")
    name = "orders_20230501T100500Z"
    pipeline.upload(f"{name}.csv", orders_csv(*({**orders[0], "QUANTITY": "x"}, *orders[1:])))
    assert pipeline.run_due() == ["loaded_with_rejects"]

    fixed = pipeline.read(f"rejected/{name}.rejected.csv").replace(",x,", ",1,")
    pipeline.clock.advance("13:00")
    pipeline.upload("orders_20230501T125900Z.csv", fixed)
    assert pipeline.run_due() == ["loaded"]

    documents = pipeline.documents("orders")
    assert dict.fromkeys(KEYS, 2) == {key: one["lineCount"] for key, one in documents.items()}


def test_orders_whose_customers_are_missing(pipeline: Pipeline) -> None:
    """Once the customers file has been sent, the orders are loaded without being sent again."""
    pipeline.upload("orders_20230501T100500Z.csv", ORDERS)
    pipeline.upload(NAME, WHOLE)
    pipeline.run_due()
    pipeline.clock.advance("12:30")

    assert pipeline.run_due() == ["loaded"]
    assert sorted(KEYS) == sorted(pipeline.documents("orders"))
    assert pipeline.import_("orders_20230501T100500Z").rows.orphaned == 0
