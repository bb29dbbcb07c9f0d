"""Measures, prints and saves: `python -m benchmarks [--only rows …]`; `make bench` runs it all."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from benchmarks import calls, cold_start, daily, growth, latency, rows, shards, small, status_page
from benchmarks.options import Options
from benchmarks.stage import Stage, ready
from benchmarks.tables import Table, save

DOCS = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"

PARTS: Mapping[str, Callable[[Stage, Options], Sequence[Table]]] = {
    "rows": rows.run,
    "daily": daily.run,
    "cold_start": cold_start.run,
    "latency": latency.run,
    "shards": shards.run,
    "status_page": status_page.run,
    "calls": calls.run,
    "small": small.run,
    "growth": growth.run,
}
"""Every part by its name. A new one is a module with such a function, and a line here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for; the exit code is 0."""
    default = Options()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--types", nargs="+", default=default.types)
    parser.add_argument("--rows", nargs="+", type=int, default=default.rows)
    parser.add_argument("--slow-rows", type=int, default=default.slow_rows)
    parser.add_argument("--ways", nargs="+", default=default.ways)
    parser.add_argument("--repeats", type=int, default=default.repeats)
    parser.add_argument("--export-rows", type=int, default=default.export_rows)
    parser.add_argument("--sharded-rows", type=int, default=default.sharded_rows)
    parser.add_argument("--imports", type=int, default=default.imports)
    parser.add_argument("--documents", nargs="+", type=int, default=default.documents)
    parser.add_argument("--made-documents", type=int, default=default.made_documents)
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the results are saved")
    given = parser.parse_args(arguments)
    options = Options(**{one.name: getattr(given, one.name) for one in fields(Options)})
    with tempfile.TemporaryDirectory() as folder, ready(Path(folder)) as stage:
        for name in given.only:
            tables = PARTS[name](stage, options)
            for table in tables:
                print(f"\n{table.title}\n\n{table.text()}", flush=True)
            save(tables, given.docs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
