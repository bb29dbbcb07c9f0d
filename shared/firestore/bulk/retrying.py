"""Writes one batch, and again what failed, until every document has exactly one outcome.

A batch is read, decided on and written. Each write has a precondition: the stored document is still
the one that was read. A document that changed in between is read and decided on again.

The answer to a write may be lost. Then the write is sent again with the same precondition. If the
first write happened, the precondition fails, and the next decision finds this import's document. So
no lost answer and no second worker can make an older row win, or count a row twice.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Generic, TypeVar

import numpy as np
from grpc import StatusCode

from shared.core import TryAgain
from shared.firestore.bulk.answers import (
    CONFLICT,
    FORBIDDEN,
    PASSING,
    PUSHES_BACK,
    PUSHING_BACK,
    code_of,
    give_up,
    without_values,
)
from shared.firestore.bulk.batch import Batch, Entry, Limits, Some
from shared.firestore.bulk.operations import (
    Decide,
    Expectations,
    Expected,
    Leave,
    Left,
    Outcome,
    Put,
    Remove,
    Written,
    refused,
)
from shared.firestore.bulk.pacing import Gate, backoff
from shared.firestore.bulk.transport import (
    CallFailed,
    Calls,
    Stored,
    WriteAnswer,
    encode_delete,
    encode_write,
    encode_writes,
)
from shared.firestore.encoding import nanoseconds

T = TypeVar("T")


class Stopped(Exception):
    """Another batch or the caller has failed, so this batch stops."""


class Settler(Generic[T]):
    """Settles batches of one collection. Several threads may call `settle` at the same time.

    The arguments are those of `Writer`. All threads share `gate` and `stopped`.
    """

    def __init__(
        self,
        *,
        calls: Calls,
        collection: str,
        decide: Decide[T],
        mask: Sequence[str] | None,
        needs: Callable[[T], Iterable[str]] | None,
        guard: Callable[[], None],
        gate: Gate,
        stopped: Callable[[], bool],
        create_only: bool,
        limits: Limits,
        sleep: Callable[[float], object],
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._calls = calls
        self._root = f"{calls.database}/documents/{collection}/"
        self._collection = collection
        self._decide = decide
        self._mask = ("source",) if create_only else mask
        self._needs = None if create_only or mask is None else needs
        self._guard = guard
        self._gate = gate
        self._stopped = stopped
        self._create_only = create_only
        self._limits = limits
        self._sleep = sleep
        self._clock = clock
        self._rng = rng

    def batch(self, documents: Mapping[str, tuple[T, Expected | None]]) -> Batch[T]:
        """Return a batch of documents by key, none settled yet."""
        entries = [
            Entry(
                self._root + key,
                document,
                # When only creating, nothing is read before the first attempt.
                read=expected is None and not self._create_only,
                expected=expected,
            )
            for key, (document, expected) in documents.items()
        ]
        return Batch(deque((entries,)))

    def batch_of(self, expected: list[Some[T]]) -> Batch[T]:
        """Return a batch of documents to write without a read."""
        return Batch(deque(), expected)

    def settle(self, batch: Batch[T]) -> None:
        """Work until every document of the batch has its outcome.

        After an error the batch has the outcomes so far.

        Raises:
            TryAgain: Firestore took no document for `patience` seconds.
            Stopped: another batch has failed.
            Exception: any error of `decide` or `guard`.
        """
        failures = 0
        moved_at = self._clock()
        while batch.expected or batch.todo:
            done = len(batch.outcomes) + len(batch.written)
            trouble = self._as_expected(batch) if batch.expected else self._round(batch)
            if len(batch.outcomes) + len(batch.written) > done:
                failures = 0
                moved_at = self._clock()
            if trouble is None:
                continue
            failures += 1
            if self._clock() - moved_at >= self._limits.patience:
                raise TryAgain(
                    f"Firestore has taken no document of a batch of {self._collection} for "
                    f"{self._limits.patience:.0f} seconds; the last answer was {trouble}."
                )
            self._sleep(backoff(failures, rng=self._rng))

    def _as_expected(self, batch: Batch[T]) -> str | None:
        """Write the expected documents in one request, without a read.

        Documents whose precondition fails go back to `todo`. Returns as `_round`.
        """
        several, batch.expected = batch.expected, []
        requests = []
        for these, places in several:
            part = slice(places.start, places.stop)
            requests.append(
                encode_writes(
                    self._root,
                    these.keys[part],
                    these.wires[part],
                    these.sources[part],
                    these.updates[part],
                )
            )
        if sum(size for _, size in requests) > self._limits.request_bytes:
            batch.todo.append(self._entries(several))
            return None
        pieces = chain.from_iterable(pieces for pieces, _ in requests)
        try:
            answer = self._send(pieces, sum(len(places) for _, places in several))
        except CallFailed as failed:
            return self._after_failure(batch, failed, self._entries(several), [])
        others: list[Entry[T]] = []
        statuses, results = [], []
        done = 0
        for these, places in several:
            begin, done = done, done + len(places)
            if answer.times is not None:
                part = slice(places.start, places.stop)
                batch.written.append((these, part, answer.times[begin:done]))
                continue
            found = zip(
                places,
                answer.message.status[begin:done],
                answer.message.write_results[begin:done],
                strict=True,
            )
            taken, updates = [], []
            for place, status, result in found:
                if code_of(status) is StatusCode.OK:
                    taken.append(place)
                    updates.append(nanoseconds(result.update_time))
                else:
                    others.append(self._entry(these, place))
                    statuses.append(status)
                    results.append(result)
            batch.written.append((these, taken, np.array(updates, np.int64)))
        return self._take(batch, others, statuses, results)

    def _entries(self, several: Iterable[Some[T]]) -> list[Entry[T]]:
        return [self._entry(these, place) for these, places in several for place in places]

    def _entry(self, these: Expectations[T], place: int) -> Entry[T]:
        name = self._root + these.keys[place]
        return Entry(name, these.document(place), read=False, expected=these.expected(place))

    def _round(self, batch: Batch[T]) -> str | None:
        """Read, decide on and write one group, each step at most once.

        Returns the trouble, as text, if a pause is due before the next round; else None.
        """
        group = batch.todo.popleft()
        trouble: str | None = None
        unread = [entry for entry in group if entry.read]
        if unread:
            try:
                found = self._get(unread)
            except CallFailed as failed:
                rest = [entry for entry in group if not entry.read]
                return self._after_failure(batch, failed, unread, rest)
            for entry in unread:
                if entry.name in found:
                    entry.stored = found[entry.name]
                    entry.read = False
                else:
                    trouble = "BatchGetDocuments without some of the documents"

        ready: list[Entry[T]] = []
        later: list[Entry[T]] = []
        size, full = 0, False
        for entry in group:
            # A full request ends the encoding, so that memory is bounded by one request.
            if full or entry.read:
                later.append(entry)
                continue
            if entry.payload is None:
                outcome = self._prepare(entry)
                if outcome is not None:
                    batch.outcomes.append((entry.document, outcome))
                    continue
            assert entry.payload is not None
            full = size + len(entry.payload) > self._limits.request_bytes
            if full:
                later.append(entry)
            else:
                ready.append(entry)
                size += len(entry.payload)
        if later:
            batch.todo.append(later)
        if not ready:
            return trouble
        try:
            return self._put(batch, ready) or trouble
        except CallFailed as failed:
            return self._after_failure(batch, failed, ready, [])

    def _prepare(self, entry: Entry[T]) -> Outcome | None:
        """Decide on a document; return its outcome, or None if it is ready to be written."""
        decision: Put | Leave | Remove
        if entry.expected is not None:
            decision, base = entry.expected.put, entry.expected.update_time
            entry.expected = None
        else:
            decision = self._decide(entry.document, entry.stored)
            if isinstance(decision, Leave):
                return Left(decision.reason, entry.stored)
            if self._create_only and entry.stored is not None:
                return Left("exists", entry.stored)
            base = None if entry.stored is None else entry.stored.update_time
        if isinstance(decision, Remove):
            entry.payload, entry.stored = encode_delete(entry.name, base=base), None
            return None
        try:
            entry.payload = encode_write(
                entry.name, decision.data, wire=decision.wire, base=base, only=decision.only
            )
        except ValueError as error:
            return refused(str(error))
        if len(entry.payload) > self._limits.request_bytes:
            # Such a document is far beyond Firestore's limit of 1 MiB.
            return refused(f"it has {len(entry.payload)} bytes, more than a request may have")
        if decision.only is None:
            entry.stored = None
        return None

    def _put(self, batch: Batch[T], ready: list[Entry[T]]) -> str | None:
        """Send one request of writes, and record the status of each write. Returns as `_round`."""
        payloads = [entry.payload for entry in ready if entry.payload is not None]
        answer = self._send(payloads, len(ready)).message
        return self._take(batch, ready, answer.status, answer.write_results)

    def _send(self, writes: Iterable[bytes], count: int) -> WriteAnswer:
        """Send `count` writes after the pause that the ramp asks for.

        Raises:
            CallFailed: the call failed, or the answer does not have one status per write.
        """
        delay = self._gate.delay(count)
        if delay:
            self._sleep(delay)
        with self._gate.turn() as turn:
            self._guard()
            try:
                encoded = self._calls.write(writes, timeout=self._timeout())
            except CallFailed as failed:
                turn.pushed_back = failed.code in PUSHES_BACK and not failed.too_large
                raise
            answer = WriteAnswer(encoded, count)
            if answer.times is not None:
                return answer
            statuses, results = answer.message.status, answer.message.write_results
            turn.pushed_back = any(status.code in PUSHING_BACK for status in statuses)
        if not len(statuses) == len(results) == count:
            raise CallFailed("BatchWrite", StatusCode.UNKNOWN, "not one status per write")
        return answer

    def _take(
        self,
        batch: Batch[T],
        entries: Sequence[Entry[T]],
        statuses: Sequence[Any],
        results: Sequence[Any],
    ) -> str | None:
        """Record the outcome of each document, or put the document back. Returns as `_round`."""
        again: list[Entry[T]] = []
        trouble: str | None = None
        forbidden: StatusCode | None = None
        for entry, status, result in zip(entries, statuses, results, strict=True):
            code = code_of(status)
            if code is StatusCode.OK:
                batch.outcomes.append((entry.document, Written(result.update_time, entry.stored)))
            elif code in CONFLICT:
                entry.payload, entry.expected, entry.read = None, None, True
                entry.conflicts += 1
                again.append(entry)
                if entry.conflicts > 1:  # the first conflict needs a read, but no pause
                    trouble = f"BatchWrite: {code.name} for single documents"
            elif code in PASSING:
                again.append(entry)
                trouble = f"BatchWrite: {code.name} for single documents"
            elif code in FORBIDDEN:
                forbidden = code  # other documents of the request may have been written
            else:
                refusal = refused(without_values(f"{code.name}, {status.message}", [entry]))
                batch.outcomes.append((entry.document, refusal))
        if forbidden is not None:
            raise give_up("BatchWrite", forbidden)
        if again:
            batch.todo.append(again)
        return trouble

    def _get(self, entries: Sequence[Entry[T]]) -> dict[str, Stored | None]:
        names = [entry.name for entry in entries]
        mask = self._mask
        if self._needs is not None and mask is not None:
            needed = {*chain.from_iterable(self._needs(entry.document) for entry in entries)}
            mask = (*mask, *sorted(needed.difference(mask)))
        with self._gate.turn() as turn:
            try:
                return self._calls.get(names, mask, timeout=self._timeout())
            except CallFailed as failed:
                turn.pushed_back = failed.code in PUSHES_BACK
                raise

    def _after_failure(
        self,
        batch: Batch[T],
        failed: CallFailed,
        guilty: list[Entry[T]],
        rest: list[Entry[T]],
    ) -> str | None:
        """Put documents back after a failed call. Returns as `_round`.

        Args:
            batch: the batch.
            failed: the failure.
            guilty: the documents of the call.
            rest: other documents of the group, which the call did not include.

        Raises:
            TryAgain: the failure does not pass, e.g. PERMISSION_DENIED.
        """
        if failed.code is StatusCode.INVALID_ARGUMENT or failed.too_large:
            if rest:
                batch.todo.append(rest)
            if len(guilty) == 1:
                words = f"{failed.code.name}, {failed.details}"
                refusal = refused(without_values(words, guilty))
                batch.outcomes.append((guilty[0].document, refusal))
            else:  # one document can make the server refuse the request: halve to find it
                middle = len(guilty) // 2
                batch.todo.extendleft((guilty[middle:], guilty[:middle]))
            return None
        if failed.code in PASSING:
            batch.todo.append(guilty + rest)
            why = ""
            if failed.code is StatusCode.UNAVAILABLE:
                why = f", {without_values(failed.details, guilty)}"
            return f"{failed.method}: {failed.code.name}{why}"
        raise give_up(failed.method, failed.code, without_values(failed.details, guilty))

    def _timeout(self) -> float:
        """Return the seconds that the next call may take.

        Raises:
            Stopped: another batch has failed.
        """
        if self._stopped():
            raise Stopped
        return self._limits.rpc_timeout
