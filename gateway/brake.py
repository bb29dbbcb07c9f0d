"""Slows down and blocks addresses after wrong passwords and connections without a login."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import TypeVar

_WINDOW = 600.0
"""Seconds after which a failure is forgotten."""
_FREE = 3
"""Failures of one user from one address that cause no wait, because people mistype."""
_LONGEST_WAIT = 30.0
_MOST_PER_ADDRESS = 100
"""Failures after which an address is turned away. A client that retries an old password every few
seconds stays below it, so it does not lock out the rest of its office."""
_MOST_WITHOUT_LOGIN = 200
"""Connections that ended without a login, after which an address is turned away. A monitor that
checks the port every five seconds stays below it."""
_MOST_REMEMBERED = 20_000


class Brake:
    """Failures of the last ten minutes, per address, and per address and user.

    Addresses are counted by network (`gateway.admission.network`). Times are seconds of one
    monotonic clock.
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str | None], deque[float]] = OrderedDict()
        self._left: OrderedDict[str, deque[float]] = OrderedDict()
        """Times when connections of an address ended without a login, since its last login."""

    def wait(self, address: str, user: str, now: float) -> float:
        """Return the seconds to wait before this user's next password from here is checked."""
        failures = self._count((address, user), now)
        return 0.0 if failures < _FREE else min(2.0 ** (failures - _FREE), _LONGEST_WAIT)

    def closed(self, address: str, now: float) -> bool:
        """Return True if connections from this address are turned away."""
        return (
            self._count((address, None), now) >= _MOST_PER_ADDRESS
            or len(_recent(self._left, address, now)) >= _MOST_WITHOUT_LOGIN
        )

    def left(self, address: str, now: float) -> None:
        """Count a connection that ended without a login."""
        _note(self._left, address, now, most=_MOST_WITHOUT_LOGIN)

    def failed(self, address: str, user: str, now: float) -> None:
        """Count a wrong password."""
        for key in ((address, user), (address, None)):
            _note(self._failures, key, now, most=_MOST_PER_ADDRESS)

    def succeeded(self, address: str, user: str) -> None:
        """Forget this user's failures, and all connections without a login, from this address."""
        self._failures.pop((address, user), None)
        self._left.pop(address, None)

    def _count(self, key: tuple[str, str | None], now: float) -> int:
        return len(_recent(self._failures, key, now))


K = TypeVar("K", bound=Hashable)


def _note(times: OrderedDict[K, deque[float]], key: K, now: float, *, most: int) -> None:
    times.setdefault(key, deque(maxlen=most)).append(now)
    times.move_to_end(key)
    while len(times) > _MOST_REMEMBERED:
        times.popitem(last=False)


def _recent(times: OrderedDict[K, deque[float]], key: K, now: float) -> deque[float]:
    """Return the times within the window, and forget the others."""
    found = times.get(key)
    if found is None:
        return deque()
    while found and found[0] <= now - _WINDOW:
        found.popleft()
    if not found:
        del times[key]
    return found
