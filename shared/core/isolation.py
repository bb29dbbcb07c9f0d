"""Isolation of failures: steps run one by one, and one that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from shared.core.errors import TryAgain
from shared.core.logs import log, log_failure

_T = TypeVar("_T")

IN_A_ROW = 3
"""Consecutive TryAgain errors after which the remaining steps are not tried."""


class Apart:
    """Runs steps so that one failure does not stop the others.

    An unexpected error of a step is logged. A TryAgain is logged and kept for `end`.
    """

    def __init__(self, failed: str) -> None:
        """Take the log message of a step that fails, e.g. `A feed could not be checked.`"""
        self._failed = failed
        self._trouble: TryAgain | None = None
        self._in_a_row = 0

    def __call__(self, act: Callable[[], _T], **fields: Any) -> _T | None:
        """Return the result of `act`; None if it failed. `fields` go into the log line.

        Raises:
            TryAgain: the step failed, as did the `IN_A_ROW - 1` before it: a service seems to be
                unreachable.
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
        """Raise the last TryAgain of a step, if there was one.

        Raises:
            TryAgain: at least one step has to be tried again.
        """
        if self._trouble is not None:
            raise self._trouble
