"""Part `daily`: the same full export day after day, of which little has changed."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from statistics import median

from benchmarks.load import OURS, Took
from benchmarks.options import Options
from benchmarks.stage import Stage
from benchmarks.tables import Plot, Table

SHARES = (0.0, 0.01, 0.1, 1.0)
"""How much of the file is not as it was the day before."""
DOLLARS_A_WRITE = 0.18 / 100_000
"""List price of a Firestore write in the multi-regions of the United States, November 2026."""


def run(stage: Stage, options: Options) -> list[Table]:
    """Load a customers export one day after another that differs from it in some rows."""
    rows = []
    size = options.export_rows
    for share in SHARES:
        took: list[Took] = []
        for seed in range(options.repeats):
            before = stage.file("customers", size, seed)
            path = stage.folder / f"again_{share}_{seed}.csv"
            changed(before, path, share=share, seed=seed)
            took.append(stage.load_file(OURS, "customers", path, seed, before=before))
        written = round(median([one.loaded or 0 for one in took]))
        rows.append(
            (
                f"{share:.0%}",
                size,
                written,
                f"{median([one.cpu for one in took]):.2f}",
                f"{written * DOLLARS_A_WRITE:.4f}",
            )
        )
    return [
        Table(
            name="daily",
            title="A full export that comes again",
            about=(
                f"A customers export one day after another one. Processor seconds are medians of "
                f"{options.repeats}; dollars are the list price of the writes, 0.18 for 100,000."
            ),
            columns=("changed", "rows", "documents written", "CPU s", "dollars"),
            rows=rows,
            plot=Plot(
                title="Documents written of a full export that comes again",
                labels=[f"{share:.0%} changed" for share in SHARES],
                bars={"documents": [row[2] for row in rows]},
            ),
        )
    ]


def changed(before: Path, path: Path, *, share: float, seed: int) -> None:
    """Write a file that differs from another one in the city of so many of its rows."""
    chance = random.Random(seed)
    with before.open(encoding="utf-8", newline="") as source:
        header, *rows = csv.reader(source)
    city = header.index("CITY")
    for row in rows:
        if len(row) == len(header) and chance.random() < share:
            row[city] = f"{row[city]} NORTH"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
