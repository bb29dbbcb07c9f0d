"""Part `rows`: rows a second of processor time, from the file to the answer of the database."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.load import OURS, Took
from benchmarks.options import Options
from benchmarks.stage import Stage
from benchmarks.tables import Plot, Table
from benchmarks.usual import WAYS

USUAL = "usual"
BULK_WRITER = "bulk_writer"
"""It writes no more than 500 documents a second at first: it loads the first file only."""

OFTEN = 3
"""Loads of each file by the pipeline. They take a second or two, the others a minute: what else
happens on the machine is not to count for more in them."""

NAMES = {
    USUAL: "usual code",
    BULK_WRITER: "BulkWriter",
    "tidy": "tidy batch.set",
    OURS: "pipeline",
}
"""What the ways are called."""


def run(stage: Stage, options: Options) -> list[Table]:
    """Load each file in each way, several times, and take the medians.

    The slow ways load no more than `options.slow_rows`; nothing is extrapolated.
    """
    rows: list[list[str | int | float | None]] = []
    labels: list[str] = []
    bars: dict[str, list[float | None]] = {name: [] for name in NAMES.values()}
    names = [*NAMES.values()]
    memory: list[list[Any]] = []
    for type_ in options.types:
        for size in options.rows:
            speeds: dict[str, float | None] = dict.fromkeys((*WAYS, OURS))
            peaks: dict[str, float | None] = dict.fromkeys((*WAYS, OURS))
            for way, took in _loads(stage, options, type_, size).items():
                speeds[way] = size / median([one.cpu for one in took])
                peaks[way] = median([one.peak for one in took])
            usual, ours = speeds[USUAL], speeds[OURS]
            times = ours / usual if usual and ours else None
            rows.append([type_, size, *(_whole(speeds[way]) for way in NAMES), times])
            megabytes = stage.file(type_, size, 0).stat().st_size / 1e6
            memory.append([type_, size, megabytes, *(_whole(peaks[way]) for way in NAMES)])
            labels.append(f"{type_}, {size:,}")
            for way, name in NAMES.items():
                bars[name].append(speeds[way])
    about = (
        "From the file to the answer of a local Firestore that keeps nothing; one row in twenty is "
        f"bad. Processor time of the loading process alone, medians of {options.repeats} files. "
        f"The ways take turns, the pipeline {OFTEN} times with each file, BulkWriter with the "
        f"first alone. Above {options.slow_rows:,} rows of one run."
    )
    return [
        Table(
            name="rows",
            title="Rows a second of processor time",
            about=about,
            columns=("file", "rows", *NAMES.values(), "pipeline / usual"),
            rows=rows,
            plot=Plot(
                title="Rows a second of processor time",
                labels=labels,
                bars=bars,
                logarithmic=True,
            ),
        ),
        Table(
            name="memory",
            title="Peak memory",
            about="The most memory that the loading process held, in MiB, libraries included.",
            columns=("file", "rows", "file in MB", *NAMES.values()),
            rows=memory,
            plot=Plot(
                title="Peak memory, MiB",
                labels=labels,
                bars={name: [held[3 + at] for held in memory] for at, name in enumerate(names)},
            ),
        ),
    ]


def _loads(stage: Stage, options: Options, type_: str, size: int) -> dict[str, list[Took]]:
    """Load files of a type and size in each way, taking turns, and return what each took."""
    took: dict[str, list[Took]] = {}
    for seed in range(options.repeats if size <= options.slow_rows else 1):
        for way in options.ways:
            if (way == BULK_WRITER and seed > 0) or (way != OURS and size > options.slow_rows):
                continue
            for _ in range(OFTEN if way == OURS and size <= options.slow_rows else 1):
                took.setdefault(way, []).append(stage.load(way, type_, size, seed))
    return took


def _whole(number: float | None) -> int | None:
    return None if number is None else round(number)
