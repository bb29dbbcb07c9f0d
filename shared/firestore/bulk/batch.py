"""How one batch of documents is settled, whatever goes wrong on the way.

A batch of documents is read, decided on, and written on condition that what was read is still
what is stored. A document that changed in between is read and decided on again. A write of which
nobody knows whether it happened is sent again under the same condition: had it happened, the
condition fails, and deciding again finds the document as this import left it. So neither a lost
answer nor a second worker can make an older row win or a row count twice.
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from google.cloud.firestore_v1 import types
from grpc import StatusCode
from numpy.typing import NDArray

from shared.core import TryAgain
from shared.firestore.bulk.decisions import (
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
from shared.firestore.bulk.encoding import decode_fields, nanoseconds
from shared.firestore.bulk.pacing import Gate, backoff
from shared.firestore.bulk.transport import (
    CallFailed,
    Stored,
    encode_delete,
    encode_write,
    encode_writes,
    times_of_all,
)

T = TypeVar("T")

_BatchWriteRequest: Any = types.BatchWriteRequest.pb()

_CONFLICT = frozenset(
    (StatusCode.FAILED_PRECONDITION, StatusCode.ALREADY_EXISTS, StatusCode.NOT_FOUND)
)
_PASSING = frozenset(
    (
        StatusCode.UNAVAILABLE,
        StatusCode.ABORTED,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.INTERNAL,
        StatusCode.UNKNOWN,
        StatusCode.CANCELLED,
    )
)
_PUSHES_BACK = frozenset(
    (StatusCode.RESOURCE_EXHAUSTED, StatusCode.ABORTED, StatusCode.DEADLINE_EXCEEDED)
)
_PUSHING_BACK = frozenset(code.value[0] for code in _PUSHES_BACK)
_FORBIDDEN = frozenset((StatusCode.PERMISSION_DENIED, StatusCode.UNAUTHENTICATED))
_CODES: dict[int, StatusCode] = {code.value[0]: code for code in StatusCode}

_MENDS = {
    StatusCode.PERMISSION_DENIED: "give the function's service account roles/datastore.user",
    StatusCode.UNAUTHENTICATED: "check the credentials the function runs with",
    StatusCode.NOT_FOUND: "create the Firestore database, or correct its name",
    StatusCode.FAILED_PRECONDITION: "the database must be Firestore in native mode",
}


class Calls(Protocol):
    """What the writer needs of `shared.firestore.bulk.transport.Transport`."""

    database: str

    def get(
        self, names: Sequence[str], mask: Sequence[str] | None, *, timeout: float
    ) -> dict[str, Stored | None]:
        """Read documents; see Transport."""

    def write(self, writes: Iterable[bytes], *, timeout: float) -> Any:
        """Write documents; see Transport."""


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """One document on its way."""

    name: str
    document: T
    read: bool
    """Whether it must be read before the next decision."""
    expected: Expected | None = None
    """What to write without reading; once that has failed, it is read and decided on."""
    stored: Stored | None = None
    payload: bytes | None = None
    """The encoded write, once decided."""
    conflicts: int = 0


Some = tuple[Expectations[T], range]
"""Some of the documents of which something is expected: those at these places."""


@dataclass(slots=True)
class Batch(Generic[T]):
    """Documents that are settled together by one thread, and how far that has come."""

    todo: deque[list[Entry[T]]]
    """What is still to be done, in groups that fit together in one request."""
    expected: list[Some[T]] = field(default_factory=list)
    """What has not been tried yet, all of it in one request."""
    outcomes: list[tuple[T, Outcome]] = field(default_factory=list)
    written: list[tuple[Expectations[T], slice | list[int], NDArray[np.int64]]] = field(
        default_factory=list
    )
    """What was written as expected: its places, and update times as `Expectations` has them."""
    error: BaseException | None = None


class Stopped(Exception):
    """Another batch has failed, or the caller has: this one need not go on."""


class Settler(Generic[T]):
    """Settles batches of one collection, each call of `settle` on a thread of its own.

    The arguments are those of `Writer`, whose `gate` and `stopped` all threads share.
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
        request_bytes: int,
        deadline: float | None,
        rpc_timeout: float,
        patience: float,
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
        self._request_bytes = request_bytes
        self._deadline = deadline
        self._rpc_timeout = rpc_timeout
        self._patience = patience
        self._sleep = sleep
        self._clock = clock
        self._rng = rng

    def batch(self, documents: Mapping[str, tuple[T, Expected | None]]) -> Batch[T]:
        """Return a batch of these documents by key, none of it settled yet."""
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
        """Return a batch of documents of which something is expected."""
        return Batch(deque(), expected)

    def settle(self, batch: Batch[T]) -> None:
        """Go on until every document of the batch has its outcome.

        Raises TryAgain when that cannot be had now, Stopped, and what `decide` and `guard` raise;
        the batch then has the outcomes that there are.
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
            if self._clock() - moved_at >= self._patience:
                raise TryAgain(
                    f"Firestore has taken no document of a batch of {self._collection} for "
                    f"{self._patience:.0f} seconds; the last answer was {trouble}."
                )
            pause = backoff(failures, rng=self._rng)
            if self._deadline is not None:
                pause = min(pause, max(0.0, self._deadline - self._clock()))
            self._sleep(pause)

    def _as_expected(self, batch: Batch[T]) -> str | None:
        """Write what is expected in one request; what does not come out so goes its own way.

        Returns as `_round`.
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
        if sum(size for _, size in requests) > self._request_bytes:
            batch.todo.append(self._entries(several))
            return None
        pieces = chain.from_iterable(pieces for pieces, _ in requests)
        try:
            answer, times = self._send(pieces, sum(len(places) for _, places in several))
        except CallFailed as failed:
            return self._after_failure(batch, failed, self._entries(several), [])
        good = times is not None
        updates = _nanoseconds(answer.write_results) if times is None else times
        others: list[Entry[T]] = []
        statuses, results = [], []
        done = 0
        for these, places in several:
            here = range(done, done + len(places))
            done = here.stop
            if good:
                part = slice(places.start, places.stop)
                batch.written.append((these, part, updates[here.start : here.stop]))
                continue
            codes = [_code(status) for status in answer.status[here.start : here.stop]]
            taken = [code is StatusCode.OK for code in codes]
            which = [*compress(places, taken)]
            batch.written.append((these, which, updates[here.start : here.stop][taken]))
            for at, answered, ok in zip(places, here, taken, strict=True):
                if not ok:
                    others.append(self._entry(these, at))
                    statuses.append(answer.status[answered])
                    results.append(answer.write_results[answered])
        return self._take(batch, others, statuses, results)

    def _entries(self, several: Iterable[Some[T]]) -> list[Entry[T]]:
        return [self._entry(these, at) for these, places in several for at in places]

    def _entry(self, these: Expectations[T], at: int) -> Entry[T]:
        name = self._root + these.keys[at]
        return Entry(name, these.document(at), read=False, expected=these.expected(at))

    def _round(self, batch: Batch[T]) -> str | None:
        """Take one group as far as one read and one write bring it.

        Returns what went wrong if it is worth a pause before the next round, else None.
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
            # Once the request is full nothing more is encoded: no more is held than is sent.
            if full or entry.read:
                later.append(entry)
                continue
            if entry.payload is None:
                outcome = self._prepare(entry)
                if outcome is not None:
                    batch.outcomes.append((entry.document, outcome))
                    continue
            assert entry.payload is not None
            full = size + len(entry.payload) > self._request_bytes
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
        """Decide on a document; return its outcome, or None when it is now ready to be written."""
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
        if len(entry.payload) > self._request_bytes:
            # No document that large is within Firestore's 1 MiB, however it is counted.
            return refused(f"it has {len(entry.payload)} bytes, more than a request may have")
        if decision.only is None:
            entry.stored = None
        return None

    def _put(self, batch: Batch[T], ready: list[Entry[T]]) -> str | None:
        """Send one request of writes and take each one's status for itself."""
        payloads = [entry.payload for entry in ready if entry.payload is not None]
        answer, _ = self._send(payloads, len(ready))
        return self._take(batch, ready, answer.status, answer.write_results)

    def _send(self, writes: Iterable[bytes], count: int) -> tuple[Any, NDArray[np.int64] | None]:
        """Send writes when their turn has come.

        Returns the answer, which has a status for each of them, and `times_of_all` of it.
        """
        delay = self._gate.delay(count)
        if delay:
            self._sleep(delay)
        with self._gate.turn() as turn:
            self._guard()
            try:
                answer = self._calls.write(writes, timeout=self._timeout())
            except CallFailed as failed:
                turn.pushed_back = failed.code in _PUSHES_BACK and not failed.too_large
                raise
            times = times_of_all(answer)
            turn.pushed_back = times is None and any(
                status.code in _PUSHING_BACK for status in answer.status
            )
        if not len(answer.status) == len(answer.write_results) == count:
            raise CallFailed("BatchWrite", StatusCode.UNKNOWN, "not one status a write")
        return answer, times

    def _take(
        self,
        batch: Batch[T],
        entries: Sequence[Entry[T]],
        statuses: Sequence[Any],
        results: Sequence[Any],
    ) -> str | None:
        """Take what the answer says of each document. Returns as `_round`."""
        again: list[Entry[T]] = []
        trouble: str | None = None
        forbidden: StatusCode | None = None
        for entry, status, result in zip(entries, statuses, results, strict=True):
            code = _code(status)
            if code is StatusCode.OK:
                batch.outcomes.append((entry.document, Written(result.update_time, entry.stored)))
            elif code in _CONFLICT:
                entry.payload, entry.expected, entry.read = None, None, True
                entry.conflicts += 1
                again.append(entry)
                if entry.conflicts > 1:  # the first time, reading again is all it takes
                    trouble = f"BatchWrite: {code.name} for single documents"
            elif code in _PASSING:
                again.append(entry)
                trouble = f"BatchWrite: {code.name} for single documents"
            elif code in _FORBIDDEN:
                forbidden = code  # the others of the request may have been written all the same
            else:
                refusal = refused(_without_values(f"{code.name}, {status.message}", [entry]))
                batch.outcomes.append((entry.document, refusal))
        if forbidden is not None:
            raise _give_up("BatchWrite", forbidden)
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
                turn.pushed_back = failed.code in _PUSHES_BACK
                raise

    def _after_failure(
        self,
        batch: Batch[T],
        failed: CallFailed,
        guilty: list[Entry[T]],
        rest: list[Entry[T]],
    ) -> str | None:
        """Put back what a call could not do; `rest` was not part of it. Returns as `_round`."""
        if failed.code is StatusCode.INVALID_ARGUMENT or failed.too_large:
            if rest:
                batch.todo.append(rest)
            if len(guilty) == 1:
                words = f"{failed.code.name}, {failed.details}"
                refusal = refused(_without_values(words, guilty))
                batch.outcomes.append((guilty[0].document, refusal))
            else:  # one document can have the whole request refused: halve it until it is alone
                middle = len(guilty) // 2
                batch.todo.extendleft((guilty[middle:], guilty[:middle]))
            return None
        if failed.code in _PASSING:
            batch.todo.append(guilty + rest)
            why = ""
            if failed.code is StatusCode.UNAVAILABLE:
                why = f", {_without_values(failed.details, guilty)}"
            return f"{failed.method}: {failed.code.name}{why}"
        raise _give_up(failed.method, failed.code, _without_values(failed.details, guilty))

    def _timeout(self) -> float:
        """Return the seconds that a call may take now, if there is to be one at all."""
        if self._stopped():
            raise Stopped
        if self._deadline is None:
            return self._rpc_timeout
        left = self._deadline - self._clock()
        if left <= 0:
            raise TryAgain(f"The time for writing {self._collection} is used up.")
        return min(self._rpc_timeout, left)


def _nanoseconds(results: Iterable[Any]) -> NDArray[np.int64]:
    """Return the update times of results, in nanoseconds since 1970."""
    return np.array([nanoseconds(result.update_time) for result in results], np.int64)


def _code(status: Any) -> StatusCode:
    return _CODES.get(status.code, StatusCode.UNKNOWN)


def _give_up(method: str, code: StatusCode, details: str = "") -> TryAgain:
    mend = f"; {_MENDS[code]}" if code in _MENDS else ""
    said = f" ({details[:300]})" if details else ""
    return TryAgain(f"Firestore answered {code.name} to {method}{mend}{said}.")


_WORD = re.compile(r"\w{3,}")


def _without_values(words: str, entries: Sequence[Entry[Any]]) -> str:
    """Return the server's words about documents with every word of the documents' values gone.

    The words say which field is to blame and why, but may quote what is in it.
    """
    values = []
    for entry in entries:
        values.append(entry.name.rpartition("/")[2])
        if entry.payload is not None:
            write = _BatchWriteRequest.FromString(entry.payload).writes[0]
            values.extend(_texts(decode_fields(write.update.fields)))
    own = {word for value in values for word in _WORD.findall(value.lower())}
    return _WORD.sub(lambda match: "…" if match[0].lower() in own else match[0], words)[:300]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
