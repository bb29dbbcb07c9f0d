"""Time from the end of an upload until its documents can be read, on the whole local stack.

It is the time that somebody waits who looks
at the clock, so it depends on what else the machine is doing.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from google.cloud import firestore

from benchmarks.options import Options
from benchmarks.stage import Stage
from benchmarks.tables import Plot, Table
from local import stack as local_stack
from local.sample_data import make_large
from local.stack import Stack

ROWS = 1_000
_FILE = "customers_20241118T190000Z.csv"
_EVERY_SECONDS = 0.02
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds from the close of an SFTP upload until every one of its documents can be read."""

    rows: int
    first: float
    """Of the first file that the stack got, when its functions were cold."""
    later: Sequence[float]
    """Of the files after it, each of a connection of its own."""

    @property
    def median(self) -> float:
        """Of the later ones."""
        return statistics.median(self.later)


def measure(*, rows: int = ROWS, repeats: int = 9) -> Latency:
    """Start a stack, upload a file to one connection after the other, and measure each."""
    content = make_large(rows).content
    with tempfile.TemporaryDirectory(prefix="latency-") as folder, _stack(Path(folder)) as stack:
        database = firestore.Client(project=stack.endpoints.project)
        seconds = [
            _upload(stack, database, f"c{number}", content, rows=rows)
            for number in range(repeats + 1)
        ]
        database.close()  # type: ignore[no-untyped-call]
    return Latency(rows=rows, first=seconds[0], later=tuple(seconds[1:]))


@contextmanager
def _stack(data: Path) -> Iterator[Stack]:
    """Run a stack; this process's environment leads to it meanwhile."""
    before = dict(os.environ)
    with Stack(local_stack.Options(data=data), say=print) as stack:
        os.environ.update(stack.endpoints.environment())
        try:
            yield stack
        finally:
            os.environ.clear()
            os.environ.update(before)


def _upload(stack: Stack, database: Any, connection: str, content: bytes, *, rows: int) -> float:
    """Upload a file and wait for its documents; returns the seconds from its close."""
    sftp = stack.endpoints.sftp
    collection = database.collection(f"connections/{connection}/customers")
    with paramiko.Transport((sftp.host, sftp.port)) as transport:
        transport.connect(username=sftp.user, password=sftp.password)
        client = paramiko.SFTPClient.from_transport(transport)
        if client is None:
            raise OSError("The gateway opened no SFTP session.")
        file = client.open(f"pending/{connection}/{_FILE}", "wb")
        file.write(content)
        file.flush()
        began = time.perf_counter()
        file.close()
        while collection.count().get()[0][0].value < rows:
            if time.perf_counter() - began > _PATIENCE_SECONDS:
                raise TimeoutError(f"Not loaded in {_PATIENCE_SECONDS:g} s.")
            time.sleep(_EVERY_SECONDS)
        return time.perf_counter() - began


def run(stage: Stage, options: Options) -> list[Table]:
    """Part `latency`: measure on a stack of its own."""
    latency = measure(repeats=3 * options.repeats)
    later = (latency.median, min(latency.later), max(latency.later))
    return [
        Table(
            name="latency",
            title="From the upload to the documents",
            about=(
                "Seconds from the close of an SFTP upload until every one of its documents can be "
                "read, on the whole local stack; the first file meets cold functions."
            ),
            columns=("rows", "first file, cold", "later ones, median", "fastest", "slowest"),
            rows=[(f"{latency.rows:,}", *(f"{one:.2f}" for one in (latency.first, *later)))],
            plot=Plot(
                title="Seconds from the upload to the documents",
                labels=[f"{latency.rows:,} rows"],
                bars={"first file, cold": [latency.first], "later ones, median": [latency.median]},
            ),
        )
    ]
