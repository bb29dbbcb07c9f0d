"""Results of a measurement: a table for the terminal, for docs/ and for programs, and a plot."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pygal

from tools.reference.tables import table as markdown_table

Cell = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot of bars: some of a table's numbers, side by side."""

    title: str
    labels: Sequence[str]
    bars: Mapping[str, Sequence[float | None]]
    """Name -> a number a label, None where it was not measured."""
    logarithmic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The outcome of one part of the benchmarks."""

    name: str
    """A word, as `--only` takes it."""
    title: str
    about: str
    """What was measured and how, in a sentence or three."""
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    plot: Plot | None = field(default=None)

    def markdown(self) -> str:
        """Return the table in Markdown."""
        return markdown_table(self.columns, ([_shown(cell) for cell in row] for row in self.rows))

    def text(self) -> str:
        """Return the table for a terminal."""
        cells = [list(self.columns), *([_shown(cell) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if place else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        )


def _shown(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:,.1f}" if isinstance(cell, float) else cell


def machine() -> str:
    """Say on what it was measured."""
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"


def save(tables: Sequence[Table], folder: Path) -> None:
    """Write tables and plots into a folder, beside those of other parts that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        result = {
            "title": table.title,
            "about": table.about,
            "machine": machine(),
            "columns": list(table.columns),
            "rows": [list(row) for row in table.rows],
        }
        text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
        (folder / f"{table.name}.json").write_text(text, "utf-8")
        page = f"# {table.title}\n\n{table.about} ({machine()})\n\n{table.markdown()}\n"
        if table.plot is not None:
            (folder / f"{table.name}.svg").write_bytes(_svg(table.plot))
            page += f"\n![{table.plot.title}]({table.name}.svg)\n"
        (folder / f"{table.name}.md").write_text(page, "utf-8")


def _svg(plot: Plot) -> bytes:
    style = pygal.style.CleanStyle(font_family="sans-serif")
    chart: Any = pygal.HorizontalBar(
        title=plot.title,
        logarithmic=plot.logarithmic,
        style=style,
        js=(),
        disable_xml_declaration=False,
        print_values=True,
        value_formatter=lambda value: f"{value:,.0f}" if value >= 10 else f"{value:.2f}",
        height=140 + 26 * len(plot.labels) * len(plot.bars),
    )
    chart.x_labels = list(plot.labels)
    for name, values in plot.bars.items():
        chart.add(name, list(values))
    svg: bytes = chart.render()
    return svg
