"""Things that are done one by one, so that one that fails keeps no other from being done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from shared.core.errors import TryAgain
from shared.core.logs import log, log_failure

_T = TypeVar("_T")

IN_A_ROW = 3
"""Things in a row that could not be done now, after which the rest waits, too."""


class Apart:
    """Does each of several things by itself, and remembers what has to be tried again."""

    def __init__(self, failed: str) -> None:
        """`failed` is what the log says of a thing that could not be done."""
        self._failed = failed
        self._trouble: TryAgain | None = None
        self._in_a_row = 0

    def __call__(self, act: Callable[[], _T], **fields: Any) -> _T | None:
        """Do one thing; None where it could not be done. `fields` name it in the log.

        Raises:
            TryAgain: the service itself seems to be out of reach.
        """
        try:
            done = act()
        except TryAgain as trouble:
            self._trouble = trouble
            self._in_a_row += 1
            if self._in_a_row >= IN_A_ROW:
                raise
            log("WARNING", f"{self._failed} {trouble}", **fields)
            return None
        except Exception as error:
            log_failure(self._failed, error, **fields)
            return None
        self._in_a_row = 0
        return done

    def end(self) -> None:
        """Say whether everything was done.

        Raises:
            TryAgain: something has to be tried again.
        """
        if self._trouble is not None:
            raise self._trouble
