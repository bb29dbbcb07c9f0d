"""Reports of two workers that both take an import for their own."""

from __future__ import annotations

import json

import pytest

from shared.core.errors import Problem, TryAgain
from shared.reporting.reports import (
    RejectedFile,
    a_line_each,
    delete_report,
    part_name,
    reports_now,
)
from tests.support.pipeline import Pipeline

NAME = "rejected/customers_20230501T115500Z.rejected.csv"
REPORT = "reports/customers_20230501T115500Z.report.json"


def rows(pipeline: Pipeline, cell: str) -> RejectedFile:
    """Return a worker's finished rows."""
    file = RejectedFile(pipeline.services.bucket, NAME, header=["PERIDX"], delimiter=",")
    file.add([cell], [Problem(code="row.missing_key", message="No key.", line=2)], export="")
    file.close()
    return file


def test_published(pipeline: Pipeline) -> None:
    """Rows appear under their name when they are published, and nothing else stays."""
    file = rows(pipeline, "x")
    assert {part_name(NAME)} == pipeline.objects()

    assert file.publish() == NAME

    file.abandon()
    assert {NAME} == pipeline.objects()


def test_rows_of_a_worker_that_comes_back(pipeline: Pipeline) -> None:
    """Once another worker has finished its rows, those of the earlier one are never published."""
    late, other = rows(pipeline, "late"), rows(pipeline, "other")
    other.publish()

    with pytest.raises(TryAgain):
        late.publish()

    late.abandon()
    assert {NAME} == pipeline.objects()
    assert "other" in pipeline.read(NAME)


def test_rows_of_a_worker_that_comes_back_to_none(pipeline: Pipeline) -> None:
    """Once another worker has found no bad rows, those of the earlier one are never published."""
    late = rows(pipeline, "late")
    for name, generation in reports_now(pipeline.services.bucket, REPORT, rejected=True).items():
        delete_report(pipeline.services.bucket, name, generation=generation)

    with pytest.raises(TryAgain):
        late.publish()

    assert set() == pipeline.objects()


def test_the_summary_is_for_people(pipeline: Pipeline) -> None:
    """The summary has the retailer's time, and errors of one kind are told once with their rows."""
    pipeline.database.document("connections/main").set({"timeZone": "Australia/Perth"})
    rows = [f'{n},"{n} Elm St\r\nLevel {n}",No' for n in range(1, 31)]
    for place in (9, 10, 11, 20):
        rows[place] = rows[place].replace(str(place + 1), "x", 1)
    text = "\r\n".join(("PERIDX,ADDRESS_LINE_1,PRIVACY", *rows, ""))
    pipeline.upload("customers_20230501T115500Z.csv", text)
    pipeline.run_due()

    summary = pipeline.read(REPORT.replace("report.json", "summary.txt"))
    (group,) = (one for one in pipeline.report(REPORT)["groups"] if one["code"] == "row.bad_key")

    assert " AWST\n" in summary
    assert "  Lines 20, 22, 24, 42 (rows 11–13, 22 in a spreadsheet).\n" in summary
    assert ("row", 4, "PERIDX") == (group["severity"], group["count"], group["column"])
    assert group["hint"] in " ".join(summary.split())


def test_a_line_for_each_problem(pipeline: Pipeline) -> None:
    """Each problem has a line of its own in the report; a file without problems has none."""
    pipeline.upload("customers_20230501T115500Z.csv", "PERIDX,EMAIL,PRIVACY\n1,,No\n2\n3\n4,\n")
    pipeline.upload("customers_20230501T125500Z.csv", "PERIDX,EMAIL,PRIVACY\n1,,No\n")
    pipeline.run_due()

    text = pipeline.read(REPORT)
    problems = json.loads(text)["problems"]
    lines = [line for line in text.splitlines() if line.startswith('    {"code": ')]
    assert len(problems) >= 3
    assert problems == [json.loads(line.removesuffix(",")) for line in lines]
    assert json.loads(pipeline.read(REPORT.replace("T11", "T12")))["problems"] == []


def test_a_line_for_each_of_odd_problems() -> None:
    """A text that looks like the end of a problem is none, and problems of a kind share a line."""
    problems = [
        Problem(code="row.bad_date", message='}, {"code": "b"', line=1),
        Problem(code="row.bad_date", message='}, {"code": "b"', line=3, row=2, column="DOB"),
        Problem(code="row.bad_date", message='}, {"code": "b"', line=4, row=3, column="DOB"),
        Problem(code="file.empty", message='\\"}, {\n\\}, {"'),
    ]

    text = a_line_each(problems)

    documents = [problem.to_document() for problem in problems]
    assert [json.loads(line.removesuffix(",")) for line in text.splitlines()[1:-1]] == documents
    assert json.loads(text) == documents
