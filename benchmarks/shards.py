"""Part `shards`: the same load on 1, 2, 4 and 8 shards, each on a worker of its own."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks import sink
from benchmarks.options import Options
from benchmarks.stage import Stage
from benchmarks.tables import Plot, Table

SHARDS = (1, 2, 4, 8)
SECONDS = 0.05
"""Until a write is answered."""
RATE = 20_000.0
"""Writes a second that the limited database takes."""

_NAME = "measured/customers_20241118T191000Z.csv"
_numbers = itertools.count()


@dataclass(slots=True)
class Spent:
    """Time of one load."""

    wall: float = 0.0
    """Seconds from the first task to the end of the import."""
    cpu: float = 0.0
    """Processor seconds of all workers."""
    first: float = 0.0
    """Seconds of the first task: of splitting the file, where it is split."""
    shards: list[float] = field(default_factory=list)
    """Processor seconds of each shard."""


def run(stage: Stage, options: Options) -> list[Table]:
    """Load a file against a database that answers late, and against one that also takes no more
    than so many writes a second."""
    size = options.sharded_rows
    rows: list[list[Any]] = []
    for count in SHARDS:
        free, limited = (
            [_load(stage, size, count, seed, rate) for seed in range(options.repeats)]
            for rate in (0.0, RATE)
        )
        busiest = median([max(one.shards, default=one.cpu) for one in free])
        rows.append(
            [
                count,
                *(f"{median([one.wall for one in several]):.1f}" for several in (free, limited)),
                f"{median([one.first for one in free]):.1f}" if count > 1 else None,
                f"{median([one.cpu for one in free]):.1f}",
                f"{busiest:.2f}",
            ]
        )
    return [
        Table(
            name="shards",
            title="A file in shards",
            about=(
                f"{size:,} customers, a worker process per shard, all on one machine: seconds from "
                f"the first task to the end, medians of {options.repeats}. The database answers "
                f"a write after {SECONDS * 1000:.0f} ms; the second time it takes "
                f"{RATE:,.0f} writes a second at most."
            ),
            columns=(
                *("shards", "seconds", f"at {RATE:,.0f} writes/s", "of that splitting"),
                *("CPU s in all", "CPU s of the busiest shard"),
            ),
            rows=rows,
            plot=Plot(
                title="Seconds until the file is loaded",
                labels=[f"{count} shards" if count > 1 else "not split" for count in SHARDS],
                bars={
                    "no limit": [float(row[1]) for row in rows],
                    f"{RATE:,.0f} writes/s": [float(row[2]) for row in rows],
                },
            ),
        )
    ]


def _load(stage: Stage, size: int, count: int, seed: int, rate: float) -> Spent:
    """Load a file on so many shards; every worker is warm before the clock starts."""
    path = stage.file("customers", size, seed)
    project = f"bench-shards-{next(_numbers)}"
    shard_bytes = -(-path.stat().st_size // count)
    with ExitStack() as stack:
        order = {
            "project": project,
            "sink": stack.enter_context(sink.running(seconds=SECONDS, rate=rate)),
            "ledger": stage.ledger,
            "bucket": stage.bucket,
            "warm": str(stage.file("customers", 200, seed)),
            "settings": {"SHARD_BYTES": str(shard_bytes), "SHARDS_AT_ONCE": str(count)},
        }
        workers = [
            stack.enter_context(_worker({**order, "own": f"warm{number}"}))
            for number in range(count)
        ]
        tasks = workers[0].ask({"name": _NAME, "path": str(path)})["tasks"]
        return _carry_out(workers, tasks)


def _carry_out(workers: Sequence[_Worker], tasks: list[Any]) -> Spent:
    """Have tasks carried out, as many at a time as there are workers, until none is left."""
    spent = Spent()
    began = time.perf_counter()
    idle = list(workers)
    under_way: dict[Future[Any], _Worker] = {}
    with ThreadPoolExecutor(len(workers)) as pool:
        while tasks or under_way:
            while tasks and idle:
                worker = idle.pop()
                under_way[pool.submit(worker.ask, {"task": tasks.pop(0)})] = worker
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for one in done:
                answer = one.result()
                idle.append(under_way.pop(one))
                tasks += answer["tasks"]
                spent.cpu += answer["cpu"]
                spent.first = spent.first or answer["wall"]
                if answer["ended"] == "shard loaded":
                    spent.shards.append(answer["cpu"])
    spent.wall = time.perf_counter() - began
    return spent


class _Worker:
    """A `benchmarks.worker` that has been started."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, what: dict[str, Any]) -> dict[str, Any]:
        """Have something done and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Return the next answer. Raises RuntimeError where the worker has failed."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a worker has failed; its output is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def _worker(order: dict[str, Any]) -> Iterator[_Worker]:
    command = [sys.executable, "-m", "benchmarks.worker", json.dumps(order)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            worker = _Worker(process)
            worker.answer()
            yield worker
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(20)
