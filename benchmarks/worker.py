"""A worker that waits, warm, for tasks: `python -m benchmarks.worker '{"project": …}'`.

It reads a JSON object a line: a file to take in (`name`, `path`) or a task to carry out (`task`),
and answers each with one: its result, its seconds, and the tasks that it has enqueued.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.pipeline import Pipeline
from shared.ledger import LoadTask


def main() -> None:
    """Work until the standard input is closed."""
    logging.disable(logging.CRITICAL)
    order: dict[str, Any] = json.loads(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr  # the pipeline logs to standard output
    pipeline = Pipeline(**{name: order[name] for name in ("project", "sink", "ledger", "bucket")})
    pipeline.upload(f"{order['own']}/customers_20241118T190000Z.csv", Path(order["warm"]))
    pipeline.run()
    pipeline = Pipeline(**{name: value for name, value in order.items() if name in _TAKES})
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        cpu, wall = time.process_time(), time.perf_counter()
        if "task" in asked:
            ended = pipeline.carry_out(LoadTask.read(asked["task"]))
        else:
            pipeline.upload(asked["name"], Path(asked["path"]))
            ended = "taken in"
        answer = {
            "ended": ended,
            "cpu": time.process_time() - cpu,
            "wall": time.perf_counter() - wall,
            "tasks": [json.loads(task.body()) for task in pipeline.tasks],
        }
        pipeline.tasks.clear()
        print(json.dumps(answer), file=answers, flush=True)


_TAKES = ("project", "sink", "ledger", "bucket", "settings")

if __name__ == "__main__":
    main()
