"""The benchmarks measure what they say: every way loads, and the results can be read."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from benchmarks import exports
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
    assert "| orders | 60 |" in (tmp_path / "rows.md").read_text("utf-8")
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
