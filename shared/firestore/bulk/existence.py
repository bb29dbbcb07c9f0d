"""Looks up which of the documents that others refer to are in Firestore."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Protocol, TypeVar

from grpc import StatusCode

from shared.core import TryAgain
from shared.firestore.bulk.batch import Calls
from shared.firestore.bulk.pacing import backoff
from shared.firestore.bulk.transport import COUNTED, CallFailed, Stored

LOOKED_UP = 20 * COUNTED
"""Documents looked up together: so many calls are under way at once."""

_REMEMBERED = 50_000
"""Documents remembered at most, to keep memory flat."""
T = TypeVar("T")

_TRIES = 6
_TIMEOUT = 60.0
_PASSING = frozenset(
    {
        StatusCode.UNAVAILABLE,
        StatusCode.ABORTED,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.INTERNAL,
        StatusCode.UNKNOWN,
        StatusCode.CANCELLED,
    }
)


class Lookups(Calls, Protocol):
    """What looking documents up needs of `shared.firestore.bulk.transport.Transport`."""

    def count(self, groups: Sequence[Sequence[str]], *, timeout: float) -> list[int]:
        """Count documents; see Transport."""


class KnownDocuments:
    """Looks documents of a collection up, each once as long as it is remembered."""

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
        """Return of each id whether it is a document's; None where that must be looked up."""
        return [*map(self._known.get, ids)]

    def look_up(self, ids: Iterable[str]) -> dict[str, bool]:
        """Return of each id whether a document has it, and remember that.

        Ids must be possible document ids.

        Raises:
            TryAgain: Firestore could not be reached.
        """
        names = [self._root + id for id in sorted(ids)]
        found: dict[str, bool] = {}
        for first in range(0, len(names), LOOKED_UP):
            for name, there in self._look_up(names[first : first + LOOKED_UP]):
                found[name.removeprefix(self._root)] = there
        if len(self._known) + len(found) > _REMEMBERED:
            self._known.clear()
        self._known |= found
        return found

    def _look_up(self, names: list[str]) -> Iterator[tuple[str, bool]]:
        """Give each name and whether it is there.

        Of most groups all are, or none: to count them is then enough, and costs a fraction of
        what it costs to read them.
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
        except CallFailed:  # a database that does not count them may still have them read
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
        """Return the answer; ask again where there is none, or only some of it.

        Raises:
            CallFailed: the call was refused, in a way that does not pass.
            TryAgain: it was not answered, however often.
        """
        for number in range(1, _TRIES + 1):
            try:
                answer = ask()
                if answer is not None:
                    return answer
            except CallFailed as failed:
                if failed.code not in _PASSING:
                    raise
            self._sleep(backoff(number, rng=self._random))
        raise TryAgain("The documents that others refer to could not be looked up.")
