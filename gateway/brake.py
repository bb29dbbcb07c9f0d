"""Penalties for addresses: waits for wrong passwords, no entry for those that never log in."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import TypeVar

_WINDOW = 600.0
"""Seconds after which a failure is forgotten."""
_FREE = 3
"""Failures of one user from one address that cost nothing: people mistype."""
_LONGEST_WAIT = 30.0
_MOST_PER_ADDRESS = 100
"""Failures after which an address is turned away. A client that has an old password and tries
every few seconds stays below it, so that it does not shut the others of its office out."""
_MOST_WITHOUT_LOGIN = 200
"""Connections that ended without a login, after which an address is turned away. A monitor that
looks every five seconds whether the port answers stays below it."""
_MOST_REMEMBERED = 20_000


class Brake:
    """The failures of the last ten minutes, by address and by address and user.

    An address is counted by its network (`gateway.admission.network`). Times are seconds of any
    one monotonic clock.
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str | None], deque[float]] = OrderedDict()
        self._left: OrderedDict[str, deque[float]] = OrderedDict()
        """When connections of an address ended without a login, since its last login."""

    def wait(self, address: str, user: str, now: float) -> float:
        """Seconds before the next password of this user from this address is looked at."""
        failures = self._count((address, user), now)
        return 0.0 if failures < _FREE else min(2.0 ** (failures - _FREE), _LONGEST_WAIT)

    def closed(self, address: str, now: float) -> bool:
        """Whether connections from this address are turned away."""
        return (
            self._count((address, None), now) >= _MOST_PER_ADDRESS
            or len(_recent(self._left, address, now)) >= _MOST_WITHOUT_LOGIN
        )

    def left(self, address: str, now: float) -> None:
        """Count a connection that ended without a login."""
        _note(self._left, address, now, most=_MOST_WITHOUT_LOGIN)

    def failed(self, address: str, user: str, now: float) -> None:
        """Count a failure."""
        for key in ((address, user), (address, None)):
            _note(self._failures, key, now, most=_MOST_PER_ADDRESS)

    def succeeded(self, address: str, user: str) -> None:
        """Forget this user's own failures from this address, and that others left without one."""
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
