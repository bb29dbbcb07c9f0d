"""How long somebody who guesses passwords has to wait."""

from __future__ import annotations

from collections import OrderedDict, deque

_WINDOW = 600.0
"""Seconds after which a failure is forgotten."""
_FREE = 3
"""Failures of one user from one address that cost nothing: people mistype."""
_LONGEST_WAIT = 30.0
_MOST_PER_ADDRESS = 100
"""Failures after which an address is turned away. A client that has an old password and tries
every few seconds stays below it, so that it does not shut the others of its office out."""
_MOST_REMEMBERED = 20_000


class Brake:
    """The failures of the last ten minutes, by address and by address and user.

    Times are seconds of any one monotonic clock.
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str | None], deque[float]] = OrderedDict()

    def wait(self, address: str, user: str, now: float) -> float:
        """Seconds before the next password of this user from this address is looked at."""
        failures = self._count((address, user), now)
        return 0.0 if failures < _FREE else min(2.0 ** (failures - _FREE), _LONGEST_WAIT)

    def closed(self, address: str, now: float) -> bool:
        """Whether connections from this address are turned away."""
        return self._count((address, None), now) >= _MOST_PER_ADDRESS

    def failed(self, address: str, user: str, now: float) -> None:
        """Count a failure."""
        for key in ((address, user), (address, None)):
            self._failures.setdefault(key, deque(maxlen=_MOST_PER_ADDRESS)).append(now)
            self._failures.move_to_end(key)
        while len(self._failures) > _MOST_REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, address: str, user: str) -> None:
        """Forget this user's own failures from this address."""
        self._failures.pop((address, user), None)

    def _count(self, key: tuple[str, str | None], now: float) -> int:
        failures = self._failures.get(key)
        if failures is None:
            return 0
        while failures and failures[0] <= now - _WINDOW:
            failures.popleft()
        if not failures:
            del self._failures[key]
        return len(failures)
