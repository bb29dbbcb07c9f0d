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
CONNECTION = "measured"


def run(stage: Stage, options: Options) -> list[Table]:
    """Load small files, each of other documents, after a file of each size."""
    rows: list[tuple[str | int | float, ...]] = []
    with sink.running(stored=True) as stored:
        for type_ in TYPES:
            for documents in (*options.documents, options.made_documents):
                made = documents == options.made_documents
                rows_before = ROWS * (options.repeats + 1) if made else documents
                before = stage.file(type_, rows_before, 0, bad=0.0)
                took: list[Seconds] = stage.ask(
                    "benchmarks.growth",
                    {
                        "type": type_,
                        "before": str(before),
                        "made": documents if made else 0,
                        "repeats": options.repeats,
                        "folder": str(stage.folder),
                        "places": stage.places() | {"sink": stored},
                    },
                )
                cpu, wall = (median(one[at] for one in took) * 1e3 for at in (0, 1))
                rows.append((type_, documents, cpu, wall))
    first = {type_: next(row for row in rows if row[0] == type_) for type_ in TYPES}
    shown = [(*row, float(row[2]) / float(first[str(row[0])][2])) for row in rows]
    return [
        Table(
            name="growth",
            title="A small file into a collection that has grown",
            about=(
                f"{ROWS:,} rows, newer than all before, each of which changes a document that is "
                "stored. No row is bad. The rows before were loaded by the pipeline, except for "
                "the largest collection: its index is made up, and has none of the documents. "
                "Orders have their customers. Milliseconds of processor time and "
                f"milliseconds that pass for the task of `load`, medians of {options.repeats}; the "
                "last column compares the processor time with that of the smallest collection."
            ),
            columns=("file", "rows before", "CPU ms", "ms", "times the smallest"),
            rows=shown,
            plot=Plot(
                title=f"Milliseconds of processor time for {ROWS:,} rows",
                labels=[f"{row[1]:,} before" for row in rows if row[0] == TYPES[0]],
                bars={type_: [float(row[2]) for row in rows if row[0] == type_] for type_ in TYPES},
            ),
        )
    ]


def measure(order: Mapping[str, Any]) -> list[Seconds]:
    """Load what is there before, then small files; return what each of these took but the first."""
    type_, before, made = order["type"], Path(order["before"]), order["made"]
    pipeline = Pipeline(**order["places"])
    if type_ != "customers":
        row = "PERIDX,EMAIL,PRIVACY\r\n1,jo@example.com,No\r\n"
        pipeline.upload(f"{CONNECTION}/customers_20241118T180000Z.csv", row)
        pipeline.run()
    if not made:
        pipeline.upload(f"{CONNECTION}/{type_}_20241118T180000Z.csv", before)
        pipeline.run()
    took = []
    smaller = small_files(before, type_, order["repeats"] + 1, folder=Path(order["folder"]))
    for number, path in enumerate(smaller):
        pipeline.upload(f"{CONNECTION}/{type_}_20241118T18{number + 1:02}00Z.csv", path)
        took.append(seconds_of(pipeline.run))
        if made and not number:
            pipeline.set_index(CONNECTION, type_, made_records(made))
    return took[1:]


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
