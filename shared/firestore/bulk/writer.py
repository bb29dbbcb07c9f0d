"""Writes documents of one collection to Firestore in batches, several batches at a time.

Documents are collected into batches, and threads settle the batches (see `retrying`). The caller
waits while too many batches are under way. Every added document gets exactly one outcome, or `add`
or `close` raises.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

from shared.firestore.bulk.batch import Batch, Limits, Some
from shared.firestore.bulk.operations import (
    Decide,
    Expectations,
    Expected,
    Leave,
    Left,
    Outcome,
    Put,
    Refused,
    Remove,
    Written,
    refused,
)
from shared.firestore.bulk.pacing import Gate, Pace, Ramp
from shared.firestore.bulk.retrying import Settler, Stopped
from shared.firestore.bulk.transport import Calls, Stored

__all__ = [
    "Decide",
    "Expectations",
    "Expected",
    "Leave",
    "Left",
    "Limits",
    "Outcome",
    "Put",
    "Refused",
    "Remove",
    "Stored",
    "Writer",
    "Written",
]

T = TypeVar("T")

_USUAL = Limits()


class Writer(Generic[T]):
    """Writes documents of one collection, several batches at a time, in bounded memory.

    Args:
        calls: the calls to Firestore.
        collection: the path of the collection, e.g. `connections/au/customers`.
        decide: see `Decide`.
        mask: the field paths of a stored document that `decide` reads, as Firestore writes them (a
            name that is not a plain identifier is in backticks). None: the whole document. Empty:
            no field, only whether the document exists.
        needs: returns further field paths that `decide` reads, for an added document.
        on_result: called once for every added document, with its outcome, in any order. It runs on
            the thread that calls `add` and `close`, so it needs no lock.
        guard: called before every call that writes, on any of the writer's threads. An error that
            it raises (LeaseLost) stops the writer, and `add` or `close` raises the error.
        create_only: create documents without a read first, and never change one. If a document
            exists, its `source` is read. So `decide` can tell a document of this import, whose
            answer was lost, from an earlier document. A Put for an existing document gives
            `Left("exists")`.
        ramp: limit of the writes per second, on the same `clock`; None: no limit.
        limits: see `Limits`.
        sleep, clock, rng: time and chance, for tests.

    Keys are document ids. The caller adds each key once. Two documents with one key are settled one
    after the other, in any order.

    As a context manager the writer closes at the end of the block. If the block raises, batches
    under way end, and no other batch begins.
    """

    def __init__(
        self,
        calls: Calls,
        collection: str,
        *,
        decide: Decide[T],
        mask: Sequence[str] | None,
        needs: Callable[[T], Iterable[str]] | None = None,
        on_result: Callable[[T, Outcome], None],
        guard: Callable[[], None],
        create_only: bool = False,
        ramp: Ramp | None = None,
        limits: Limits = _USUAL,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._collection = collection
        self._on_result = on_result
        self._limits = limits
        self._stop = threading.Event()
        self._settler = Settler(
            calls=calls,
            collection=collection,
            decide=decide,
            mask=mask,
            needs=needs,
            guard=guard,
            gate=Gate(Pace(limits.in_flight), ramp, clock=clock),
            stopped=self._stop.is_set,
            create_only=create_only,
            limits=limits,
            sleep=sleep or self._stop.wait,  # so that a failure elsewhere ends the wait
            clock=clock,
            rng=rng or random.Random(),
        )
        self._pool = ThreadPoolExecutor(limits.in_flight, thread_name_prefix="writer")
        self._finished: queue.SimpleQueue[Batch[T]] = queue.SimpleQueue()
        self._open: dict[str, tuple[T, Expected | None]] = {}
        self._expected: list[Some[T]] = []
        self._running = 0
        self._unsettled = 0
        self._failure: BaseException | None = None
        self._closed = False

    def add(self, key: str, document: T, expected: Expected | None = None) -> None:
        """Add a document; wait while `in_flight` batches are under way.

        With `expected`, the document is written without a read first. If the stored document is
        another one, it is read and decided on, like every document without `expected`.

        Raises:
            TryAgain, LeaseLost, Exception: the error of a batch, or of `decide`. The writer is then
                closed, and unsettled documents have no outcome.
        """
        if self._closed:
            raise self._failure or RuntimeError("The writer is closed.")
        if not key or "/" in key:  # a slash could name a document of another collection
            self._on_result(document, refused("its key is empty or has a slash in it"))
            return
        self._unsettled += 1
        if key in self._open:  # the server takes only one write per document in a request
            self._begin()
        self._open[key] = (document, expected)
        if len(self._open) >= self._limits.batch_size:
            self._begin()
        self._look()

    def add_all(self, these: Expectations[T]) -> None:
        """Add many documents with expected writes, as `add` does with `expected`.

        Documents that are written without a read go to `these.written` instead of `on_result`. All
        others get an outcome like any document. Raises like `add`.
        """
        if self._closed:
            raise self._failure or RuntimeError("The writer is closed.")
        if not all(these.keys) or "/" in "".join(these.keys):
            for place, key in enumerate(these.keys):
                self.add(key, these.document(place), these.expected(place))
            return
        start, count = 0, len(these.keys)
        self._unsettled += count
        while start < count:
            waiting = sum(len(places) for _, places in self._expected)
            stop = min(count, start + self._limits.batch_size - waiting)
            self._expected.append((these, range(start, stop)))
            start = stop
            if waiting + len(self._expected[-1][1]) == self._limits.batch_size:
                self._begin_expected()
        self._look()

    def close(self) -> None:
        """Write all remaining documents and wait for them. Raises like `add`; may be repeated."""
        if not self._closed:
            if self._open:
                self._begin()
            if self._expected:
                self._begin_expected()
            while self._running:
                self._collect()
            self._raise_failure()
            self._shut()
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif not self._closed:
            self._failure = error
            self._shut()

    # -- on the caller's thread ---------------------------------------------------------------

    def _begin(self) -> None:
        batch = self._settler.batch(self._open)
        self._open = {}
        self._hand_over(batch)

    def _begin_expected(self) -> None:
        batch = self._settler.batch_of(self._expected)
        self._expected = []
        self._hand_over(batch)

    def _hand_over(self, batch: Batch[T]) -> None:
        """Give a batch to a thread, when fewer than `in_flight` are under way."""
        while self._running >= self._limits.in_flight:
            self._collect()
        self._raise_failure()
        self._running += 1
        self._pool.submit(self._work, batch)

    def _look(self) -> None:
        """Pass on the outcomes of all batches that have ended."""
        while self._running and not self._finished.empty():
            self._collect()
        self._raise_failure()

    def _collect(self) -> None:
        """Wait for one batch to end, and pass on its outcomes."""
        batch = self._finished.get()
        self._running -= 1
        if batch.error is not None and self._failure is None:
            self._failure = batch.error
        for these, places, updates in batch.written:
            self._unsettled -= len(updates)
            self._tell(these.written, places, updates)
        for document, outcome in batch.outcomes:
            self._unsettled -= 1
            self._tell(self._on_result, document, outcome)

    def _tell(self, hear: Callable[..., None], *what: object) -> None:
        try:
            hear(*what)
        except BaseException as error:  # raised later, after the other outcomes
            self._failure = self._failure or error
            self._stop.set()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._shut()
            self._failure.add_note(
                f"Documents of {self._collection} left without an outcome: {self._unsettled}."
            )
            raise self._failure

    def _shut(self) -> None:
        """End all threads. Documents settled before still get their outcomes."""
        self._closed = True
        self._stop.set()
        while self._running:
            self._collect()
        self._pool.shutdown()

    # -- on the writer's threads --------------------------------------------------------------

    def _work(self, batch: Batch[T]) -> None:
        try:
            self._settler.settle(batch)
        except Stopped:
            pass
        except BaseException as error:
            batch.error = error
            self._stop.set()
        self._finished.put(batch)
