"""What a retailer gets back can be opened, understood, mended and sent again."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.pipeline import Pipeline, customers_csv

FIRST, SECOND = "customers_20230501T115500Z", "customers_20230501T125500Z"
SCHEMA: dict[str, Any] = json.loads(Path("docs/report.schema.json").read_text(encoding="utf-8"))
ODD = {
    "FIRSTNAME": "=1+1",
    "CITY": "'=1",
    "MOBILE": "+61 491 570 006",
    "POSTCODE": "0800",
    "PERSON_CODE": "-SMITH",
    "=cmd|X": "@sum",
}


def test_a_mended_rejected_file_loads_what_stood_there_before(pipeline: Pipeline) -> None:
    """Telephone numbers, leading zeros and would-be formulas survive the way there and back."""
    rows = [{"PERIDX": str(number)} for number in range(1, 10)]
    pipeline.upload(f"{FIRST}.csv", customers_csv(*rows, {"PERIDX": "x7", **ODD}))
    assert ["loaded_with_rejects"] == pipeline.run_due()

    returned = pipeline.read(f"rejected/{FIRST}.rejected.csv")
    cells = {cell for row in csv.reader(io.StringIO(returned)) for cell in row}
    assert not [cell for cell in cells if cell.startswith(("=", "@", "-S"))]
    pipeline.clock.advance("13:00")
    pipeline.upload(f"{SECOND}.csv", returned.replace("x7", "77"))
    assert ["loaded"] == pipeline.run_due()

    stored = pipeline.documents("customers")["77"]
    assert ("=1+1", "'=1") == (stored["firstName"], stored["address"]["city"])
    assert ("+61 491 570 006", "0800") == (stored["mobile"], stored["address"]["postcode"])
    assert ("-SMITH", {"=cmd|X": "@sum"}) == (stored["personCode"], stored["extra"])


@pytest.mark.parametrize(
    ("name", "text", "status"),
    [
        (f"{FIRST}.csv", customers_csv({"PERIDX": "1"}), "loaded"),
        (f"test/{FIRST}.csv", customers_csv({"PERIDX": "1"}), "checked"),
        (
            f"{FIRST}.csv",
            customers_csv(*({"PERIDX": str(n)} for n in range(9)), {"PERIDX": "x"}),
            "loaded_with_rejects",
        ),
        (f"{FIRST}.csv", "NO,HEADER\n1,2\n", "rejected"),
        (f"Customers_{FIRST[10:]}.csv", customers_csv({"PERIDX": "1"}), "rejected"),
    ],
)
def test_every_report_holds_to_its_schema(
    pipeline: Pipeline, name: str, text: str, status: str
) -> None:
    """The report of every outcome is as docs/report.schema.json says, with a summary beside it."""
    pipeline.upload(name, text)
    pipeline.run_due()

    (report,) = [found for found in pipeline.objects() if found.endswith(".report.json")]
    content = pipeline.report(report)
    jsonschema.validate(content, SCHEMA, format_checker=jsonschema.FormatChecker())
    assert status == content["status"]
    summary = pipeline.read(report.replace(".report.json", ".summary.txt"))
    assert f"Status:    {status}\n" in summary
