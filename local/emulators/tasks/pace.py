"""Computes when a task may be sent: rate of a queue, backoff after failures, and giving up.

Pure arithmetic on Unix seconds. The rules are those documented for `RateLimits` and `RetryConfig`
in the Cloud Tasks v2 reference.
"""

from __future__ import annotations

import math

RETENTION = 31 * 24 * 3600.0
"""Seconds after its creation when a task is given up, whatever its queue allows."""


def backoff(*, failures: int, minimum: float, maximum: float, doublings: int) -> float:
    """Return the seconds to wait after the given number of failed attempts (1 or more).

    The wait starts at `minimum`, doubles `doublings` times, then grows by the last step each time,
    and never exceeds `maximum`: 10, 300 and 3 doublings make 10, 20, 40, 80, 160, 240, 300, 300.
    """
    # 2**100 of anything is past every maximum, and floats have an end.
    step = math.ldexp(minimum, min(failures - 1, doublings, 100))
    return min(step * max(1, failures - doublings), maximum)


def exhausted(
    *,
    attempts: int,
    max_attempts: int,
    created: float,
    first_attempt: float,
    max_duration: float,
    now: float,
) -> bool:
    """Return True if a task that has just failed is given up.

    Where both the number of attempts and the duration are limited, both must be reached.

    Args:
        attempts: attempts made so far.
        max_attempts: -1 for no limit.
        created: when the task was created.
        first_attempt: when it was first sent; the duration counts from here.
        max_duration: seconds, 0 for no limit.
        now: the time it is.
    """
    if now - created >= RETENTION:
        return True
    reached = []
    if max_attempts > 0:
        reached.append(attempts >= max_attempts)
    if max_duration > 0:
        reached.append(now - first_attempt >= max_duration)
    return bool(reached) and all(reached)


class TokenBucket:
    """Lets `size` tasks pass at once, and then `rate` per second."""

    def __init__(self, *, rate: float, size: int, now: float) -> None:
        self._rate = rate
        self._size = size
        self._tokens = float(size)
        self._at = now

    def change(self, *, rate: float, size: int, now: float) -> None:
        """Continue at another rate with the tokens left, no more than the new size."""
        self._refill(now)
        self._rate, self._size = rate, size
        self._tokens = min(self._tokens, float(size))

    def ready_at(self, now: float) -> float:
        """Return the time when the next task may pass: `now` or later."""
        self._refill(now)
        # Slightly less than a whole token is enough: the refill of a wait may add up to 0.999999.
        missing = 1.0 - self._tokens
        return now if missing <= 1e-6 else now + missing / self._rate

    def take(self, now: float) -> None:
        """Count a task that passes."""
        self._refill(now)
        self._tokens = max(0.0, self._tokens - 1.0)

    def _refill(self, now: float) -> None:
        # A clock that was set back adds nothing.
        passed = max(0.0, now - self._at)
        self._tokens = min(float(self._size), self._tokens + passed * self._rate)
        self._at = now
