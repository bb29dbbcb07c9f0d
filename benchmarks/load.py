"""Loads one export file one way, in a process of its own, and says what that took.

`python -m benchmarks.load '{"way": …}'` prints one JSON object. The process is warm when it begins
to count: a small file of the same type has been loaded before.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from google.cloud import firestore

from benchmarks import usual
from benchmarks.pipeline import Pipeline

OURS = "pipeline"
"""The way that is ours; the others are those of `benchmarks.usual`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Order for one load: file, way, and addresses."""

    way: str
    type: str
    path: str
    """The export file."""
    warm: str
    """A small one of the same type."""
    sink: str
    """Address of the Firestore that the documents go to."""
    ledger: str
    """Address of the Firestore that has the ledger."""
    bucket: str
    """URL of the Cloud Storage."""
    project: str
    """A project that nothing else uses."""
    before: str | None = None
    """An export file that has been loaded the day before, by the pipeline only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Result of a load: time and memory."""

    cpu: float
    """Seconds of processor time, all threads together."""
    wall: float
    """Seconds."""
    peak: float
    """The most memory that the process ever held, in MiB."""
    loaded: int | None = None
    """Rows that were written, as the pipeline counts them."""


def carry_out(order: Order) -> Took:
    """Load the file."""
    if order.way == OURS:
        pipeline = Pipeline(
            project=order.project, sink=order.sink, ledger=order.ledger, bucket=order.bucket
        )
        # Nobody else has left anything under the names of this load.
        own = order.project
        for connection in ("warm", own):
            pipeline.upload(
                f"{connection}/customers_20241118T190000Z.csv",
                "PERIDX,EMAIL,PRIVACY\r\n1,jo@example.com,No\r\n",
            )
        pipeline.run()
        pipeline.upload(f"warm/{order.type}_20241118T191000Z.csv", Path(order.warm))
        pipeline.run()
        if order.before:
            pipeline.upload(f"{own}/{order.type}_20241117T191000Z.csv", Path(order.before))
            pipeline.run()
        pipeline.upload(f"{own}/{order.type}_20241118T191000Z.csv", Path(order.path))
        measured = pipeline.run
    else:
        os.environ["FIRESTORE_EMULATOR_HOST"] = order.sink
        client = firestore.Client(project=order.project)
        way = usual.WAYS[order.way]
        way(Path(order.warm), order.type, client)

        def measured() -> None:
            way(Path(order.path), order.type, client)

    cpu, wall = time.process_time(), time.perf_counter()
    measured()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    loaded = pipeline.loaded(own, order.type) if order.way == OURS else None
    return Took(cpu=cpu, wall=wall, peak=peak, loaded=loaded)


def main() -> None:
    """Carry an order out that is given as JSON."""
    logging.disable(logging.CRITICAL)
    order: dict[str, Any] = json.loads(sys.argv[1])
    sys.stdout.flush()
    answer, sys.stdout = sys.stdout, sys.stderr  # the pipeline logs to standard output
    took = carry_out(Order(**order))
    print(json.dumps(asdict(took)), file=answer)


if __name__ == "__main__":
    main()
