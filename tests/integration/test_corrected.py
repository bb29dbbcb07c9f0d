"""Rejected rows that are corrected and sent again: they are as old as the export they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from shared.ledger.imports import Import
from shared.scheduling.replay import replay
from tests.integration.conftest import Make
from tests.support.imports import at
from tests.support.pipeline import Pipeline, csv_text, customers_csv, orders_csv

NIGHT_1 = "customers_20230501T080000Z"
NIGHT_2 = "customers_20230501T090000Z"
FIXED = "customers_20230501T100000Z"
GOOD: list[Mapping[str, object]] = [{"PERIDX": str(100 + number)} for number in range(9)]


@pytest.fixture(params=["whole", "in shards"])
def pipeline(request: pytest.FixtureRequest, make: Make) -> Pipeline:
    """Load small files in both ways."""
    settings: dict[str, Any] = {}
    if request.param == "in shards":
        settings = {"shard_bytes": 300, "shards_at_once": 2}
    return make(**settings)


def load(pipeline: Pipeline, import_id: str, content: str) -> Import:
    """Load a file at once."""
    pipeline.upload(f"{import_id}.csv", content)
    pipeline.run_due()
    return pipeline.import_(import_id)


def sent_back(pipeline: Pipeline, import_id: str, *fixes: tuple[str, str]) -> str:
    """Return the rejected rows of an import with some of their text replaced."""
    text = pipeline.read(f"rejected/{import_id}.rejected.csv")
    for wrong, right in fixes:
        assert wrong in text
        text = text.replace(wrong, right)
    return text


def reject_one(pipeline: Pipeline, import_id: str = NIGHT_1, **cells: object) -> None:
    """Load a file of which one row, about person 1, is rejected for its key."""
    bad = {"PERIDX": "x1", "CITY": "Perth", "PRIVACY": "No", **cells}
    load(pipeline, import_id, customers_csv(*GOOD, bad))


def test_each_rejected_row_names_its_export(pipeline: Pipeline) -> None:
    """The rejected file says of each row which export it comes from, in its last column."""
    reject_one(pipeline)

    (row,) = pipeline.rejected(f"rejected/{NIGHT_1}.rejected.csv")
    assert ([*row][-1], row["export"]) == ("export", NIGHT_1)


def test_a_corrected_row_does_not_overwrite_a_newer_export(pipeline: Pipeline) -> None:
    """A row of night 1 that is corrected after night 2 brings no withdrawn consent back."""
    reject_one(pipeline)
    load(pipeline, NIGHT_2, customers_csv({"PERIDX": "1", "CITY": "Hobart", "PRIVACY": "Yes"}))

    fixed = load(pipeline, FIXED, sent_back(pipeline, NIGHT_1, ("x1", "1")))

    assert (fixed.rows.read, fixed.rows.outdated, fixed.rows.loaded) == (1, 1, 0)
    document = pipeline.documents("customers")["1"]
    assert (document["address"]["city"], document["subscribed"]) == ("Hobart", False)
    assert document["source"]["import"] == NIGHT_2


def test_a_corrected_row_is_as_old_as_its_export(pipeline: Pipeline) -> None:
    """A corrected row is loaded where nothing newer is stored, and an export later than its own
    wins, even one that is older than the corrected file and comes late."""
    reject_one(pipeline)
    text = sent_back(pipeline, NIGHT_1, ("x1", "1"))

    fixed = load(pipeline, FIXED, text)

    assert fixed.rows.loaded == 1
    document = pipeline.documents("customers")["1"]
    assert (True, FIXED, at("08:00")) == (
        document["subscribed"],
        document["source"]["import"],
        document["source"]["exportedAt"],
    )
    assert "extra" not in document
    late = load(pipeline, NIGHT_2, customers_csv({"PERIDX": "1", "PRIVACY": "Yes"}))
    assert late.rows.loaded == 1
    replay("main", FIXED, pipeline.services)
    pipeline.run_due()
    assert not pipeline.documents("customers")["1"]["subscribed"]
    assert pipeline.import_(FIXED).rows.outdated == 1


def test_what_a_corrected_row_has_confirmed(pipeline: Pipeline) -> None:
    """A corrected row that changes nothing confirms its document up to its own export only."""
    load(pipeline, "customers_20230501T070000Z", customers_csv({"PERIDX": "1", "CITY": "Perth"}))
    reject_one(pipeline, PRIVACY="Yes")
    load(pipeline, FIXED, sent_back(pipeline, NIGHT_1, ("x1", "1")))
    again = load(pipeline, "customers_20230501T100001Z", sent_back(pipeline, NIGHT_1, ("x1", "1")))
    assert again.rows.read == 1

    assert load(pipeline, NIGHT_2, customers_csv({"PERIDX": "1"})).rows.loaded == 1


def test_two_exports_in_one_file(pipeline: Pipeline) -> None:
    """Of two rows of one key from different exports the later export wins, whatever their order
    and LAST_UPDATED, and what it leaves open is filled in by the earlier one."""
    cells = {"PHONE": "1", "LAST_UPDATED": "2023-04-30T10:00:00"}
    reject_one(pipeline, PRIVACY="Yes", **cells)
    reject_one(pipeline, NIGHT_2, PRIVACY="", CITY="Cairns", LAST_UPDATED="2023-04-01T10:00:00")
    first = sent_back(pipeline, NIGHT_1, ("x1", "1"))
    second = sent_back(pipeline, NIGHT_2, ("x1", "1"))
    header, _, row = first.partition("\r\n")
    names = header.split(",")
    other = dict(zip(second.partition("\r\n")[0].split(","), _cells(second), strict=True))
    both = f"{header}\r\n" + ",".join(other.get(name, "") for name in names) + f"\r\n{row}"

    fixed = load(pipeline, FIXED, both)

    document = pipeline.documents("customers")["1"]
    assert (document["address"]["city"], document["subscribed"]) == ("Cairns", False)
    assert at("09:00") == document["source"]["exportedAt"]
    assert (fixed.rows.read, fixed.rows.rejected) == (2, 0)
    assert at("08:00") == document["source"]["kept"]["subscribed"]
    again = load(pipeline, "customers_20230501T103000Z", customers_csv({"PERIDX": "1"}))
    assert again.rows.loaded == 1


def _cells(text: str) -> list[str]:
    """Return the cells of the only row, none of which is quoted."""
    return text.partition("\r\n")[2].strip().split(",")


def change_export(to: str) -> Callable[[str], str]:
    """Return what writes something else into the column `export`."""
    return lambda text: text.replace(NIGHT_1, to)


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "yesterday",
        "customers_20230501T080000",
        "orders_20230501T080000Z",
        "customers_20230501T100001Z",
        "customers_20230501T075959Z",
        "au/customers_20230501T080000Z",
    ],
    ids=["blank", "a word", "damaged", "another type", "in the future", "unknown", "elsewhere"],
)
def test_an_export_that_cannot_be_right(pipeline: Pipeline, cell: str) -> None:
    """A row that names no export, or one that it cannot come from, is rejected and says why; once
    its cell is right it is loaded."""
    reject_one(pipeline)
    others = [{"PERIDX": str(200 + number)} for number in range(9)]
    good = sent_back(pipeline, NIGHT_1, ("x1", "1"))
    line = good.partition("\r\n")[2]
    rows = [good.replace(f",{NIGHT_1}", f",{cell}")]
    rows += [line.replace("1,", f"{one['PERIDX']},", 1) for one in others]

    fixed = load(pipeline, FIXED, "".join(rows))

    assert (fixed.rows.read, fixed.rows.loaded, fixed.rows.rejected) == (10, 9, 1)
    (row,) = pipeline.rejected(f"rejected/{FIXED}.rejected.csv")
    assert ("row.bad_export", "export", "1", cell) == (
        row["code"],
        row["column"],
        row["PERIDX"],
        row["export"],
    )
    text = sent_back(pipeline, FIXED).rstrip().removesuffix(cell) + NIGHT_1
    assert load(pipeline, "customers_20230501T110000Z", text).rows.loaded == 1


def test_a_row_that_is_wrong_again_keeps_its_export(pipeline: Pipeline) -> None:
    """However often a row is sent again, its export stays the one it comes from."""
    reject_one(pipeline)

    load(pipeline, FIXED, sent_back(pipeline, NIGHT_1, ("x1", "y1")) + customers_rows(pipeline))

    exports = [row["export"] for row in pipeline.rejected(f"rejected/{FIXED}.rejected.csv")]
    assert exports == [NIGHT_1]


def customers_rows(pipeline: Pipeline) -> str:
    """Return more rows of the same report, as if they had been rejected, too."""
    row = pipeline.read(f"rejected/{NIGHT_1}.rejected.csv").partition("\r\n")[2]
    return "".join(row.replace("x1", str(300 + number), 1) for number in range(9))


def test_the_export_column_has_moved(pipeline: Pipeline) -> None:
    """A report whose columns were put elsewhere is refused: its rows would lose their age."""
    reject_one(pipeline)
    cells = pipeline.rejected(f"rejected/{NIGHT_1}.rejected.csv")[0] | {"PERIDX": "1"}

    moved = {"export": cells["export"], **cells}
    refused = load(pipeline, FIXED, csv_text([*moved], [[*moved.values()]]))

    assert (
        refused.status,
        refused.error and refused.error.code,
    ) == ("rejected", "header.report_moved")


def test_the_columns_of_the_report_but_the_export_may_go(pipeline: Pipeline) -> None:
    """Without line, column, code and reason a row still has its age and no extra columns."""
    reject_one(pipeline)
    cells = pipeline.rejected(f"rejected/{NIGHT_1}.rejected.csv")[0] | {"PERIDX": "1"}
    for name in ("line", "column", "code", "reason"):
        del cells[name]

    load(pipeline, FIXED, csv_text([*cells], [[*cells.values()]]))

    document = pipeline.documents("customers")["1"]
    assert at("08:00") == document["source"]["exportedAt"]
    assert "extra" not in document


def test_a_corrected_order_is_as_old_as_its_export(pipeline: Pipeline) -> None:
    """A corrected order replaces what its own export left of it, and no later export's order."""
    load(pipeline, NIGHT_1, customers_csv({"PERIDX": "1"}))
    pipeline.clock.advance(timedelta(hours=1))
    fine = [{"ORDER_NUMBER": f"D{number}", "PERIDX": "1"} for number in range(20, 30)]
    lines = [
        {"ORDER_NUMBER": f"D{order}", "PERIDX": "1", "LINE_NUMBER": line, "QUANTITY": quantity}
        for order in (1, 2)
        for line, quantity in (("1", "2"), ("2", "many"))
    ]
    load(pipeline, "orders_20230501T080500Z", orders_csv(*fine, *lines))
    later = {"ORDER_NUMBER": "D2", "PERIDX": "1", "LINE_NUMBER": "1", "QUANTITY": "7"}
    load(pipeline, "orders_20230501T100000Z", orders_csv(later))

    text = sent_back(pipeline, "orders_20230501T080500Z", ("many", "3"))
    fixed = load(pipeline, "orders_20230501T110000Z", text)

    documents = pipeline.documents("orders")
    assert [[line["quantity"] for line in documents[key]["lines"]] for key in ("D1", "D2")] == [
        [2, 3],
        [7],
    ]
    assert at("08:05") == documents["D1"]["source"]["exportedAt"]
    assert (fixed.rows.read, fixed.rows.loaded, fixed.rows.outdated) == (4, 2, 2)


def test_orders_of_two_exports_in_one_file(pipeline: Pipeline) -> None:
    """An order whose lines come from two exports is that of the later one, whole and unmixed."""
    load(pipeline, NIGHT_1, customers_csv({"PERIDX": "1"}))
    pipeline.clock.advance(timedelta(hours=1))
    fine = [{"ORDER_NUMBER": f"D{number}", "PERIDX": "1"} for number in range(20, 30)]
    texts = []
    for hour, quantity in (("0805", "2"), ("0905", "5")):
        bad = {"ORDER_NUMBER": "D1", "PERIDX": "1", "LINE_NUMBER": hour, "QUANTITY": f"x{quantity}"}
        name = f"orders_20230501T{hour}00Z"
        load(pipeline, name, orders_csv(*fine, bad))
        texts.append(sent_back(pipeline, name, (f"x{quantity}", quantity)))
    both = texts[1] + texts[0].partition("\r\n")[2]

    fixed = load(pipeline, "orders_20230501T110000Z", both)

    document = pipeline.documents("orders")["D1"]
    assert [line["quantity"] for line in document["lines"]] == [5]
    assert (fixed.rows.read, fixed.rows.loaded, fixed.rows.outdated) == (2, 1, 1)


def test_the_summary_proposes_a_name(pipeline: Pipeline) -> None:
    """The name to send corrected rows under is one second after the file's, or the next free."""
    reject_one(pipeline)

    assert "upload it as customers_20230501T080001Z.csv" in _summary(pipeline, NIGHT_1)

    load(pipeline, "customers_20230501T090001Z", customers_csv({"PERIDX": "1"}))
    reject_one(pipeline, NIGHT_2)
    assert "upload it as customers_20230501T090002Z.csv" in _summary(pipeline, NIGHT_2)


def _summary(pipeline: Pipeline, import_id: str) -> str:
    return " ".join(pipeline.read(f"reports/{import_id}.summary.txt").split())


def test_withdrawal_wins_within_one_export(pipeline: Pipeline) -> None:
    """A corrected row subscribes nobody whom another row of its own export says has withdrawn."""
    bad = {"PERIDX": "x1", "CITY": "Perth", "PRIVACY": "No"}
    good = {"PERIDX": "1", "CITY": "Hobart", "PRIVACY": "Yes"}
    load(pipeline, NIGHT_1, customers_csv(*GOOD, good, bad))

    load(pipeline, FIXED, sent_back(pipeline, NIGHT_1, ("x1", "1")))

    document = pipeline.documents("customers")["1"]
    assert (document["address"]["city"], document["subscribed"]) == ("Perth", False)
