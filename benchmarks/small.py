"""Part `small`: small files, by the usual code and by the pipeline, in turns."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from google.cloud import firestore

from benchmarks import usual
from benchmarks.load import OURS
from benchmarks.options import Options
from benchmarks.pipeline import Pipeline
from benchmarks.rows import USUAL
from benchmarks.stage import Stage
from benchmarks.tables import Plot, Table

ROWS = (1, 100, 1_000)
TYPES = ("customers", "orders")
TURNS = 5
"""Turns for each of `options.repeats`: the ratio is of a few milliseconds."""

Seconds = tuple[float, float]
"""Seconds of processor time, and seconds."""


def run(stage: Stage, options: Options) -> list[Table]:
    """Load files of each size in both ways, in one warm process per type."""
    rows: list[Sequence[str | int | float]] = []
    turns = options.repeats * TURNS
    for type_ in TYPES:
        files = {size: [str(stage.file(type_, size, seed)) for seed in range(3)] for size in ROWS}
        answer = stage.ask(
            "benchmarks.small",
            {"type": type_, "files": files, "turns": turns, "places": stage.places()},
        )
        for size in ROWS:
            cpu, wall = (
                {way: median(one[at] for one in answer[way][str(size)]) for way in (USUAL, OURS)}
                for at in (0, 1)
            )
            rows.append(
                (
                    type_,
                    size,
                    cpu[USUAL] * 1e3,
                    cpu[OURS] * 1e3,
                    cpu[USUAL] / cpu[OURS],
                    wall[USUAL] * 1e3,
                    wall[OURS] * 1e3,
                )
            )
    return [
        Table(
            name="small",
            title="Small files",
            about=(
                "Milliseconds of processor time, and milliseconds that pass, for a small file in a "
                "warm process. The two ways take turns, and each file is new to its collection. "
                "The pipeline's time is that of one task of `load`, with ledger, index and reports "
                f"in local servers. Medians of {turns}."
            ),
            columns=(
                *("file", "rows", "usual, CPU ms", "pipeline, CPU ms", "usual / pipeline"),
                *("usual, ms", "pipeline, ms"),
            ),
            rows=rows,
            plot=Plot(
                title="Milliseconds of processor time for a small file",
                labels=[f"{row[0]}, {row[1]:,}" for row in rows],
                bars={
                    "usual code": [float(row[2]) for row in rows],
                    "pipeline": [float(row[3]) for row in rows],
                },
            ),
        )
    ]


def measure(
    type_: str, files: Mapping[str, Sequence[str]], turns: int, places: Mapping[str, Any]
) -> dict[str, dict[str, list[Seconds]]]:
    """Return way -> rows -> what each turn took; a turn before the first is not counted."""
    pipeline = Pipeline(**places)
    os.environ["FIRESTORE_EMULATOR_HOST"] = places["sink"]
    client = firestore.Client(project=places["project"])
    connections = (f"c{number}" for number in count())
    took: dict[str, dict[str, list[Seconds]]] = {
        way: defaultdict(list[Seconds]) for way in (USUAL, OURS)
    }
    for turn in range(turns + 1):
        for size, paths in files.items():
            path = Path(paths[turn % len(paths)])
            ways: dict[str, Callable[[], None]] = {
                USUAL: lambda path=path: usual.WAYS[USUAL](path, type_, client),  # type: ignore[misc]
                OURS: _ready(pipeline, next(connections), type_, path),
            }
            for way, carry_out in ways.items():
                seconds = seconds_of(carry_out)
                if turn:
                    took[way][size].append(seconds)
    return took


def _ready(pipeline: Pipeline, connection: str, type_: str, path: Path) -> Callable[[], None]:
    """Take a file in, and return what loads it."""
    if type_ != "customers":
        row = "PERIDX,EMAIL,PRIVACY\r\n1,jo@example.com,No\r\n"
        pipeline.upload(f"{connection}/customers_20241118T190000Z.csv", row)
        pipeline.run()
    pipeline.upload(f"{connection}/{type_}_20241118T191000Z.csv", path)
    return pipeline.run


def seconds_of(carry_out: Callable[[], None]) -> Seconds:
    """Carry something out, and return what it took."""
    cpu, wall = time.process_time(), time.perf_counter()
    carry_out()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Measure what an order says, given as JSON."""
    logging.disable(logging.CRITICAL)
    order: dict[str, Any] = json.loads(sys.argv[1])
    answer, sys.stdout = sys.stdout, sys.stderr  # the pipeline logs to standard output
    took = measure(order["type"], order["files"], order["turns"], order["places"])
    print(json.dumps(took), file=answer)


if __name__ == "__main__":
    main()
