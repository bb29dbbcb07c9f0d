"""How often Python looks for garbage in cycles: seldom while rows pass that make none."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

YOUNG = 50_000
"""Objects made, beyond those let go, until the next look; Python's own default is 700."""

_lock = threading.Lock()
_inside = 0


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Let Python look for garbage more seldom inside, and never through what was there before.

    The rows of a file are held in lists by the ten thousand: every look goes through them, and
    through everything that was imported, to find nothing. Several threads may be inside.
    """
    global _inside
    _leave_the_imported_alone()
    with _lock:
        _inside += 1
        if _inside == 1:
            gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                gc.set_threshold(_USUAL, *gc.get_threshold()[1:])


_USUAL = gc.get_threshold()[0]


@cache
def _leave_the_imported_alone() -> None:
    gc.freeze()
