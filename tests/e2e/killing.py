"""Loads a file on a running stack while its workers are killed, and compares what came of it.

python -m tests.e2e.killing --rows 100000 --kills 20
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from local.endpoints import Endpoints
from shared.ledger.imports import Import
from tests.support.expected import csv_file, customer_document, differences
from tests.support.stack import Hands, Up, hands_on
from tests.support.waiting import descendants, eventually

IMPORT = "customers_20241118T180000Z"
COLUMNS = ("PERIDX", "FIRSTNAME", "SURNAME", "CITY", "EMAIL", "PRIVACY", "LAST_UPDATED")
LEASE = "3s"
ROWS_A_SECOND = 25_000
"""Rows that a worker loads in a second at most: no attempt gets to its end before it is killed."""
BAD_EVERY = 1_000
"""One row in so many has no key."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a file whose workers were killed."""

    import_: Import
    kills: int
    """Workers killed while they were loading it."""
    seconds: float
    differences: list[str]
    """What is wrong with the documents."""
    rows: int
    bad: int


def load_under_fire(data: Path, *, rows: int, kills: int, seed: int = 1) -> Outcome:
    """Start a stack, upload a file, and kill its worker so many times while it is being loaded."""
    rng = random.Random(seed)
    cells = [
        [
            "" if number % BAD_EVERY == 7 else str(100_000 + number),
            *("Ana", f"Smith {number}", ("Hobart", "Perth")[number % 2], f"a{number}@example.com"),
            *(("Yes", "No")[number % 3 == 0], "2024-11-18T09:00:00"),
        ]
        for number in range(rows)
    ]
    content, lines = csv_file(COLUMNS, cells)
    environment = {"LEASE": LEASE, "MAX_ATTEMPTS": str(kills + 20)}
    with Up(data, environment=environment) as up, hands_on(up.ready()) as hands:
        _retry_soon(hands.endpoints)
        begun = time.monotonic()
        hands.upload(f"{IMPORT}.csv", content)
        killed = attempt = 0
        while killed < kills:
            at_work = _next_attempt(hands, after=attempt)
            if at_work is None:
                break
            attempt = at_work.attempt
            time.sleep(rng.uniform(0, rows / ROWS_A_SECOND))
            killed += _kill_worker(up, hands)
        import_ = hands.wait_for(
            "main", IMPORT, "loaded", "loaded_with_rejects", "rejected", "failed"
        )
        seconds = time.monotonic() - begun
        expected = {
            row[0]: customer_document(
                dict(zip(COLUMNS, row, strict=True)), import_=import_, line=line
            )
            for row, line in zip(cells, lines, strict=True)
            if row[0]
        }
        stored = hands.documents("connections/main/customers")
    wrong = differences(expected, stored)
    return Outcome(import_, killed, seconds, wrong, rows, rows - len(expected))


def _retry_soon(endpoints: Endpoints) -> None:
    """Have the queue send a task again after seconds, however often its worker has died."""
    with grpc.insecure_channel(endpoints.tasks) as channel:
        client = tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))
        queue = client.get_queue(
            name=client.queue_path(endpoints.project, endpoints.location, endpoints.queue)
        )
        queue.retry_config.max_backoff = timedelta(seconds=2)
        client.update_queue(queue=queue)


def _next_attempt(hands: Hands, *, after: int) -> Import | None:
    """Wait until a worker has begun a later attempt; None when the import has ended before."""
    found: list[Import] = []

    def begun() -> bool:
        import_ = hands.import_("main", IMPORT)
        if import_ is None or (import_.finished_at is None and import_.attempt <= after):
            return False
        found.append(import_)
        return True

    assert eventually(begun), "nobody works on the file"
    return None if found[0].finished_at is not None else found[0]


def _kill_worker(up: Up, hands: Hands) -> int:
    """Kill every process of the load function; returns 1 if there was one."""
    port = hands.endpoints.functions["load"].rstrip("/").rpartition(":")[2].encode()
    killed = 0
    for pid in descendants(up.process.pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"--port\0" + port + b"\0" in command and b"guard.py" not in command:
                os.kill(pid, signal.SIGKILL)
                killed = 1
    return killed


def main(arguments: Sequence[str]) -> int:
    """Load a file under fire as the command line says; 1 when anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.killing", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        outcome = load_under_fire(
            Path(folder) / "data", rows=parsed.rows, kills=parsed.kills, seed=parsed.seed
        )
    import_, rows = outcome.import_, outcome.import_.rows
    print(
        f"{outcome.kills} workers killed, {import_.attempt} attempts, {outcome.seconds:.0f} s: "
        f"{import_.status}, {rows.read:,} read = {rows.loaded:,} loaded + {rows.unchanged:,} "
        f"unchanged + {rows.rejected:,} rejected."
    )
    for difference in outcome.differences:
        print(difference)
    right = (
        outcome.kills == parsed.kills
        and not outcome.differences
        and (rows.read, rows.rejected) == (outcome.rows, outcome.bad)
        and rows.loaded == outcome.rows - outcome.bad
    )
    print("All documents and counts are right." if right else "NOT as it must be.")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
