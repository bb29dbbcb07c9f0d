"""Bar charts of files and rows per day: positions and sizes of the bars.

Example: with a top of 200, a day of 100 loaded rows has a bar from y=50 to y=100 (the bottom).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from shared.ledger import Totals

WIDTH = 100
"""Width in units; the page stretches the drawing to the space it has."""
HEIGHT = 100
"""Height in units; y=0 is the top."""
_FILL = 0.68
"""Share of a day's width that its bar takes."""
_LEAST = 1.5
"""Smallest height of a piece that is not 0, so that one bad row among many is visible."""


@dataclass(frozen=True, slots=True)
class Day:
    """Files and rows of one day."""

    day: date
    totals: Totals

    @property
    def rows(self) -> int:
        return self.totals.loaded + self.totals.unchanged + self.totals.rejected


@dataclass(frozen=True, slots=True)
class BarPiece:
    """One piece of a bar: a rectangle, from its left top corner."""

    kind: str
    """`loaded`, `unchanged`, `rejected` or `files`."""
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class DayBar:
    """The bar of one day, as pieces from the bottom up."""

    day: Day
    parts: tuple[BarPiece, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars side by side, the oldest day first."""

    top: int
    """Number that a bar of full height represents."""
    bars: tuple[DayBar, ...]


def rows_chart(days: Sequence[Day]) -> Chart:
    """Return the chart of rows per day, stacked from the bottom: loaded, unchanged, rejected."""
    return _chart(
        days,
        [
            (
                ("loaded", day.totals.loaded),
                ("unchanged", day.totals.unchanged),
                ("rejected", day.totals.rejected),
            )
            for day in days
        ],
    )


def files_chart(days: Sequence[Day]) -> Chart:
    """Return the chart of files per day."""
    return _chart(days, [(("files", day.totals.files),) for day in days])


def _chart(days: Sequence[Day], stacks: Sequence[Sequence[tuple[str, int]]]) -> Chart:
    top = round_up(max((sum(number for _, number in stack) for stack in stacks), default=0))
    step = WIDTH / max(1, len(days))
    bars = []
    for place, (day, stack) in enumerate(zip(days, stacks, strict=True)):
        heights = [
            (kind, max(_LEAST, number / top * HEIGHT)) for kind, number in stack if number > 0
        ]
        # Height that small pieces have gained is taken from the tallest, to keep the bar inside.
        over = sum(height for _, height in heights) - HEIGHT
        if over > 0:
            tallest = max(range(len(heights)), key=lambda each: heights[each][1])
            kind, height = heights[tallest]
            heights[tallest] = (kind, height - over)
        parts = []
        y = float(HEIGHT)
        for kind, height in heights:
            y -= height
            x = (place + (1 - _FILL) / 2) * step
            parts.append(
                BarPiece(kind, round(x, 2), round(y, 2), round(_FILL * step, 2), round(height, 2))
            )
        bars.append(DayBar(day, tuple(parts)))
    return Chart(top, tuple(bars))


def round_up(number: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50, … that is at least `number`: 130 gives 200."""
    scale = 1
    while True:
        for step in (1, 2, 5):
            if number <= step * scale:
                return step * scale
        scale *= 10
