"""Time of the status page over 100,000 imports: `python -m benchmarks.status_page`.

The page is the deployed function, run by functions-framework and asked over HTTP; the ledger is in
the local Firestore server, each in a process of its own.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from google.cloud import firestore

from benchmarks.options import Options
from benchmarks.stage import Stage
from benchmarks.tables import Table
from local.processes import answers, free_ports
from local.stack import loopback_environment
from shared.files import TYPES, make_import_id
from shared.firestore.bulk import Transport, encode_write
from shared.ledger import Feed, HistoryEntry, Import, Progress, RowCounts, Status, import_path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "benchmark"
CONNECTIONS = tuple(f"shop{number}" for number in range(20))
DAYS = 400
"""How long imports are kept unless it is set otherwise: so old is the oldest."""
TIMES = 21
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Timing:
    """Timing of one page."""

    page: str
    first: float
    """Milliseconds of the first answer, for which the local server makes its indexes."""
    median: float
    worst: float
    """Of the answers after the first."""


def pages(oldest: Import) -> dict[str, str]:
    """Return what is asked for: name -> query."""
    one = f"connection={oldest.connection}&import={oldest.import_id}"
    middle = datetime.now(UTC) - timedelta(days=DAYS // 2)
    deep = f"after={middle:%Y-%m-%dT%H:%M:%S}%2B00:00+{oldest.connection}+x"
    return {
        "overview": "",
        "overview of one connection": f"connection={CONNECTIONS[3]}",
        "files that failed": "status=failed",
        "files that need a look, of one connection": (
            f"connection={CONNECTIONS[3]}&status=needs_a_look"
        ),
        "files of one type and day": f"type=orders&since={middle:%Y-%m-%d}&until={middle:%Y-%m-%d}",
        "a page far back": deep,
        "one import": one,
    }


def ledger(number: int) -> Iterator[Import]:
    """Make up imports, the newest first, spread over the days; a few are under way."""
    now = datetime.now(UTC)
    step = timedelta(days=DAYS) / number
    for each in range(number):
        at = now - each * step
        type = TYPES[each % len(TYPES)]
        status: Status = "loaded"
        if each < 12:
            status = "loading" if each % 3 else "scheduled"
        elif each % 50 == 0:
            status = "loaded_with_rejects"
        elif each % 400 == 1:
            status = "failed"
        import_id = make_import_id(mode="load", type=type, exported_at=at)
        rows = RowCounts(read=1200, loaded=1100 + each % 90, unchanged=10, rejected=each % 5)
        history = tuple(
            HistoryEntry(at=at, status=one, text="A sentence that says how it came to that.")
            for one in ("received", "scheduled", "loading", status)
        )
        yield Import(
            connection=CONNECTIONS[each % len(CONNECTIONS)],
            import_id=import_id,
            file=f"{import_id}.csv",
            object=f"{import_id}.csv",
            bucket="uploads",
            generation=each + 1,
            type=type,
            mode="load",
            exported_at=at,
            uploaded_at=at,
            size=400_000,
            crc32c=f"{each:08}",
            status=status,
            status_text="1,190 rows of 1,200 loaded. 10 rows changed nothing.",
            rows=rows,
            progress=Progress(bytes_read=400_000, percent=100),
            finished_at=at,
            history=history,
        )


def seed(number: int) -> Import:
    """Write the ledger to the server that the environment names; returns the oldest import."""
    client = firestore.Client(project=PROJECT)
    transport = Transport(client)
    batch: list[bytes] = []
    last: Import | None = None
    for one in ledger(number):
        name = f"{transport.database}/documents/{import_path(one.connection, one.import_id)}"
        batch.append(encode_write(name, one.to_document(), base=None))
        last = one
        if len(batch) == _BATCH:
            transport.write(batch, timeout=60)
            batch = []
    if batch:
        transport.write(batch, timeout=60)
    for connection in CONNECTIONS:
        client.document(f"connections/{connection}").set({"cadence": {"customers": "1d"}})
        feed = replace(Feed(connection=connection, type="customers"), received_at=datetime.now(UTC))
        client.document(f"connections/{connection}/feeds/customers").set(feed.to_document())
    if last is None:
        raise ValueError("a ledger of nothing cannot be measured")
    return last


@contextmanager
def running(command: Sequence[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    """Run a program until it is no longer needed; it listens when this begins."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)} does not come up")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


def ask(port: int, query: str) -> float:
    """Ask for a page; gives the milliseconds from the request to the last byte."""
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/?{query}", timeout=300) as answer:
        answer.read()
    return (time.perf_counter() - began) * 1000


def measure(imports: int = 100_000, times: int = TIMES) -> list[Timing]:
    """Seed a ledger and time every page of `pages`."""
    database, page = free_ports([0, 0])
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        environment = {
            **loopback_environment(os.environ),
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "FIRESTORE_EMULATOR_HOST": f"127.0.0.1:{database}",
            "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9",
            "CLOUD_TASKS_EMULATOR_HOST": "127.0.0.1:9",
            "BUCKET": "uploads",
            "PYTHONPATH": str(ROOT),
        }
        os.environ.update(environment)
        python = (sys.executable, "-m")
        server = (*python, "local.emulators.firestore", "--port", str(database), "--data", folder)
        function = (
            *(*python, "functions_framework", "--host", "127.0.0.1", "--port", str(page)),
            *("--source", "functions/status.py", "--target", "status"),
        )
        with running(server, database, environment):
            oldest = seed(imports)
            with running(function, page, environment):
                timings = []
                for name, query in pages(oldest).items():
                    first = ask(page, query)
                    others = sorted(ask(page, query) for _ in range(times))
                    timings.append(Timing(name, first, statistics.median(others), others[-1]))
    return timings


def run(stage: Stage, options: Options) -> list[Table]:
    """Part `status_page`: measure every page, over a database of its own."""
    return [table(measure(options.imports), imports=options.imports)]


def table(timings: Sequence[Timing], *, imports: int) -> Table:
    """Lay the results out."""
    return Table(
        name="status_page",
        title="How long the status page takes",
        about=(
            f"Milliseconds from question to answer over HTTP with {imports:,} imports in the local "
            f"Firestore, {TIMES} answers each; for the first, that makes its indexes."
        ),
        columns=("page", "first", "median", "worst"),
        rows=[(one.page, *map(round, (one.first, one.median, one.worst))) for one in timings],
    )
