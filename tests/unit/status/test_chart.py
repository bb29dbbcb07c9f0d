"""Bars are as high as their numbers, and nothing is too small to be seen."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest

from shared.ledger.queries import Totals
from shared.status.chart import HEIGHT, WIDTH, Day, files_chart, round_up, rows_chart


def days(*totals: Totals) -> list[Day]:
    return [Day(date(2023, 5, 1) + timedelta(days=each), one) for each, one in enumerate(totals)]


def test_a_stack_is_as_high_as_its_rows() -> None:
    """Loaded stands on the ground, unchanged on it, rejected on top, to scale."""
    chart = rows_chart(days(Totals(loaded=500, unchanged=300, rejected=200)))

    assert chart.top == 1000
    assert [(part.kind, part.y, part.height) for part in chart.bars[0].parts] == [
        ("loaded", 50, 50),
        ("unchanged", 20, 30),
        ("rejected", 0, 20),
    ]


def test_one_bad_row_among_a_million_is_seen() -> None:
    """The smallest part has a height, and the stack still fits."""
    chart = rows_chart(days(Totals(loaded=999_999, rejected=1)))

    (loaded, rejected) = chart.bars[0].parts
    assert rejected.height >= 1
    assert rejected.y >= 0
    assert pytest.approx(loaded.height + rejected.height) == HEIGHT


def test_nothing_has_no_bar() -> None:
    """A day without files, and two weeks without any, are drawn as nothing."""
    chart = files_chart(days(*[Totals()] * 14))

    assert all(bar.parts == () for bar in chart.bars)
    assert len(chart.bars) == 14
    assert rows_chart([]).bars == ()


def test_bars_stay_inside() -> None:
    """Fourteen bars stand beside each other within the drawing."""
    chart = files_chart(days(*(Totals(files=number) for number in range(14))))

    ends = [(part.x, part.x + part.width) for bar in chart.bars for part in bar.parts]
    assert all(0 <= left < right <= WIDTH for left, right in ends)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ends))


@pytest.mark.parametrize(
    ("number", "top"), [(0, 1), (1, 1), (3, 5), (10, 10), (11, 20), (4_001, 5_000)]
)
def test_round_up(number: int, top: int) -> None:
    """The scale ends at a round number."""
    assert top == round_up(number)
