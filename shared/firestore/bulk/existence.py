"""Looks documents up: their fields, or whether they exist.

Example: an orders file names customers. `KnownDocuments` says which of them are in Firestore.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, repeat
from typing import Protocol, TypeVar

from shared.core import TryAgain
from shared.firestore.bulk.answers import PASSING
from shared.firestore.bulk.pacing import backoff
from shared.firestore.bulk.transport import COUNTED, READ, CallFailed, Calls, Stored

LOOKED_UP = 20 * COUNTED
"""Documents looked up together, in 20 calls at the same time."""

_REMEMBERED = 50_000
"""Largest number of documents remembered, so that memory is bounded."""

READ_TOGETHER = 20 * READ
"""Documents read together, in 20 calls at the same time."""

T = TypeVar("T")

_TRIES = 6
_TIMEOUT = 60.0


class Lookups(Calls, Protocol):
    """The calls of `shared.firestore.bulk.transport.Transport` that look documents up."""

    def count(self, groups: Sequence[Sequence[str]], *, timeout: float) -> list[int]:
        """Count documents; see Transport."""


class DocumentReader:
    """Reads documents of a collection, several calls at a time; retries calls that fail."""

    def __init__(
        self,
        calls: Calls,
        collection: str,
        mask: Sequence[str],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare the reading of the field paths in `mask`; empty: only whether documents exist."""
        self._calls = calls
        self._root = f"{calls.database}/documents/{collection}/"
        self._mask = mask
        self._sleep = sleep

    def read(self, ids: Sequence[str]) -> list[Stored | None]:
        """Return the document of each id; None for one that does not exist.

        The ids must be valid document ids, each once.

        Raises:
            TryAgain: Firestore could not be reached.
        """
        names = [self._root + id for id in ids]
        lots = (names[at : at + READ_TOGETHER] for at in range(0, len(names), READ_TOGETHER))
        return [*chain.from_iterable(map(self._read, lots))]

    def _read(self, names: list[str]) -> list[Stored | None]:
        def get() -> list[Stored | None] | None:
            found = self._calls.get(names, self._mask, timeout=_TIMEOUT)
            whole = len(found) == len(names)
            return [found[name] for name in names] if whole else None

        try:
            return _patiently(get, self._sleep)
        except CallFailed as failed:
            raise TryAgain(f"Firestore answered {failed.code.name} to a read.") from failed


class KnownDocuments:
    """Looks up documents of a collection, and remembers the answers."""

    def __init__(
        self,
        calls: Lookups,
        collection: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._calls = calls
        self._root = f"{calls.database}/documents/{collection}/"
        self._known: dict[str, bool] = {}
        self._sleep = sleep
        self._reader = DocumentReader(calls, collection, (), sleep=sleep)

    def remembered(self, ids: Iterable[str]) -> list[bool | None]:
        """Return per id True or False if the answer is remembered; None if it is not."""
        return [*map(self._known.get, ids)]

    def look_up(self, ids: Iterable[str]) -> dict[str, bool]:
        """Return id -> True if the document exists, and remember the answers.

        The ids must be valid document ids.

        Raises:
            TryAgain: Firestore could not be reached.
        """
        wanted = sorted(ids)
        found: dict[str, bool] = {}
        for first in range(0, len(wanted), LOOKED_UP):
            found.update(self._look_up(wanted[first : first + LOOKED_UP]))
        if len(self._known) + len(found) > _REMEMBERED:
            self._known.clear()
        self._known |= found
        return found

    def _look_up(self, ids: list[str]) -> Iterator[tuple[str, bool]]:
        """Yield each id, and True if its document exists.

        The documents are counted in groups. In most groups all exist, or none: then the count is
        the answer, at a fraction of the price of reads. The other groups are read.
        """
        groups = [ids[first : first + COUNTED] for first in range(0, len(ids), COUNTED)]
        unclear: list[str] = []
        for group, count in zip(groups, self._counts(groups), strict=True):
            if count in (0, len(group)):
                yield from ((id, count > 0) for id in group)
            else:
                unclear += group
        for id, stored in zip(unclear, self._reader.read(unclear), strict=True):
            yield id, stored is not None

    def _counts(self, groups: list[list[str]]) -> Iterable[int | None]:
        names = [[self._root + id for id in group] for group in groups]
        try:
            return _patiently(partial(self._calls.count, names, timeout=_TIMEOUT), self._sleep)
        except CallFailed:  # a database without aggregation queries can still be read
            return repeat(None, len(groups))


def _patiently(ask: Callable[[], T | None], sleep: Callable[[float], None]) -> T:
    """Return the answer of `ask`; retry with backoff if the call fails or returns None.

    Raises:
        CallFailed: the call was refused with a code that does not pass.
        TryAgain: `_TRIES` calls had no answer.
    """
    chance = random.Random()
    for number in range(1, _TRIES + 1):
        try:
            answer = ask()
            if answer is not None:
                return answer
        except CallFailed as failed:
            if failed.code not in PASSING:
                raise
        sleep(backoff(number, rng=chance))
    raise TryAgain("Firestore did not answer: documents could not be looked up.")
