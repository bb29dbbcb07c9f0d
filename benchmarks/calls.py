"""Part `calls`: requests to Cloud Storage and calls to Firestore, counted."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from benchmarks import exports
from benchmarks.intercepting import intercepted
from benchmarks.options import Options
from benchmarks.pipeline import Pipeline
from benchmarks.stage import Stage
from benchmarks.tables import Plot, Table
from shared.ledger import lease

ROWS = 1_000
STEPS = ("customers, taken in", "customers, loaded", "orders, taken in", "orders, loaded")
OF_DOCUMENTS = ("BatchWrite", "RunAggregationQuery")
"""Calls whose number goes by the number of documents."""
STORAGE = "Cloud Storage requests"
FIRESTORE = "Firestore calls"

_OBJECT = re.compile(r"^(/upload|/download)?/storage/v1/b/[^/]+/o(/[^/]+)?(/[a-zA-Z]+/)?")
_STORAGE_CALLS = {
    "objects.list": ("GET", None, None),
    "objects.get": ("GET", "object", None),
    "objects.get, content": ("GET", "object", "/download"),
    "objects.insert": ("POST", None, "/upload"),
    "objects.insert, continued": ("PUT", None, "/upload"),
    "objects.delete": ("DELETE", "object", None),
}
"""Call -> method, whether it names an object, and the beginning of the path."""


def storage_call(method: str, url: str) -> str:
    """Return the name of a request to Cloud Storage, e.g. `objects.get`."""
    match = _OBJECT.match(urlsplit(url).path)
    if match is None:
        raise ValueError(f"unknown address: {url}")
    beginning, name, action = match.groups()
    if action:
        return f"objects.{action.strip('/')}"
    asked = (method, "object" if name else None, beginning)
    return next(call for call, one in _STORAGE_CALLS.items() if one == asked)


@dataclass(slots=True)
class Counts:
    """Calls of one step, by name."""

    storage: Counter[str] = field(default_factory=Counter)
    firestore: Counter[str] = field(default_factory=Counter)


class _Counting:
    """Counts the calls of a step, while there is one."""

    def __init__(self) -> None:
        self.steps: dict[str, Counts] = {}
        self._calls: list[tuple[str, str]] | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        calls: list[tuple[str, str]] = []
        self._calls = calls
        yield
        self._calls = None
        self.steps[name] = Counts(
            *(Counter(call for kind, call in calls if kind == one) for one in ("http", "grpc"))
        )

    def rpc(self, method: str) -> None:
        if self._calls is not None:  # the writer's threads call, too
            self._calls.append(("grpc", method))

    def request(self, method: str, url: str, body: Any) -> None:
        if self._calls is not None:
            self._calls.append(("http", storage_call(method, url)))


def measure(folder: Path, *, project: str, firestore: str, bucket: str) -> Mapping[str, Counts]:
    """Load customers, then orders, into documents that exist, and count the calls of each step.

    Args:
        folder: where the files are written.
        project: one that nothing else uses.
        firestore: address of the Firestore.
        bucket: URL of the Cloud Storage.
    """
    counting = _Counting()
    with (
        redirect_stdout(io.StringIO()),  # the log
        intercepted(counting.rpc, counting.request),
        # A lease is renewed when two seconds have passed, not for what is asked.
        patch.object(lease, "BEAT_SECONDS", 3_600.0),
    ):
        pipeline = Pipeline(project=project, sink=firestore, ledger=firestore, bucket=bucket)
        for type_, stored in (("customers", 2 * ROWS), ("orders", ROWS)):
            path = folder / f"{type_}_stored.csv"
            exports.write(path, type_, stored, seed=0, bad=0.0)
            pipeline.upload(f"measured/{type_}_20241118T180000Z.csv", path)
            pipeline.run()
            path = folder / f"{type_}_counted.csv"
            exports.write(path, type_, ROWS, seed=1)
            _count(counting, pipeline, type_, path)
    return counting.steps


def _count(counting: _Counting, pipeline: Pipeline, type_: str, path: Path) -> None:
    arrived = pipeline.put(f"measured/{type_}_20241118T191000Z.csv", path)
    with counting.step(f"{type_}, taken in"):
        pipeline.take_in(arrived)
    with counting.step(f"{type_}, loaded"):
        pipeline.run()


def table(steps: Mapping[str, Counts]) -> Table:
    """Return the table of the calls of each step."""
    counts = [steps[step] for step in STEPS]
    storage = {call: [one.storage[call] for one in counts] for call in _names(counts, "storage")}
    firestore = {
        call: [one.firestore[call] for one in counts] for call in _names(counts, "firestore")
    }
    of_documents = {call: firestore.pop(call) for call in OF_DOCUMENTS}
    totals = {STORAGE: _sums(storage), FIRESTORE: _sums(firestore)}
    return Table(
        name="calls",
        title="Calls of an import",
        about=(
            f"Requests to Cloud Storage and calls to Firestore for a file of {ROWS:,} rows, one "
            "in twenty bad, into documents that exist. The last two lines depend on the number of "
            "documents and are not in the sum: documents are written in batches, and the customers "
            "of orders are counted 30 per call. Renewals of the lease are not in the table."
        ),
        columns=("call", *STEPS),
        rows=[
            (name, *numbers)
            for name, numbers in (
                *storage.items(),
                (f"**{STORAGE}**", totals[STORAGE]),
                *firestore.items(),
                (f"**{FIRESTORE}**", totals[FIRESTORE]),
                *of_documents.items(),
            )
        ],
        plot=Plot(title=f"Calls of a file of {ROWS:,} rows", labels=STEPS, bars=totals),
    )


def _names(counts: Sequence[Counts], service: str) -> list[str]:
    return sorted({call for one in counts for call in getattr(one, service)})


def _sums(calls: Mapping[str, Sequence[int]]) -> list[int]:
    return [*map(sum, zip(*calls.values(), strict=True))]


def run(stage: Stage, options: Options) -> list[Table]:
    """Count the calls with the local servers."""
    steps = measure(
        stage.folder, project="bench-calls", firestore=stage.ledger, bucket=stage.bucket
    )
    return [table(steps)]
