"""Limits of the load on Firestore: concurrent calls, writes per second, and backoff.

Ramp: a new or idle collection takes 500 writes per second, and 50 % more every five minutes. More
is never sent.

Pace: the number of concurrent calls follows the server's answers (additive increase, multiplicative
decrease). It is halved when the server pushes back, shrinks while answers are late, and grows by
one call per round of good answers.
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
"""Bounds of the wait after a failure, in seconds. The first is doubled up to the longest."""

STEP = 300.0
"""Seconds of one step of the ramp."""
GROWTH = 1.5
"""Factor of the allowed writes from one step to the next, if the step was used."""
USED = 0.5
"""Share of a step's allowed writes that must be sent, so that the step counts as used."""
RECOVERY = 60.0
"""Longest time in seconds from a pushback to the full rate."""
SLOWEST = 50.0
"""Writes per second below which no pushback lowers the rate."""
BURST = 1.0
"""Longest pause, in seconds, whose unused writes may be sent at once."""
IDLE = 600.0
"""Seconds without writes after which a collection counts as idle."""

LATE = 4.0
LATE_SECONDS = 1.0
"""An answer is late if it takes `LATE` times as long as quick ones, and over `LATE_SECONDS`."""


def backoff(failures: int, *, rng: random.Random) -> float:
    """Return the seconds to wait after a number of consecutive failures (1 or more).

    Full jitter: the wait is random from 0 to the bound, so that batches that failed together do
    not retry together. Example: after 3 failures, 0 to 1 second.
    """
    # 2**16 is far past the longest wait; unbounded doubling would overflow a float.
    return rng.uniform(0.0, min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures - 1, 16)))


class Pace:
    """The number of calls allowed at the same time: from 1 to `most`, first `most`."""

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._allowed = float(most)
        self._quick = math.inf
        self.cuts = 0
        """Number of cuts so far. Each call remembers the number at its start."""

    @property
    def allowed(self) -> int:
        """Calls allowed at the same time, now."""
        return int(self._allowed)

    def answered(self, seconds: float = 0.0) -> None:
        """Record one good answer and the seconds it took.

        A round of good answers allows one call more; a round of late answers one call less.
        """
        self._quick = min(self._quick * 1.02, seconds)  # an old quick time is forgotten slowly
        if seconds > LATE_SECONDS and seconds > LATE * self._quick:
            self._allowed = max(1.0, self._allowed - 1.0 / self._allowed)
        else:
            self._allowed = min(self._most, self._allowed + 1.0 / self._allowed)

    def pushed_back(self, cuts: int) -> bool:
        """Halve the pace after a pushback; return True if it was halved.

        `cuts` is the number of cuts at the call's start. Calls that run together are pushed back
        together: only the first of them halves the pace.
        """
        if cuts != self.cuts:
            return False
        self.cuts += 1
        self._allowed = max(1.0, self._allowed / 2.0)
        return True


class Ramp:
    """The writes per second allowed for a collection. `now` is in seconds, of one clock.

    The ramp begins with `rate`. After each `STEP` that was used, the rate grows by `GROWTH`. A
    pushback halves the rate, which recovers within `RECOVERY`.
    """

    def __init__(self, rate: float, *, now: float) -> None:
        self.ceiling = rate
        """Writes per second that the ramp has reached, without pushbacks."""
        self._rate = rate
        self._updated = now
        self._step_began = now
        self._sent = 0
        self._next = now - BURST

    def rate(self, now: float) -> float:
        """Return the writes per second allowed now."""
        self._move_on(now)
        return self._rate

    def reserve(self, writes: int, now: float) -> float:
        """Reserve a number of writes; return the seconds to wait before they are sent."""
        self._move_on(now)
        self._sent += writes
        begin = max(self._next, now - BURST)
        self._next = begin + writes / self._rate
        return max(0.0, begin - now)

    def pushed_back(self, now: float) -> None:
        """Halve the rate after a pushback, and begin a new step."""
        self._move_on(now)
        self._rate = max(min(SLOWEST, self.ceiling), self._rate / 2.0)
        self._step_began, self._sent = now, 0

    def _move_on(self, now: float) -> None:
        while now - self._step_began >= STEP:
            if self._sent >= USED * self.ceiling * STEP:
                self.ceiling *= GROWTH
            self._step_began += STEP
            self._sent = 0
        regained = self.ceiling * (now - self._updated) / RECOVERY
        self._rate = min(self.ceiling, self._rate + regained)
        self._updated = now


def first_rate(least: float, *, before: float, idle: float) -> float:
    """Return the writes per second at the start of a load, at least `least`.

    Args:
        least: the configured rate, `WRITES_PER_SECOND`.
        before: the rate that the load before had reached.
        idle: seconds since that load.
    """
    return max(least, before) if idle < IDLE else least


@dataclass(slots=True)
class Turn:
    """One call's turn at the gate; the caller sets `pushed_back` if the server pushed back."""

    cuts: int
    pushed_back: bool = False


class Gate:
    """Limits the calls of all threads: their number by the pace, their writes by the ramp.

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
        """Reserve a number of writes; return the seconds to wait before taking a turn."""
        if self._ramp is None:
            return 0.0
        with self._moved:
            return self._ramp.reserve(writes, self._clock())

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Wait for a turn and hold it. A body that raises is not counted as an answer."""
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
