"""Looks up whether documents that other documents refer to are in Firestore.

Example: the customers that the rows of an orders file name.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Protocol, TypeVar

from shared.core import TryAgain
from shared.firestore.bulk.batch import Calls
from shared.firestore.bulk.pacing import backoff
from shared.firestore.bulk.transport import COUNTED, PASSING, CallFailed, Stored

LOOKED_UP = 20 * COUNTED
"""Documents looked up together, in 20 calls at the same time."""

_REMEMBERED = 50_000
"""Largest number of documents remembered, so that memory is bounded."""

T = TypeVar("T")

_TRIES = 6
_TIMEOUT = 60.0


class Lookups(Calls, Protocol):
    """The calls of `shared.firestore.bulk.transport.Transport` that look documents up."""

    def count(self, groups: Sequence[Sequence[str]], *, timeout: float) -> list[int]:
        """Count documents; see Transport."""


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
        self._random = random.Random()

    def remembered(self, ids: Iterable[str]) -> list[bool | None]:
        """Return per id True or False if the answer is remembered; None if it is not."""
        return [*map(self._known.get, ids)]

    def look_up(self, ids: Iterable[str]) -> dict[str, bool]:
        """Return id -> True if the document exists, and remember the answers.

        The ids must be valid document ids.

        Raises:
            TryAgain: Firestore could not be reached.
        """
        names = [self._root + id for id in sorted(ids)]
        found: dict[str, bool] = {}
        for first in range(0, len(names), LOOKED_UP):
            for name, exists in self._look_up(names[first : first + LOOKED_UP]):
                found[name.removeprefix(self._root)] = exists
        if len(self._known) + len(found) > _REMEMBERED:
            self._known.clear()
        self._known |= found
        return found

    def _look_up(self, names: list[str]) -> Iterator[tuple[str, bool]]:
        """Yield each name, and True if its document exists.

        The documents are counted in groups. In most groups all exist, or none: then the count is
        the answer, at a fraction of the price of reads. The other groups are read.
        """
        groups = [names[first : first + COUNTED] for first in range(0, len(names), COUNTED)]
        unclear: list[str] = []
        for group, count in zip(groups, self._counts(groups), strict=True):
            if count in (0, len(group)):
                yield from ((name, count > 0) for name in group)
            else:
                unclear += group
        if unclear:
            for name, stored in self._stored(unclear).items():
                yield name, stored is not None

    def _counts(self, groups: list[list[str]]) -> Iterable[int | None]:
        try:
            return self._patiently(lambda: self._calls.count(groups, timeout=_TIMEOUT))
        except CallFailed:  # a database without aggregation queries can still be read
            return repeat(None, len(groups))

    def _stored(self, names: list[str]) -> dict[str, Stored | None]:
        def get() -> dict[str, Stored | None] | None:
            found = self._calls.get(names, (), timeout=_TIMEOUT)
            return found if len(found) == len(names) else None

        try:
            return self._patiently(get)
        except CallFailed as failed:
            raise TryAgain(f"Firestore answered {failed.code.name} to a read.") from failed

    def _patiently(self, ask: Callable[[], T | None]) -> T:
        """Return the answer of `ask`; retry with backoff if the call fails or returns None.

        Raises:
            CallFailed: the call was refused with a code that does not pass.
            TryAgain: `_TRIES` calls had no answer.
        """
        for number in range(1, _TRIES + 1):
            try:
                answer = ask()
                if answer is not None:
                    return answer
            except CallFailed as failed:
                if failed.code not in PASSING:
                    raise
            self._sleep(backoff(number, rng=self._random))
        raise TryAgain("The documents that others refer to could not be looked up.")
