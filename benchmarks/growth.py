"""Part `growth`: a small file into collections that have grown."""

from __future__ import annotations

import csv
import json
import logging
import random
import sys
from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import sink
from benchmarks.options import Options
from benchmarks.pipeline import Pipeline
from benchmarks.small import TYPES, Seconds, seconds_of
from benchmarks.stage import Stage
from benchmarks.tables import Plot, Table
from shared.index.records import BLOCK, RECORD, IndexRecords

ROWS = 1_000
KEYS = {"customers": "PERIDX", "orders": "ORDER_NUMBER"}
CHANGED = {"customers": "CITY", "orders": "STORE_NAME"}
"""Column that differs from what is stored."""
TURNS = 5
"""Turns for each of `options.repeats`: the difference is of a few milliseconds."""


def run(stage: Stage, options: Options) -> list[Table]:
    """Load small files, each of other documents, after a file of each size, in turns."""
    rows: list[tuple[str | int | float, ...]] = []
    turns = options.repeats * TURNS
    made = options.made_documents
    with sink.running(stored=True) as stored:
        for type_ in TYPES:
            loaded = {**{size: size for size in options.documents}, made: ROWS * (turns + 1)}
            before = {size: stage.file(type_, many, 0, bad=0.0) for size, many in loaded.items()}
            small = {
                size: [*map(str, small_files(path, type_, turns + 1, folder=stage.folder))]
                for size, path in before.items()
            }
            answer: dict[str, list[Seconds]] = stage.ask(
                "benchmarks.growth",
                {
                    "type": type_,
                    "before": {size: str(path) for size, path in before.items()},
                    "small": small,
                    "made": made,
                    "places": stage.places() | {"sink": stored},
                },
            )
            medians = [
                [median(one[at] for one in took) * 1e3 for at in (0, 1)] for took in answer.values()
            ]
            for size, (cpu, wall) in zip(answer, medians, strict=True):
                rows.append(
                    (type_, int(size), cpu, wall, cpu / medians[0][0], wall / medians[0][1])
                )
    return [
        Table(
            name="growth",
            title="A small file into a collection that has grown",
            about=(
                f"{ROWS:,} rows, newer than all before, each of which changes a document that is "
                "stored. No row is bad. The rows before were loaded by the pipeline, except for "
                "the largest collection: its index is made up, and has none of the documents. "
                "Orders have their customers. Milliseconds of processor time and "
                f"milliseconds that pass for the task of `load`, medians of {turns}; the "
                "collections take turns, and the last columns compare with the smallest one."
            ),
            columns=("file", "rows before", "CPU ms", "ms", "CPU, times", "ms, times"),
            rows=rows,
            plot=Plot(
                title=f"Milliseconds of processor time for {ROWS:,} rows",
                labels=[f"{row[1]:,} before" for row in rows if row[0] == TYPES[0]],
                bars={type_: [float(row[2]) for row in rows if row[0] == type_] for type_ in TYPES},
            ),
        )
    ]


def measure(order: Mapping[str, Any]) -> dict[str, list[Seconds]]:
    """Load what is there before, then small files.

    Returns rows before -> what each small file took, without the first one.
    """
    type_, small, made = order["type"], order["small"], order["made"]
    pipeline = Pipeline(**order["places"])
    for size, before in order["before"].items():
        if type_ != "customers":
            row = "PERIDX,EMAIL,PRIVACY\r\n1,jo@example.com,No\r\n"
            pipeline.upload(f"of-{size}/customers_20241118T180000Z.csv", row)
            pipeline.run()
        pipeline.upload(f"of-{size}/{type_}_20241118T180000Z.csv", Path(before))
        pipeline.run()
    pipeline.set_index(f"of-{made}", type_, made_records(made))
    took: dict[str, list[Seconds]] = {size: [] for size in small}
    for turn, paths in enumerate(zip(*small.values(), strict=True)):
        for size, path in zip(small, paths, strict=True):
            name = f"of-{size}/{type_}_20241118T18{turn + 1:02}00Z.csv"
            pipeline.upload(name, Path(path))
            seconds = seconds_of(pipeline.run)
            if turn:
                took[size].append(seconds)
    return took


def small_files(before: Path, type_: str, number: int, *, folder: Path) -> Iterator[Path]:
    """Write files with rows of another one, each of other keys where there are enough."""
    with before.open(encoding="utf-8", newline="") as source:
        header, *rows = csv.reader(source)
    key, column = header.index(KEYS[type_]), header.index(CHANGED[type_])
    by_key: dict[str, list[list[str]]] = {}
    for row in rows:
        if len(row) == len(header):
            by_key.setdefault(row[key], []).append(row)
    groups = [*by_key.values()]
    random.Random(type_).shuffle(groups)
    wanted, following = min(ROWS, sum(map(len, groups))), cycle(groups)
    for at in range(number):
        taken: list[list[str]] = []
        while len(taken) < wanted:
            taken += map(list, next(following))  # copies, which are changed
        for row in taken:
            row[column] += f" {at}"
        path = folder / f"small_{before.stem}_{at}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *taken])
        yield path


def made_records(count: int) -> Iterator[IndexRecords]:
    """Yield so many records of documents that no file has, sorted by key."""
    chance = np.random.default_rng(0)
    blocks = -(-count // BLOCK)
    width = 2**64 // blocks
    for number in range(blocks):
        records = np.zeros(min(BLOCK, count - number * BLOCK), RECORD)
        first = np.uint64(number * width)
        records["high"] = first + np.sort(chance.integers(0, width, len(records), np.uint64))
        records["low"] = chance.integers(0, 2**63, len(records), np.uint64)
        records["content"], records["updated"] = 1, 1_700_000_000_000_000_000
        records["exported"], records["generation"] = 1_700_000_000_000_000, 1
        yield records


def main() -> None:
    """Measure what an order says, given as JSON."""
    logging.disable(logging.CRITICAL)
    order: dict[str, Any] = json.loads(sys.argv[1])
    answer, sys.stdout = sys.stdout, sys.stderr  # the pipeline logs to standard output
    print(json.dumps(measure(order)), file=answer)


if __name__ == "__main__":
    main()
