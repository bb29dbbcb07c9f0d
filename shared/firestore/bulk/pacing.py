"""How hard Firestore is pushed: how many calls at once, how many writes a second, how long a pause.

A collection that is new or has been idle takes 500 writes a second and half as many again every
five minutes. That much is sent and no more; within it the pace follows what the server says: it
is halved when the server pushes back, shrinks while answers take long, and grows by one call a
round of good answers (additive increase, multiplicative decrease).
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

log = logging.getLogger(__name__)

FIRST_WAIT = 0.25
LONGEST_WAIT = 20.0
"""Bounds of the wait after a failure, in seconds: the first is doubled up to the longest."""

STEP = 300.0
"""Seconds after which a collection takes more writes."""
GROWTH = 1.5
"""How many times more it takes then, if it was written to meanwhile."""
USED = 0.5
"""Share of the writes allowed that must have been sent in a step for more to be allowed."""
RECOVERY = 60.0
"""Seconds until as much is sent again as before the server pushed back, at most."""
SLOWEST = 50.0
"""Writes a second that are sent however often the server pushes back."""
BURST = 1.0
"""Seconds' worth of writes that may be sent at once after a pause."""
IDLE = 600.0
"""Seconds without writes after which a collection is idle again."""

LATE = 4.0
LATE_SECONDS = 1.0
"""An answer is late that takes so many times as long as quick ones do, and longer than this."""


def backoff(failures: int, *, rng: random.Random) -> float:
    """Return the seconds to wait after the `failures`-th failure in a row (1 is the first).

    Full jitter: anything from nothing to the bound, so that batches that failed together do not
    come back together.
    """
    # 2**16 is far past the longest wait; unbounded doubling would overflow a float in the end.
    return rng.uniform(0.0, min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures - 1, 16)))


class Pace:
    """How many calls may be under way at once: between 1 and `most`, starting at `most`."""

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._allowed = float(most)
        self._quick = math.inf
        self.cuts = 0
        """How often the pace was cut. A call remembers it from when it set out."""

    @property
    def allowed(self) -> int:
        """Calls allowed at once, now."""
        return int(self._allowed)

    def answered(self, seconds: float = 0.0) -> None:
        """One call was answered well, after so many seconds.

        A whole round of them makes room for one call more; a round of late ones for one less.
        """
        self._quick = min(self._quick * 1.02, seconds)  # what was quick once is forgotten slowly
        if seconds > LATE_SECONDS and seconds > LATE * self._quick:
            self._allowed = max(1.0, self._allowed - 1.0 / self._allowed)
        else:
            self._allowed = min(self._most, self._allowed + 1.0 / self._allowed)

    def pushed_back(self, cuts: int) -> bool:
        """The server pushed back on a call that set out after `cuts` cuts; say whether this cuts.

        Calls that were under way together are pushed back together: the first one halves the pace,
        the others tell nothing new.
        """
        if cuts != self.cuts:
            return False
        self.cuts += 1
        self._allowed = max(1.0, self._allowed / 2.0)
        return True


class Ramp:
    """How many writes a second a collection is sent. `now` is in seconds, of any one clock.

    It begins with `rate`. Whenever it has been made use of for a `STEP`, it allows `GROWTH` times
    as many; a server that pushes back halves it, and it comes back within `RECOVERY`.
    """

    def __init__(self, rate: float, *, now: float) -> None:
        self.ceiling = rate
        """Writes a second that the collection has been led up to."""
        self._rate = rate
        self._at = now
        self._step_began = now
        self._sent = 0
        self._next = now - BURST

    def rate(self, now: float) -> float:
        """Return the writes a second that are allowed now."""
        self._move_on(now)
        return self._rate

    def reserve(self, writes: int, now: float) -> float:
        """Make room for so many writes; return the seconds to wait before they are sent."""
        self._move_on(now)
        self._sent += writes
        begin = max(self._next, now - BURST)
        self._next = begin + writes / self._rate
        return max(0.0, begin - now)

    def pushed_back(self, now: float) -> None:
        """The server has pushed back: send half as much, and no more than before for a step."""
        self._move_on(now)
        self._rate = max(min(SLOWEST, self.ceiling), self._rate / 2.0)
        self._step_began, self._sent = now, 0

    def _move_on(self, now: float) -> None:
        while now - self._step_began >= STEP:
            if self._sent >= USED * self.ceiling * STEP:
                self.ceiling *= GROWTH
            self._step_began += STEP
            self._sent = 0
        regained = self.ceiling * (now - self._at) / RECOVERY
        self._rate = min(self.ceiling, self._rate + regained)
        self._at = now


def first_rate(least: float, *, before: float, idle: float) -> float:
    """Return the writes a second that a load begins with, at least so many.

    `before` is what the one before it had come to, `idle` the seconds since then.
    """
    return max(least, before) if idle < IDLE else least


@dataclass(slots=True)
class Turn:
    """One call's turn at the gate; the caller sets `pushed_back` when the server did so."""

    cuts: int
    pushed_back: bool = False


class Gate:
    """Lets as many threads through at once as the pace allows, and as often as the ramp does.

    Without a ramp, writes are sent as fast as they are answered.
    """

    def __init__(
        self,
        pace: Pace,
        ramp: Ramp | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pace = pace
        self._ramp = ramp
        self._clock = clock
        self._inside = 0
        self._moved = threading.Condition()

    def delay(self, writes: int) -> float:
        """Make room for so many writes; return the seconds to wait before asking for a turn."""
        if self._ramp is None:
            return 0.0
        with self._moved:
            return self._ramp.reserve(writes, self._clock())

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Wait for a turn and hold it. A body that raises counts as no answer at all."""
        with self._moved:
            self._moved.wait_for(lambda: self._inside < self._pace.allowed)
            self._inside += 1
            turn = Turn(self._pace.cuts)
        answered = False
        began = self._clock()
        try:
            yield turn
            answered = True
        finally:
            with self._moved:
                self._inside -= 1
                now = self._clock()
                if turn.pushed_back:
                    if self._pace.pushed_back(turn.cuts):
                        log.info("Firestore pushes back: %d calls at once", self._pace.allowed)
                        if self._ramp is not None:
                            self._ramp.pushed_back(now)
                elif answered:
                    self._pace.answered(now - began)
                self._moved.notify_all()
