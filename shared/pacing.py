"""How hard Firestore is pushed: how many calls at once, and how long to wait after a failure.

A new collection takes 500 writes a second and half as many again every five minutes. Instead of
counting along, the pace follows what the server says: it is halved when the server pushes back and
grows by one call a round of good answers (additive increase, multiplicative decrease).
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

log = logging.getLogger(__name__)

FIRST_WAIT = 0.25
LONGEST_WAIT = 20.0
"""Bounds of the wait after a failure, in seconds: the first is doubled up to the longest."""


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
        self.cuts = 0
        """How often the pace was cut. A call remembers it from when it set out."""

    @property
    def allowed(self) -> int:
        """Calls allowed at once, now."""
        return int(self._allowed)

    def answered(self) -> None:
        """One call was answered well. A whole round of them makes room for one call more."""
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


@dataclass(slots=True)
class Turn:
    """One call's turn at the gate; the caller sets `pushed_back` when the server did so."""

    cuts: int
    pushed_back: bool = False


class Gate:
    """Lets as many threads through at once as the pace allows."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._inside = 0
        self._moved = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Wait for a turn and hold it. A body that raises counts as no answer at all."""
        with self._moved:
            self._moved.wait_for(lambda: self._inside < self._pace.allowed)
            self._inside += 1
            turn = Turn(self._pace.cuts)
        answered = False
        try:
            yield turn
            answered = True
        finally:
            with self._moved:
                self._inside -= 1
                if turn.pushed_back:
                    if self._pace.pushed_back(turn.cuts):
                        log.info("Firestore pushes back: %d calls at once", self._pace.allowed)
                elif answered:
                    self._pace.answered()
                self._moved.notify_all()
