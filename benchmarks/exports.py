"""The export files that are measured with: seeded, as a retailer's are, one row in twenty bad."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from itertools import islice
from pathlib import Path

from local.sample_data.people import AUSTRALIA, CUSTOMER_COLUMNS, make_people
from local.sample_data.purchases import (
    ISSUED_COLUMNS,
    ORDER_COLUMNS,
    REWARD_COLUMNS,
    make_orders,
    reward_account,
    rewards_of,
)

BAD = 0.05
"""Share of the rows with something wrong in them."""
_TOGETHER = 2_000
"""People, orders or accounts that are made up at once."""
_DAY = date(2024, 11, 18)

Cells = Mapping[str, str]

FAULTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "customers": (
        *(("PERIDX", ""), ("PERIDX", "1.2E+12"), ("PERIDX", "C-65432"), ("PRIVACY", "maybe")),
        *(("EMAIL", "nobody"), ("DOB", "24/04/1990"), ("LAST_UPDATED", "24/04/2023 20:12")),
    ),
    "orders": (
        *(("PERIDX", ""), ("ORDER_NUMBER", ""), ("ORDER_NUMBER", "D55/1"), ("QUANTITY", "two")),
        *(("PRICE", "$5.00"), ("ORDER_DATE", "24/04/2023"), ("EMAIL", "nobody")),
    ),
    "rewards": (
        *(("PERIDX", ""), ("PERIDX", "1.2E+12"), ("JOIN_DATE", "24/04/2023")),
        *(("AVAILABLE_POINTS", "many"), ("EMAIL", "nobody")),
    ),
}
"""Cells that are put in place of good ones. Those of keys and amounts have their row refused; of
the others, only the value is."""


def write(path: Path, type_: str, rows: int, *, seed: int, bad: float = BAD) -> None:
    """Write an export file with so many rows; the seed also decides what the file looks like."""
    chance = random.Random(f"{type_} {seed}")
    columns = list(_COLUMNS[type_])
    chance.shuffle(columns)
    line_end = ("\r\n", "\n")[seed // 2 % 2]
    with path.open("w", encoding="utf-8", newline="") as file:
        if seed % 2:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator=line_end)
        else:
            writer = csv.writer(file, lineterminator=line_end)
        writer.writerow(columns)
        for cells in islice(_ROWS[type_](chance), rows):
            row = [cells[column] for column in columns]
            if chance.random() < bad:
                _spoil(row, columns, type_, chance)
            writer.writerow(row)


def _spoil(row: list[str], columns: list[str], type_: str, chance: random.Random) -> None:
    place = chance.randrange(len(FAULTS[type_]) + 1)
    if place == len(FAULTS[type_]):
        row.pop()
    else:
        column, cell = FAULTS[type_][place]
        row[columns.index(column)] = cell


def _customers(chance: random.Random) -> Iterator[Cells]:
    first = 100_000
    while True:
        people = make_people(chance, AUSTRALIA, first=first, count=_TOGETHER, latest=_DAY)
        first += 7 * _TOGETHER
        for person in people:
            # As in life, a telephone number is one person's.
            mobile = f"+614{chance.randrange(10**8):08}" if person.cells["MOBILE"] else ""
            yield {**person.cells, "MOBILE": mobile}


def _orders(chance: random.Random) -> Iterator[Cells]:
    buyers = make_people(chance, AUSTRALIA, first=100_000, count=_TOGETHER, latest=_DAY)
    first = 1
    while True:
        for order in make_orders(chance, AUSTRALIA, buyers, first=first, count=_TOGETHER, day=_DAY):
            yield from order.rows
        first += _TOGETHER


def _rewards(chance: random.Random) -> Iterator[Cells]:
    first, number = 100_000, 70_000
    while True:
        people = make_people(chance, AUSTRALIA, first=first, count=_TOGETHER, latest=_DAY)
        first += 7 * _TOGETHER
        for person in people:
            account = reward_account(chance, person, day=_DAY)
            rows = rewards_of(chance, account, first=number, day=_DAY)
            number += len(rows)
            yield from rows


_COLUMNS = {
    "customers": CUSTOMER_COLUMNS,
    "orders": ORDER_COLUMNS,
    "rewards": (*REWARD_COLUMNS, *ISSUED_COLUMNS),
}
_ROWS: Mapping[str, Callable[[random.Random], Iterator[Cells]]] = {
    "customers": _customers,
    "orders": _orders,
    "rewards": _rewards,
}

TYPES = tuple(_ROWS)
"""The types that are measured."""
