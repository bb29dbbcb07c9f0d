"""Cost and time of a file in the cloud, calculated by `python -m benchmarks.cloud`.

Nothing here is measured in the cloud. What a row costs is measured (`make bench`), what Firestore
takes and what is charged is what Google says; the rest is assumed, and named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.tables import Table
from shared.core import Deployment
from shared.firestore.bulk import GROWTH, STEP
from shared.ledger import shards_of

MICRO = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Assumptions of the calculation. Prices are list prices in US dollars (docs/operations.md)."""

    slower: float = 2.0
    """How many times more processor time a row takes on a cloud CPU than where it was measured."""
    fixed_seconds: float = 2.0
    """Of an import, however small: the ledger, the index, the reports, moving the file."""
    read: float = 6 * MICRO
    """Processor seconds in which a row is read and checked."""
    spread: float = 1 * MICRO
    """The same for putting a row into its shard."""
    again: float = 8 * MICRO
    """The same for fetching it from there and reading it again."""
    known: float = 2 * MICRO
    """The same for making a document and finding that it has not changed."""
    write: float = 6 * MICRO
    """The same for writing one that has."""
    row_bytes: int = 240
    """Bytes of a row in the file."""
    writes_per_second: float = 500.0
    """With which writing begins."""
    most_writes_per_second: float = 100_000.0
    """Whatever the ramp allows, no more is reckoned with."""
    dollars_a_write: float = 0.18 / 100_000
    dollars_a_second: float = 0.0000336 + 0.0000035
    """Of a worker with one CPU and 1 GiB, while it works or waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoned:
    """One file."""

    shards: int
    written: int
    seconds: float
    """From the beginning of its first task to its end."""
    workers: float
    """Seconds of all workers together."""
    dollars_writing: float
    dollars_working: float


def ramp_seconds(writes: float, *, first: float, most: float) -> float:
    """Return how long so many writes take that begin with `first` a second and grow as Firestore
    allows, up to `most` a second."""
    rate, seconds = first, 0.0
    while writes > rate * STEP and rate < most:
        writes -= rate * STEP
        seconds += STEP
        rate = min(most, rate * GROWTH)
    return seconds + writes / rate


def reckon(rows: int, changed: float, assumed: Assumptions | None = None) -> Reckoned:
    """Reckon with a file of so many rows, each a document, of which a share has changed."""
    given = assumed or Assumptions()
    settings = Deployment(project="", bucket="")
    shards = shards_of(rows * given.row_bytes, shard_bytes=settings.shard_bytes)
    at_once = min(shards, settings.shards_at_once)
    written = round(rows * changed)
    split = shards > 1
    reading = rows * (given.read + split * given.spread) * given.slower
    loading = (rows * (split * given.again + given.known) + written * given.write) * given.slower
    ramp = ramp_seconds(written, first=given.writes_per_second, most=given.most_writes_per_second)
    busy = max(loading / at_once, ramp)
    seconds = given.fixed_seconds + reading + busy
    workers = given.fixed_seconds + reading + at_once * busy
    return Reckoned(
        shards=shards,
        written=written,
        seconds=seconds,
        workers=workers,
        dollars_writing=written * given.dollars_a_write,
        dollars_working=workers * given.dollars_a_second,
    )


def table() -> Table:
    """Return the table of docs/performance.md."""
    rows = []
    for count in (1_000, 1_000_000, 100_000_000):
        for changed in (1.0, 0.1, 0.0):
            one = reckon(count, changed)
            rows.append(
                (
                    count,
                    f"{changed:.0%}",
                    one.shards,
                    one.written,
                    _duration(one.seconds),
                    _dollars(one.dollars_writing),
                    _dollars(one.dollars_working),
                )
            )
    return Table(
        name="cloud",
        title="A file in the cloud, reckoned",
        about="See the assumptions below.",
        columns=("rows", "changed", "shards", "written", "takes", "$ writes", "$ workers"),
        rows=rows,
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _dollars(dollars: float) -> str:
    return f"{dollars:.4f}" if dollars < 0.01 else f"{dollars:,.2f}"


if __name__ == "__main__":
    print(table().markdown())
