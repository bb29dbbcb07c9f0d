"""Which of the customers that orders name are in Firestore."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable

from grpc import StatusCode

from shared.batches import Calls
from shared.errors import TryAgain
from shared.pacing import backoff
from shared.transport import CallFailed

LOOKED_UP = 500
"""Customers looked up by one call at most."""

_REMEMBERED = 50_000
"""Customers remembered at most, to keep memory flat."""
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


class KnownCustomers:
    """Looks customers of a connection up, each once as long as it is remembered."""

    def __init__(
        self,
        calls: Calls,
        connection: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._calls = calls
        self._root = f"{calls.database}/documents/connections/{connection}/customers/"
        self._known: dict[str, bool] = {}
        self._sleep = sleep
        self._random = random.Random()

    def remembered(self, person_ids: Iterable[str]) -> list[bool | None]:
        """Return of each id whether there is such a customer; None where that must be looked up."""
        return [*map(self._known.get, person_ids)]

    def look_up(self, person_ids: Iterable[str]) -> dict[str, bool]:
        """Return of each id whether a customer document has it, and remember that.

        Ids must be possible document ids.

        Raises:
            TryAgain: Firestore could not be reached.
        """
        names = [self._root + person_id for person_id in sorted(person_ids)]
        found: dict[str, bool] = {}
        for first in range(0, len(names), LOOKED_UP):
            for name, stored in self._get(names[first : first + LOOKED_UP]).items():
                found[name.removeprefix(self._root)] = stored is not None
        if len(self._known) + len(found) > _REMEMBERED:
            self._known.clear()
        self._known |= found
        return found

    def _get(self, names: list[str]) -> dict[str, object]:
        for number in range(1, _TRIES + 1):
            try:
                found = self._calls.get(names, (), timeout=_TIMEOUT)
                if len(found) == len(names):
                    return dict(found)
            except CallFailed as failed:
                if failed.code not in _PASSING:
                    raise TryAgain(f"Firestore answered {failed.code.name} to a read.") from failed
            self._sleep(backoff(number, rng=self._random))
        raise TryAgain("The customers of the orders could not be looked up.")
