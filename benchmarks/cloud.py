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
from shared.index.choice import RECORDS_PER_READ
from shared.index.records import RECORD
from shared.ledger import shards_of

MICRO = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Assumptions of the calculation. Prices are list prices in US dollars of 24 November 2026
    (docs/operations.md): check yours."""

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
    bytes_per_second: float = 150e6
    """At which a worker reads and writes objects."""
    dollars_a_read: float = 0.06 / 100_000
    dollars_a_write: float = 0.18 / 100_000
    dollars_class_a: float = 0.005 / 1_000
    """Of a request to Cloud Storage that writes, moves or lists objects of a region."""
    dollars_class_b: float = 0.0004 / 1_000
    """Of a request that reads an object."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """A small customers file into a large collection: what it asks for besides its writes."""

    index: str
    """Way in which files write the index."""
    class_a: int
    """Requests to Cloud Storage that write, move or list."""
    class_b: int
    """Requests to Cloud Storage that read, besides those for the index."""
    piece: float
    """Bytes of the index per request; infinite: all in one."""
    copies: int
    """Times that a file moves the whole index: to read, to merge and to write it."""
    micros: float
    """Processor time per record of the index, here."""
    records: float
    """Records of the index that are read for one row; others are asked of Firestore."""


REWRITTEN = Small(
    index="rewritten by each file",
    class_a=8,
    class_b=9,
    piece=3 * 2**20,
    copies=3,
    micros=0.66,
    records=math.inf,
)
"""Before `source.content` and an index of several objects: docs/decisions/019."""

NOW = Small(
    index="several objects",
    class_a=6,
    class_b=3,
    piece=math.inf,
    copies=1,
    micros=0.024,
    records=RECORDS_PER_READ,
)

FILES, ROWS = 48, 300
"""Files a day, and rows of each."""
LEDGER_READS, LEDGER_WRITES = 21, 8
"""Documents of the ledger that an import reads and writes, in whatever number of calls."""


def month(way: Small, documents: int, assumed: Assumptions | None = None) -> dict[str, float]:
    """Return what 30 days of small files cost, by column of the table: megabytes and seconds of a
    file, then dollars."""
    given, files = assumed or Assumptions(), 30 * FILES
    read = documents <= way.records * ROWS
    size = documents * RECORD.itemsize if read else 0
    reads = read * max(1, way.copies - 1) * max(1, math.ceil(size / way.piece))
    class_b = way.class_b + reads
    seconds = given.fixed_seconds + way.copies * size / given.bytes_per_second
    seconds += read * documents * way.micros * MICRO * given.slower
    dollars = {
        "$ storage": way.class_a * given.dollars_class_a + class_b * given.dollars_class_b,
        "$ Firestore": (LEDGER_READS + (not read) * ROWS) * given.dollars_a_read
        + LEDGER_WRITES * given.dollars_a_write,
        "$ workers": seconds * given.dollars_a_second,
    }
    return {
        "MB": way.copies * size / 1e6,
        "seconds": seconds,
        **{name: files * each for name, each in dollars.items()},
        "$ together": files * sum(dollars.values()),
    }


def month_table() -> Table:
    """Return the second table of docs/performance.md."""
    rows = [
        (count, way.index, *(_rounded(name, one) for name, one in month(way, count).items()))
        for count in (1_000_000, 10_000_000)
        for way in (REWRITTEN, NOW)
    ]
    return Table(
        name="month",
        title="A month of small files, reckoned",
        about="See the assumptions below.",
        columns=("documents", "index", *month(NOW, 0)),
        rows=rows,
    )


def _rounded(column: str, number: float) -> str:
    return f"{number:,.0f}" if column == "MB" else f"{number:,.{1 if column == 'seconds' else 2}f}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _dollars(dollars: float) -> str:
    return f"{dollars:.4f}" if dollars < 0.01 else f"{dollars:,.2f}"


if __name__ == "__main__":
    print(table().markdown(), month_table().markdown(), sep="\n")
