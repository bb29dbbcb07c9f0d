"""Limits log lines that strangers can cause as often as they like."""

from __future__ import annotations

_WINDOW = 60.0
_MOST = 20
"""Lines of one kind per window. The first line after it reports how many were left out."""


class Repeats:
    """Counts lines by kind. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._lines: dict[str, int] = {}

    def count(self, kind: str, now: float) -> int | None:
        """Count a line; return the number left out before it, or None to leave this one out too."""
        left_out = 0
        if kind not in self._began or now - self._began[kind] >= _WINDOW:
            left_out = max(0, self._lines.get(kind, 0) - _MOST)
            self._began[kind], self._lines[kind] = now, 0
        self._lines[kind] += 1
        return left_out if self._lines[kind] <= _MOST else None
