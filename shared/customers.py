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

    def missing(self, person_ids: Iterable[str]) -> set[str]:
        """Return those ids that no customer document has. Ids must be possible document ids.

        Raises:
            TryAgain: Firestore could not be reached.
        """
        wanted = set(person_ids)
        unknown = sorted(wanted - self._known.keys())
        if len(self._known) + len(unknown) > _REMEMBERED:
            self._known.clear()
            unknown = sorted(wanted)
        if unknown:
            names = {self._root + person_id: person_id for person_id in unknown}
            for name, stored in self._get(list(names)).items():
                self._known[names[name]] = stored is not None
        return {person_id for person_id in wanted if not self._known[person_id]}

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
