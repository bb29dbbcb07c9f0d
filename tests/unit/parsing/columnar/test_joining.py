"""Documents that are joined many at a time are those that are joined one by one."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import pytest

from shared.core.errors import Problem
from shared.core.settings import ConnectionSettings, Deployment
from shared.files.aggregation import Aggregation
from shared.files.filetype import Assembled, FileType, R, Total, file_type
from shared.files.types.rewards import assemble as assemble_rewards
from shared.parsing.blocks import Block
from shared.parsing.examination import Examination, Watcher
from shared.parsing.plan import Planner

SETTINGS = {
    blank_means: ConnectionSettings.from_document(
        {"rejectLimit": 1, "blankMeans": blank_means},
        connection="main",
        deployment=Deployment(project="demo", bucket="exports"),
    )
    for blank_means in ("clear", "keep")
}

ODD_CELLS = {
    "orders": (
        *(("EMAIL", "nobody"), ("CURRENCY", "$"), ("STAFF_CODE", "")),
        *(("LINE_ID", "7"), ("LINE_ID", ""), ("LINE_NUMBER", "1"), ("LINE_NUMBER", "")),
        *(("QUANTITY", "0.1"), ("QUANTITY", "-1"), ("QUANTITY", "9223372036854775807")),
        *(("VALUE", ""), ("VALUE", "92233720368547758.07"), ("VALUE", "92233720368547.00")),
        *(("PERIDX", "8"), ("PERIDX", "x"), ("ORDER_DATE", "2023-04-25"), ("PRICE", "$5")),
        *(("ORDER_DATE", "2023-04-24T20:12:30"), ("ORDER_NUMBER", "D/1"), ("SKU", "")),
        *(("DISCOUNT", "-1.00"), ("EMAIL", "nobody"), ("CURRENCY", "")),
    ),
    "rewards": (
        *(("REWARD_ID", "7"), ("REWARD_ID", ""), ("REWARD_ACCOUNT_ID", "8")),
        *(("REWARD_ACCOUNT_ID", ""), ("PERIDX", "x"), ("JOIN_DATE", "24/04/2023")),
    ),
}
"""Cells that are of consequence to the document that their row belongs to."""


def _count(rows: Sequence[R], items: Sequence[R]) -> Assembled[R]:
    assembled = assemble_rewards(rows, items)
    assembled.totals["rewardCount"] = len(assembled.items)
    return assembled


TYPES = {
    "orders": file_type("orders"),
    "rewards": file_type("rewards"),
    "counted rewards": replace(
        file_type("rewards"),
        assemble=_count,
        totals=(Total(field="rewardCount", stored="integer", meaning="How many rewards."),),
        aggregation=Aggregation(
            shared=("REWARD_ACCOUNT_ID",), item_keys=("REWARD_ID",), count="rewardCount"
        ),
    ),
}


class RejectedRows(Watcher):
    """Keeps what goes into the rejected file."""

    def __init__(self) -> None:
        self.rejected: list[tuple[list[str], list[Problem]]] = []

    def reject(
        self, cells: Sequence[str], problems: Sequence[Problem], export: str | None = None
    ) -> None:
        self.rejected.append((list(cells), list(problems)))


def draw(type_: FileType, chance: random.Random) -> list[dict[str, str]]:
    """Draw rows of documents that stand together or not, with some odd cells in them."""
    columns = {column.name: column.example for column in type_.own_columns}
    left_out = ("LINE_ID", "LINE_NUMBER", "VALUE", "DISCOUNT", "REWARD_ACCOUNT_ID")
    for name in left_out:
        if chance.random() < 0.15:
            columns.pop(name, None)
    odd = [(name, cell) for name, cell in ODD_CELLS[type_.name] if name in columns]
    share = chance.choice((0.0, 0.02, 0.3))
    # A file without a good row would be refused.
    rows = [{**columns, type_.key.name: "999", "EMAIL": "999@example.com"}]
    for key in range(chance.choice((1, 20, 80))):
        for number in range(chance.choice((1, 1, 2, 5))):
            row = {**columns, type_.key.name: f"{key}", "EMAIL": f"{key}@example.com"}
            item = f"{chance.randrange(10**6)}"
            row |= {name: item for name in ("LINE_ID", "REWARD_ID") if name in columns}
            row |= {name: f"{9 - number}" for name in ("LINE_NUMBER",) if name in columns}
            if type_.name == "rewards" and chance.random() < 0.2:
                row |= {c.name: "" for c in type_.own_columns if c.part == "item"}
            if chance.random() < share:
                row |= [chance.choice(odd)]
            if chance.random() < share:  # blank cells leave fields open in some of the files
                row |= {name: "" for name in columns if chance.random() < 0.1}
                row |= {type_.key.name: f"{key}", "EMAIL": f"{key}@example.com"}
            rows.append(row)
    if chance.random() < 0.4:
        chance.shuffle(rows)
    return rows


def write(path: Path, rows: Sequence[Mapping[str, str]], chance: random.Random) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]], delimiter=chance.choice(",;"))
        writer.writeheader()
        writer.writerows(rows)


def examine(
    type_: FileType, path: Path, blank_means: str = "clear"
) -> tuple[list[Block], list[Problem], list[tuple[list[str], list[Problem]]]]:
    """Examine a file; returns its documents, what is said of it, and the rejected file."""
    watcher = RejectedRows()
    examination = Examination(
        type_,
        SETTINGS[blank_means],
        open=lambda: path.open("rb"),
        size=path.stat().st_size,
        watcher=watcher,
    )
    blocks = list(examination.documents(examination.judge()))
    return blocks, examination.tally.kept, watcher.rejected


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("seed", range(24))
def test_agrees(type_name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents, warnings, repeated rows, order and all: a file comes to the same both ways."""
    chance = random.Random(f"{type_name} {seed}")
    type_ = TYPES[type_name]
    path = tmp_path / "export.csv"
    write(path, draw(type_, chance), chance)
    monkeypatch.setattr("shared.parsing.csv.reader.CHUNK_ROWS", chance.choice((3, 40, 10_000)))
    plan = partialmethod(Planner.plan, open_rows_limit=chance.choice((7, 1_000)))
    monkeypatch.setattr(Planner, "plan", plan)

    blank_means = chance.choice(("clear", "keep"))

    many = examine(type_, path, blank_means)
    one_by_one = examine(replace(type_, aggregation=None), path, blank_means)

    assert one_by_one == many


@pytest.mark.parametrize("type_name", TYPES)
def test_usual_documents_are_not_assembled(type_name: str, tmp_path: Path) -> None:
    """Where nothing is odd, no document is put together by itself."""

    def assemble(rows: Sequence[R], items: Sequence[R]) -> Assembled[R]:
        raise AssertionError("put together by itself")

    type_ = TYPES[type_name]
    columns = {column.name: column.example for column in type_.own_columns}
    rows = [
        columns
        | {type_.key.name: str(number // 2)}
        | {name: str(number) for name in ("LINE_ID", "REWARD_ID") if name in columns}
        for number in range(20)
    ]
    path = tmp_path / "export.csv"
    write(path, rows, random.Random(0))

    blocks, problems, _ = examine(replace(type_, assemble=assemble), path)

    assert ([len(block) for block in blocks], problems) == ([10], [])
