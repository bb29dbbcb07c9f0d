"""The sentence and the mark over a file say what has become of it, and what has not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from shared.check.verdict import check_file
from shared.core.settings import ConnectionSettings, Deployment
from shared.reporting.sentences import LEFT_OUT
from shared.reporting.statuses import face_of
from tests.integration.conftest import Make
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

NAME = "customers_20230501T100000Z"
ORDERS = "orders_20230501T100500Z"
GOOD = [{"PERIDX": str(number)} for number in range(1, 41)]
UNREADABLE = customers_csv(
    *({**row, "LAST_UPDATED": "soon"} for row in GOOD[:34]),
    *({**row, "EMAIL": "nobody", "PRIVACY": "Perhaps"} for row in GOOD[34:]),
)
BROKEN = "PERIDX,FIRSTNAME\r\n1,Ana\r\n2"


@pytest.mark.parametrize("settings", [{}, {"shard_bytes": 500}], ids=["whole", "in parts"])
def test_values_that_were_left_out(make: Make, settings: dict[str, int], tmp_path: Path) -> None:
    """They are counted in the sentence, there is no tick over it, and the check says the same."""
    # A column of which nothing can be read would have the file refused.
    text = UNREADABLE.replace("soon", "2023-04-24T10:00:00", 29)
    pipeline = make(**settings)
    pipeline.upload(f"{NAME}.csv", text)
    pipeline.upload(f"test/{NAME}.csv", text)
    pipeline.run_due()
    path = tmp_path / f"{NAME}.csv"
    path.write_text(text, newline="")
    defaults = ConnectionSettings.from_document(None, connection="main", deployment=Deployment())

    checked = check_file(path, settings=defaults, progress=lambda percent: None)
    loaded, dry = pipeline.import_(NAME), pipeline.import_(f"test_{NAME}")

    assert (
        loaded.status_text
        == "40 of 40 rows loaded; 17 values could not be read and were left as they were."
    )
    assert (
        "Dry run: all 40 rows would load; 17 values could not be read and would be left as they "
        "are." == dry.status_text == checked.text
    )
    assert tuple(face_of(one.status, one.status_text).sign for one in (loaded, dry)) == ("△", "△")
    assert (checked.exit_code, checked.grade, checked.left_out) == (0, 1, 17)


def test_nothing_was_left_out(pipeline: Pipeline) -> None:
    """A blank value was not left out: a file with some has its tick."""
    rows = [{**row, "PRIVACY": "", "EMAIL": ""} for row in GOOD]
    pipeline.upload(f"{NAME}.csv", customers_csv(*rows))
    pipeline.run_due()

    loaded = pipeline.import_(NAME)
    assert loaded.status_text == "40 of 40 rows loaded."
    assert LEFT_OUT not in loaded.status_text
    assert face_of(loaded.status, loaded.status_text).sign == "✓"


def test_rows_that_changed_nothing(pipeline: Pipeline) -> None:
    """Rows that were up to date and rows that repeat a key are told apart."""
    text = customers_csv(*GOOD[:4], {"PERIDX": "1", "FIRSTNAME": "Bo"})
    pipeline.upload(f"{NAME}.csv", text)
    pipeline.run_due()
    pipeline.clock.advance("12:10")
    pipeline.upload("customers_20230501T110000Z.csv", text)
    pipeline.run_due()

    assert (
        pipeline.import_(NAME).status_text,
        pipeline.import_("customers_20230501T110000Z").status_text,
    ) == (
        "4 of 5 rows loaded. 1 row repeats a key.",
        "4 rows were already up to date. 1 row repeats a key.",
    )


@pytest.mark.parametrize("customers_first", [True, False])
def test_orders_whose_customers_were_rejected(pipeline: Pipeline, customers_first: bool) -> None:
    """They say so at once, and what has to happen; and never that they continue automatically."""
    names = [(f"{NAME}.csv", BROKEN), (f"{ORDERS}.csv", orders_csv({"ORDER_NUMBER": "D1"}))]
    for name, text in names if customers_first else reversed(names):
        pipeline.upload(name, text)
        pipeline.run_due()

    orders = pipeline.import_(ORDERS)
    assert (
        "blocked",
        f"Its customers file {NAME} was rejected. Send the corrected file under the same name, or "
        "a new export no more than 12 hours later; or release these orders to load them without "
        "it. Checked on arrival: its only row can be loaded.",
    ) == (orders.status, orders.status_text)

    pipeline.upload(f"{NAME}.csv", customers_csv(*GOOD))
    pipeline.run_due()
    pipeline.clock.advance("12:30")
    assert "loaded" in pipeline.run_due()
    assert list(pipeline.documents("orders")) == ["D1"]


@pytest.mark.parametrize("overdue", [False, True])
def test_customers_that_are_corrected_under_a_new_time(pipeline: Pipeline, overdue: bool) -> None:
    """They let the orders of the rejected file go, the usual time after their upload."""
    pipeline.upload(f"{NAME}.csv", BROKEN)
    pipeline.upload(f"{ORDERS}.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    pipeline.run_due()
    pipeline.clock.advance("18:30" if overdue else "13:00")
    pipeline.sweep()
    pipeline.run_due()
    assert ("overdue" if overdue else "blocked") == pipeline.import_(ORDERS).status

    pipeline.upload("customers_20230501T110000Z.csv", customers_csv(*GOOD))
    assert pipeline.run_due() == ["loaded", "scheduled"]
    pipeline.clock.advance(timedelta(minutes=30))

    assert pipeline.run_due() == ["loaded"]
    orders = pipeline.import_(ORDERS)
    assert (
        orders.status,
        orders.paired_with,
        orders.warnings,
    ) == ("loaded", "customers_20230501T110000Z", ())
