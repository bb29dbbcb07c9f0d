"""The benchmarks measure what they say: every way loads, and the results can be read."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import exports, growth
from benchmarks.__main__ import main
from benchmarks.exports import TYPES, write


@pytest.mark.parametrize("type_", TYPES)
def test_export_files(tmp_path: Path, type_: str) -> None:
    """A file is the same each time, as long as asked for, and about one row in twenty is bad."""
    path, again = tmp_path / "one.csv", tmp_path / "two.csv"

    write(path, type_, 2_000, seed=3)
    write(again, type_, 2_000, seed=3)

    assert path.read_bytes() == again.read_bytes()
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert len(rows) == 2_000
    faults = exports.FAULTS[type_]
    bad = [
        row
        for row in rows
        if len(row) != len(header)
        or any(cell and row[header.index(column)] == cell for column, cell in faults)
    ]
    assert 0.02 < len(bad) / len(rows) < 0.08


def test_measures_and_saves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A small run prints a table and leaves it in three forms, with a number for every way."""
    arguments = "--only rows --types orders --rows 60 --repeats 1 --docs"

    assert main([*arguments.split(), str(tmp_path)]) == 0

    assert "pipeline / usual" in capsys.readouterr().out
    result = json.loads((tmp_path / "rows.json").read_text("utf-8"))
    (row,) = result["rows"]
    assert row[:2] == ["orders", 60]
    assert all(number > 0 for number in row[2:])
    assert "|orders|60|" in (tmp_path / "rows.md").read_text("utf-8")
    assert "<svg" in (tmp_path / "rows.svg").read_text("utf-8")


def test_what_has_not_changed_is_not_written(tmp_path: Path) -> None:
    """Of an export that comes again, just the rows that differ are written."""
    assert (
        main(["--only", "daily", "--export-rows", "300", "--repeats", "1", "--docs", str(tmp_path)])
        == 0
    )

    nothing, little, some, everything = json.loads((tmp_path / "daily.json").read_text("utf-8"))[
        "rows"
    ]
    assert nothing[:3] == ["0%", 300, 0]
    assert 0 < little[2] < 15 < some[2] < 60
    assert 270 < everything[2] <= 300


def test_small_files_into_a_large_collection(tmp_path: Path) -> None:
    """Each small file has whole orders of the file before, other ones each, with a change."""
    before = tmp_path / "orders.csv"
    write(before, "orders", 5_000, seed=0, bad=0.0)
    with before.open(encoding="utf-8", newline="") as file:
        stored: dict[str, list[str]] = {}
        for row in csv.DictReader(file):
            stored.setdefault(row["ORDER_NUMBER"], []).append(row["STORE_NAME"])

    seen: set[str] = set()
    for number, path in enumerate(growth.small_files(before, "orders", 3, folder=tmp_path)):
        with path.open(encoding="utf-8", newline="") as file:
            rows = [*csv.DictReader(file)]
        assert 1_000 <= len(rows) < 1_100
        numbers = {row["ORDER_NUMBER"] for row in rows}
        assert not numbers & seen
        seen |= numbers
        for one in numbers:
            names = [row["STORE_NAME"] for row in rows if row["ORDER_NUMBER"] == one]
            assert names == [f"{name} {number}" for name in stored[one]]


def test_small_files_of_the_same_rows(tmp_path: Path) -> None:
    """A row that comes again has one change of the same length, not all those before."""
    before = tmp_path / "customers.csv"
    write(before, "customers", 500, seed=0, bad=0.0)
    small = [
        path.stat().st_size for path in growth.small_files(before, "customers", 4, folder=tmp_path)
    ]

    assert len({*small}) == 1


def test_a_made_index() -> None:
    """An index that is made up has its records sorted by key, as the index must be."""
    records = np.concatenate([*growth.made_records(50_000)])

    assert len(records) == 50_000
    assert (records["high"][1:] > records["high"][:-1]).all()
