"""Python's garbage collection: less often while rows pass, which make no cycles."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

YOUNG = 50_000
"""Objects created, less those freed, until the next collection. Python's own default is 700."""

_lock = threading.Lock()
_inside = 0


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Collect garbage less often inside, and never in the objects that existed before.

    The rows of a file are held in lists of ten thousand. Every collection would go through these
    and through all imported modules, and find nothing. Several threads may be inside.
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
