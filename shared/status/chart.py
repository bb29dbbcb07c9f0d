"""How files and rows a day are drawn: heights of bars, from numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from shared.ledger import Totals

WIDTH = 100
"""Units across; the drawing is stretched to the room there is."""
HEIGHT = 100
_FILL = 0.68
"""Part of a day's width that its bar takes."""
_LEAST = 1.5
"""Height of a bar that stands for anything at all, so that one bad row among many is seen."""


@dataclass(frozen=True, slots=True)
class Day:
    """What came on one day."""

    day: date
    totals: Totals

    @property
    def rows(self) -> int:
        return self.totals.loaded + self.totals.unchanged + self.totals.rejected


@dataclass(frozen=True, slots=True)
class BarPiece:
    """One piece of a bar: a rectangle."""

    kind: str
    """`loaded`, `unchanged`, `rejected` or `files`."""
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class DayBar:
    """The bar of one day."""

    day: Day
    parts: tuple[BarPiece, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars beside each other, the oldest day first."""

    top: int
    """What a bar as high as the drawing stands for."""
    bars: tuple[DayBar, ...]


def rows_chart(days: Sequence[Day]) -> Chart:
    """Draw the rows of each day, stacked: loaded below, then unchanged, then rejected."""
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
    """Draw the number of files of each day."""
    return _chart(days, [(("files", day.totals.files),) for day in days])


def _chart(days: Sequence[Day], stacks: Sequence[Sequence[tuple[str, int]]]) -> Chart:
    top = round_up(max((sum(number for _, number in stack) for stack in stacks), default=0))
    step = WIDTH / max(1, len(days))
    bars = []
    for place, (day, stack) in enumerate(zip(days, stacks, strict=True)):
        heights = [
            (kind, max(_LEAST, number / top * HEIGHT)) for kind, number in stack if number > 0
        ]
        # What the least heights have added is taken from the tallest, so that nothing sticks out.
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
    """Return the next of 1, 2, 5, 10, 20, 50, … that is not smaller."""
    scale = 1
    while True:
        for step in (1, 2, 5):
            if number <= step * scale:
                return step * scale
        scale *= 10
