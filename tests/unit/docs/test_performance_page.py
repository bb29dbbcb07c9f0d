"""The pages about speed and cost show what was measured and what is reckoned."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import cloud
from benchmarks.cloud import ramp_seconds, reckon

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "performance.md").read_text("utf-8")


def saved(name: str) -> list[str]:
    """Return the lines of a table that `make bench` has saved."""
    text = (ROOT / "docs" / "benchmarks" / f"{name}.md").read_text("utf-8")
    return [line for line in text.splitlines() if line.startswith("|")]


def test_the_speed_is_that_measured() -> None:
    """The page has the usual code and the pipeline of each file of 100,000 rows that was saved."""
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in saved("rows")
    ]
    measured = [dict(zip(head, row, strict=True)) for row in rows]
    shown = [
        f"|{row['file']}|{row['usual code']}|{row['pipeline']}|\n"
        for row in measured
        if row["rows"] == "100,000"
    ]
    assert len(shown) == len({row["file"] for row in measured}) > 2
    assert "|file|usual code|pipeline|\n|---|---|---|\n" + "".join(shown) + "\n" in PAGE


def test_the_growth_is_that_measured() -> None:
    """The page has how many times as long files take in large collections, as it was saved."""
    _, _, *rows = [line.strip("|").split("|") for line in saved("growth")]

    def times(documents: str) -> str:
        found = sorted({float(row[4]) for row in rows if row[1] == documents})
        return f"{' to '.join(map(str, found))} times"

    assert f"[{times('1,000,000')}](benchmarks/growth.md) the processor time" in PAGE
    assert f"Into ten million, Firestore is asked, which takes {times('10,000,000')}." in PAGE


def test_a_small_file_costs_what_was_measured() -> None:
    """The page has the milliseconds of a file of one row, as they were saved."""
    _, _, *rows = [line.strip("|").split("|") for line in saved("small")]
    found = sorted(round(float(row[3])) for row in rows if row[1] == "1")

    assert f"[{found[0]} to {found[-1]} ms](benchmarks/small.md)" in PAGE


def test_the_memory_is_that_measured() -> None:
    """The page names a bound that no measured file has reached."""
    (bound,) = re.findall(r"less than (\d+) MiB\]\(benchmarks/memory.md\)", PAGE)
    _, _, *rows = saved("memory")
    assert rows
    assert max(int(row.strip("|").split("|")[-1]) for row in rows) < int(bound)


def test_the_cost_is_that_reckoned() -> None:
    """The page has the table that `python -m benchmarks.cloud` prints."""
    assert cloud.table().markdown() in PAGE


def test_the_cost_of_a_month_is_that_reckoned() -> None:
    """The page has the second table, and the price of the writes that both ways have."""
    assert cloud.month_table().markdown() in PAGE
    writes = 30 * cloud.FILES * cloud.ROWS * cloud.Assumptions().dollars_a_write
    assert f"cost {writes:.2f} a" in PAGE


def test_the_choice_between_index_and_firestore_is_that_reckoned() -> None:
    """The page has what it would cost to read the index always, or to ask Firestore always."""
    million, ten_million = 10**6, 10**7
    asks, reads = (replace(cloud.NOW, records=records) for records in (0, math.inf))

    def dollars(way: cloud.Small, documents: int) -> float:
        return cloud.month(way, documents)["$ together"]

    more = dollars(asks, million) - dollars(cloud.NOW, million)
    assert f"to ask Firestore for {cloud.ROWS} documents costs {more:.2f} more" in PAGE
    more = dollars(cloud.NOW, ten_million) - dollars(reads, ten_million)
    less = (
        cloud.month(reads, ten_million)["seconds"] - cloud.month(cloud.NOW, ten_million)["seconds"]
    )
    assert f"costs {more:.2f} more, and takes {less:.1f} seconds less" in PAGE.replace("\n", " ")


def test_the_requests_of_a_month_are_those_counted() -> None:
    """A small file is reckoned with the requests that were counted, taking it in included."""
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in saved("calls")
    ]
    customers = {row[0]: int(row[1]) + int(row[2]) for row in rows}
    of_class_a = ("objects.insert", "objects.moveTo")
    of_class_b = ("objects.get", "objects.get, content")

    assert head[1:3] == ["customers, taken in", "customers, loaded"]
    assert cloud.NOW.class_a == sum(customers.pop(name) for name in of_class_a)
    assert cloud.NOW.class_b == sum(customers.pop(name) for name in of_class_b)
    assert [name for name in customers if name.startswith("objects.")] == ["objects.delete"]


def test_an_index_is_read_where_few_documents_are() -> None:
    """Reading moves bytes and costs no reads of Firestore."""
    few, many = (cloud.month(cloud.NOW, documents) for documents in (1_200_000, 1_200_001))

    assert (few["MB"], many["MB"]) == (57.6, 0)
    assert few["$ Firestore"] < many["$ Firestore"]
    assert few["seconds"] > many["seconds"] == cloud.Assumptions().fixed_seconds


@pytest.mark.parametrize(
    ("writes", "seconds"),
    [(0, 0), (1_000, 2), (150_000, 300), (150_750, 301), (375_000, 600), (712_500, 900)],
)
def test_ramp(writes: int, seconds: int) -> None:
    """Firestore takes 500 writes a second, and half as many again after every five minutes."""
    assert seconds == pytest.approx(ramp_seconds(writes, first=500, most=1e9))


def test_ramp_has_an_end() -> None:
    """No more writes a second are reckoned with than are said."""
    assert pytest.approx(300 + 300) == ramp_seconds(150_000 + 180_000, first=500, most=600)


def test_what_does_not_change_costs_no_writes() -> None:
    """A file of which nothing has changed costs the time of the workers alone."""
    one = reckon(1_000_000, 0.0)

    assert (one.written, one.dollars_writing) == (0, 0.0)
    assert 0 < one.dollars_working < reckon(1_000_000, 0.1).dollars_working
